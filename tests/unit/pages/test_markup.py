"""Rules that hold for every page: one heading, no inline code, escaped input, forms for all acts."""

import pytest
from django.test import Client

NASTY = "<script>alert(1)</script>'\"&\x1b[31m"
PAGES = [
    "/", "/?tab=public", "/?tab=owned", "/explore/", "/explore/?q=<script>", "/running/", "/new/",
    "/accounts/", "/mira/forecast", "/mira/forecast/activity", "/mira/forecast/settings",
    "/mira/forecast/permissions", "/mira/forecast/permissions?path=x", "/mira/forecast/apps/stop",
    "/mira/forecast/settings/team", "/mira/forecast/settings/team/edda/remove",
    "/mira/forecast/settings/visibility", "/mira/forecast/settings/data-center",
    "/mira/forecast/settings/delete", "/manage/", "/manage/users", "/manage/audit",
    "/manage/data-centers", "/manage/apps", "/manage/apps?state=failed", "/manage/projects",
    "/manage/queue", "/no/such-page",
]  # fmt: skip


@pytest.fixture
def mira(browse, cast):
    cast.mira.is_staff = cast.mira.is_superuser = True
    cast.mira.save()
    return browse("mira")


@pytest.fixture
def lively(run, cast, answering):
    """Runs in every state, with text in them that an app wrote."""
    step = {"step": "account", "at": 0, "seconds": 0.1, "fact": NASTY}
    run(
        "mira",
        "lab",
        "starting",
        progress=[step, {"step": "directory", "at": 0, "seconds": None}],
        log=[NASTY],
    )
    run("mira", "notebook", "failed", cause=NASTY, mend=NASTY, log=[NASTY], progress=[step])
    run("edda", "lab", "running", memory=10**9)


def test_a_page_has_one_heading_of_the_first_level_and_a_title(project, mira, lively, read):
    for path in PAGES:
        tags = [tag for tag, _ in read(mira.get(path)).tags]
        assert tags.count("h1") == 1, path
        assert tags.count("title") == 1 and tags.count("main") == 1, path


def test_a_page_has_no_inline_code_or_style(project, mira, lively, read):
    for path in PAGES:
        page = read(mira.get(path))
        assert page.scripts == [], path
        for tag, attrs in page.tags:
            assert not [
                name for name in attrs if name.startswith(("on", "hx-on")) or name == "style"
            ], (path, tag)
            assert tag != "script" or attrs["src"].startswith("/static/"), path


def test_ids_stand_once_and_labels_have_their_field(project, mira, lively, read):
    for path in PAGES:
        tags = read(mira.get(path)).tags
        ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
        assert sorted(ids) == sorted(set(ids)), path
        for tag, attrs in tags:
            if tag == "label" and "for" in attrs:
                assert attrs["for"] in ids, (path, attrs)


def test_all_that_htmx_posts_is_a_form_too(project, mira, lively, read):
    for path in PAGES:
        for tag, attrs in read(mira.get(path)).tags:
            if "hx-post" in attrs and tag == "form":
                assert attrs["method"] == "post" and attrs["action"] == attrs["hx-post"], path


def test_every_post_form_carries_its_token(project, mira, lively, read):
    for path in PAGES:
        for form in read(mira.get(path)).forms:
            if form["attrs"].get("method") == "post":
                assert form["fields"].get("csrfmiddlewaretoken"), (path, form)


def test_icons_are_hidden_from_people_who_listen(project, mira, lively, read):
    for path in PAGES:
        for tag, attrs in read(mira.get(path)).tags:
            if tag == "svg":
                assert attrs.get("aria-hidden") == "true" or attrs.get("aria-label"), path


@pytest.mark.row(15)
def test_what_people_and_apps_wrote_is_shown_as_text(project, mira, lively, cast):
    from projects import actions

    actions.update_project(
        project,
        by=cast.mira,
        summary=NASTY,
        description=f"# Hi\n\n{NASTY}\n\n[x](javascript:alert)",
    )
    cast.mira.first_name = NASTY
    cast.mira.save()
    for path in PAGES:
        page = mira.get(path).content.decode()
        assert "<script>alert" not in page, path
        assert 'href="javascript' not in page, path


@pytest.mark.row(15)
def test_terminal_escapes_of_an_app_do_not_reach_the_page(project, mira, lively):
    assert "\x1b" not in mira.get("/mira/forecast").content.decode()


def test_the_policy_allows_nothing_inline(project, mira):
    policy = mira.get("/")["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'self'" in policy


def test_pages_of_people_are_not_kept_by_caches(project, mira):
    assert "no-store" in mira.get("/mira/forecast")["Cache-Control"]


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "503"])
def test_error_pages_stand_by_themselves(name):
    from django.template.loader import render_to_string

    page = render_to_string(f"{name}.html")
    assert page.count("<h1>") == 1 and "Traceback" not in page


def test_a_server_error_shows_no_traceback(project, cast, monkeypatch):
    from projects.views import lists

    monkeypatch.setattr(lists, "summaries", lambda *args: 1 / 0)
    client = Client(raise_request_exception=False)
    client.force_login(cast.mira)
    response = client.get("/")
    assert response.status_code == 500
    assert (
        "AEN could not answer" in response.content.decode()
        and "ZeroDivision" not in response.content.decode()
    )


def test_in_a_site_of_one_account_every_page_says_so(project, mira, monkeypatch):
    from aen_site.context import Site

    assert "Every app here runs as" not in mira.get("/").content.decode()
    monkeypatch.setattr(Site, "single_account", "frieda")
    for path in ("/", "/mira/forecast", "/manage/"):
        assert "Every app here runs as frieda" in mira.get(path).content.decode()
