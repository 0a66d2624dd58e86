"""A project's permissions on its page, without JavaScript."""

import pytest

from compute_agent.protocol import Look
from datacenters.models import Node
from projects import actions, questions
from projects.models import AppInstance, PathOverride

PAGE = "/mira/forecast/permissions"
NASTY = "<script>alert(1)</script>'\"\x1b[31m\u202eevil"


def ask(client, path="data/raw", user="edda"):
    return client.get(PAGE, {"path": path, "user": user})


def set_by_form(client, path="data/raw", user="edda", *ticks):
    return client.post(PAGE + "/set", {"path": path, "user": user, **dict.fromkeys(ticks, "on")})


# --- the list ------------------------------------------------------------------------------------


@pytest.mark.rule(13)
def test_what_is_set_by_hand_is_listed_for_the_whole_team_with_who_set_it(
    project, cast, browse, text
):
    actions.set_override(project, "edda", "data/raw", "r-x", by=cast.max)
    for reader in ("mira", "max", "edda", "vera"):
        page = browse(reader).get(PAGE)
        assert "data/raw" in text(page) and "max, now" in text(page)
        assert 'aria-label="read only"' in page.content.decode()


def test_a_project_without_any_says_what_that_means(project, browse, text):
    assert "Nothing is set by hand" in text(browse("mira").get(PAGE))


def test_only_those_who_may_change_it_are_offered_to(project, cast, browse, read):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    actions.set_override(project, "max", "data", "r-x", by=cast.mira)

    def offered(name):
        forms = read(browse(name).get(PAGE)).forms
        return sorted(form["attrs"]["action"].rsplit("/")[-1].partition("#")[0] for form in forms
                      if PAGE in form["attrs"].get("action", "") and "method" in form["attrs"]
                      and form["attrs"]["method"] == "post")  # fmt: skip

    assert offered("mira") == ["clear", "clear", "set"]
    assert offered("max") == ["clear", "set"]
    assert offered("edda") == offered("vera") == []


def test_many_rows_cost_no_more_queries(project, cast, browse, django_assert_max_num_queries):
    for number in range(30):
        actions.set_override(project, "edda", f"data/{number}", "r-x", by=cast.mira)
    client = browse("mira")
    client.get(PAGE)
    with django_assert_max_num_queries(30):
        client.get(PAGE)


# --- setting and clearing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ticks", "rights"),
    [(("read", "run"), "r-x"), ((), "---"), (("read", "write", "run"), "rwx"), (("write",), "-w-")],
)
def test_ticks_become_rights(project, browse, ticks, rights):
    assert set_by_form(browse("mira"), "data/raw", "edda", *ticks)["Location"] == PAGE
    row = PathOverride.objects.get()
    assert (row.path, row.user.username, row.access) == ("data/raw", "edda", rights)


def test_setting_offers_to_take_it_back(project, browse, text, read):
    mira = browse("mira")
    set_by_form(mira, "data/raw/", "edda", "read")
    page = mira.get(PAGE)
    assert "Set for edda on data/raw: read only." in text(page)
    undo = next(f for f in read(page).forms if f["fields"].get("path") and f["attrs"]["method"] == "post"
                and f["attrs"]["action"].endswith("clear"))  # fmt: skip
    mira.post(undo["attrs"]["action"], undo["fields"])
    assert not PathOverride.objects.exists()


def test_changing_and_clearing_can_be_undone_to_what_was_before(project, cast, browse, read):
    actions.set_override(project, "edda", " odd name", "r--", by=cast.mira)
    mira = browse("mira")
    mira.post(PAGE + "/clear", {"path": " odd name", "user": "edda"})
    undo = next(f for f in read(mira.get(PAGE)).forms if f["fields"].get("access") == "r--")
    mira.post(undo["attrs"]["action"], undo["fields"])
    assert (PathOverride.objects.get().path, PathOverride.objects.get().access) == (
        " odd name",
        "r--",
    )


@pytest.mark.parametrize(
    ("path", "user", "words"),
    [
        ("", "edda", "Name a file or folder"),
        ("/etc", "edda", "inside the project"),
        ("../x", "edda", "“..”"),
        ("data", "", "Type the user name"),
        ("data", "nobody", "There is no user “nobody”"),
        ("data", "mira", "owns the project"),
    ],
)
def test_bad_input_is_explained_under_its_field_and_kept(project, browse, text, path, user, words):
    page = set_by_form(browse("mira"), path, user, "write")
    assert page.status_code == 422 and words in text(page)
    html = page.content.decode()
    assert 'aria-invalid="true"' in html and f'value="{user}"' in html
    assert 'name="write" id="id_write" checked' in html and 'id="id_read" checked' not in html
    assert not PathOverride.objects.exists()


def test_a_manager_is_told_whose_matter_a_managers_rights_are(project, browse, text):
    page = set_by_form(browse("max"), "data", "max", "read")
    assert page.status_code == 403 and "Only mira sets what managers may do." in text(page)


@pytest.mark.parametrize("person", ["edda", "vera"])
def test_editors_and_viewers_change_nothing(project, browse, person):
    for what in ("/set", "/clear"):
        form = {"path": "data", "user": "edda", "read": "on"}
        assert browse(person).post(PAGE + what, form).status_code == 403
    assert not PathOverride.objects.exists()


def test_people_are_suggested_with_their_role_the_team_first(project, browse, text):
    page = text(browse("mira").get(PAGE + "/suggest?user=m"))
    assert page.index("ax manager") < page.index("ira owner")
    assert "otto" in text(browse("mira").get(PAGE + "/suggest?user=otto")).replace(" ", "")


# --- checking access -----------------------------------------------------------------------------


def test_an_answer_says_what_one_can_do_and_who_decided(answering, project, cast, browse, text):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    page = text(ask(browse("max")))
    assert "edda can read and enter data/raw, but not write." in page
    assert "edda is an editor, which gives read and write. Gives" in page
    assert "mira set data to read only for edda by hand" in page and "Decides" in page
    assert "So it is." in page
    assert "Clear what was set" in page and "Let edda write here" in page


def test_the_buttons_beside_an_answer_mend_it(answering, project, cast, browse, read):
    actions.set_override(project, "edda", "data", "---", by=cast.mira)
    mira = browse("mira")
    forms = [f for f in read(ask(mira)).forms if f["fields"].get("access") == "rwx"]
    mira.post(forms[0]["attrs"]["action"], forms[0]["fields"])
    assert set(PathOverride.objects.values_list("path", "access")) == {
        ("data", "---"),
        ("data/raw", "rwx"),
    }


def test_what_the_mask_cuts_is_named_with_its_mend(answering, project, browse, text):
    cut = Look("data/raw", "user:edda:", "rwx", "r-x")
    answering.says = {
        "kind": "directory", "access": "r-x", "looks": (cut,), "cause": "The mask cuts it.",
        "mend": "Start an app of the project.",
    }  # fmt: skip
    response = ask(browse("mira"))
    page = text(response)
    assert "The mask of data/raw cuts what user:edda: gives from rwx to r-x." in page
    assert "Stops" in page and "Decides" not in page and "Start an app of the project." in page
    assert 'class="aen-right-cut">w<' in response.content.decode()


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"kind": "file", "access": "rw-"}, "edda can read and write data/raw."),
        ({"kind": "file", "access": "---"}, "edda can do nothing with data/raw."),
        ({"kind": "file", "access": "rwx"}, "edda can read, write and run data/raw."),
        ({"kind": "directory", "access": "--x"}, "edda can enter data/raw, but not read or write."),
        ({"kind": "missing", "access": "---"}, "There is no data/raw."),
        ({"kind": "other", "access": "r--"}, "edda can read data/raw, but not write."),
    ],
)
def test_every_answer_is_a_sentence(answering, browse, text, says, words):
    answering.says = says
    assert words in text(ask(browse("mira")))


def test_members_ask_about_themselves_without_typing_a_name(answering, browse, text, read):
    vera = browse("vera")
    assert "user" not in {field for form in read(vera.get(PAGE)).forms for field in form["fields"]}
    assert "vera can read and enter the project’s folder, but not write." in text(
        vera.get(PAGE, {"path": ""})
    )
    assert vera.get(PAGE, {"path": "", "user": "mira"}).status_code == 403


@pytest.mark.parametrize(
    ("path", "user", "words"),
    [("../x", "edda", "“..”"), ("x", "nobody", "There is no user “nobody”")],
)
def test_a_question_that_cannot_be_put_says_why_under_its_field(
    answering, browse, text, path, user, words
):
    page = ask(browse("mira"), path, user)
    assert page.status_code == 422 and words in text(page)
    assert 'id="id_check_' in page.content.decode() and f'value="{user}"' in page.content.decode()


def test_before_the_first_start_the_page_says_so(project, browse, text):
    page = ask(browse("mira"))
    assert page.status_code == 409 and "was never started" in text(page)


def test_a_node_that_is_away_or_silent_is_named(answering, browse, text, monkeypatch):
    monkeypatch.setattr(questions, "PATIENCE", 0.02)
    answering.silent = True
    page = ask(browse("mira"))
    assert page.status_code == 504 and "node-1 did not answer" in text(page)
    Node.objects.update(up=False, cause="Connection refused.")
    page = ask(browse("mira"))
    assert page.status_code == 503 and "Connection refused." in text(page)
    assert "is applied when it is back" in text(browse("mira").get(PAGE))


def test_what_a_node_or_a_person_wrote_is_shown_as_text(answering, project, cast, browse):
    actions.set_override(project, "edda", NASTY, "r-x", by=cast.mira)
    answering.says = {
        "kind": "file", "access": "r--", "looks": (Look(NASTY, NASTY + "\x1b[31m", "r--", "r--"),),
        "cause": NASTY + "\x1b[31m", "mend": NASTY,
    }  # fmt: skip
    pages = ask(browse("mira"), NASTY), browse("mira").get("/mira/forecast/activity")
    for page in pages:
        assert "<script>alert" not in page.content.decode()
    words = [line for line in pages[0].content.decode().splitlines() if "value=" not in line]
    for odd in ("\x1b", "\u202e"):
        assert odd not in "".join(words) + pages[1].content.decode()


def test_in_a_site_of_one_account_the_page_says_what_it_is_worth(
    project, browse, text, monkeypatch
):
    from aen_site.context import Site

    monkeypatch.setattr(Site, "single_account", "frieda")
    assert "so files tell nobody apart" in text(browse("mira").get(PAGE))


# --- stopping a project --------------------------------------------------------------------------


def test_stopping_a_project_lists_what_ends_and_ends_it(project, browse, run, text):
    run("mira", "lab", "running")
    run("edda", "terminal", "running")
    mira = browse("mira")
    assert "Stop project" in text(mira.get("/mira/forecast"))
    page = text(mira.get("/mira/forecast/apps/stop"))
    assert (
        "Stop 2 apps in forecast?" in page and "Terminal of edda" in page and "Keep running" in page
    )
    assert mira.post("/mira/forecast/apps/stop")["Location"] == "/mira/forecast"
    assert set(AppInstance.objects.values_list("state", flat=True)) == {"stopping"}
    assert "Stop project" not in text(mira.get("/mira/forecast"))


def test_an_editor_stops_their_own_apps(project, browse, run, text):
    run("mira", "lab", "running")
    assert "Stop my apps" not in text(browse("edda").get("/mira/forecast"))
    run("edda", "terminal", "running")
    assert "Stop my apps" in text(browse("edda").get("/mira/forecast"))
    assert "Stop 1 app in forecast?" in text(browse("edda").get("/mira/forecast/apps/stop"))
    browse("edda").post("/mira/forecast/apps/stop")
    assert AppInstance.objects.get(user__username="mira").state == "running"


def test_the_button_comes_with_the_moving_part_of_the_page(project, browse, run):
    run("mira", "lab", "running")
    part = browse("mira").get("/mira/forecast/workspace", headers={"HX-Request": "true"})
    assert '<span id="stop-project" class="aen-push" hx-swap-oob="true"><a' in part.content.decode()


def test_what_is_closed_by_hand_stops_nobody_without_saying_so(
    answering, project, cast, browse, text
):
    """The folders within a closed one are closed by the same setting."""
    actions.set_override(project, "edda", "secret", "---", by=cast.mira)
    looks = tuple(
        Look(path, "user:edda:", "---", "---") for path in ("secret", "secret/a", "secret/a/b")
    )
    answering.says = {"kind": "file", "access": "---", "looks": looks}
    page = text(ask(browse("mira"), "secret/a/b"))
    assert "mira set secret to no access for edda by hand" in page and "Decides" in page
    assert "can’t be entered" not in page


def test_removing_a_member_says_that_what_was_set_for_them_ends(project, cast, browse, text):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    page = text(browse("mira").get("/mira/forecast/settings/team/edda/remove"))
    assert "What was set by hand for edda on 1 file or folder" in page
