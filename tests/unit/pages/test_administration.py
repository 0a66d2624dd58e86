"""What administrators see and do."""

import pytest

from accounts.models import AuditEntry, User
from datacenters.models import Node


def test_counts_lead_to_their_lists(project, browse, run, read):
    run("edda", "lab", "running")
    ada = browse("ada")
    response = ada.get("/manage/")
    for count in response.context["counts"]:
        assert ada.get(count["url"]).status_code == 200, count
    values = {count["label"]: count["value"] for count in response.context["counts"]}
    assert values["Projects"] == 1 and values["Running apps"] == 1 and values["Users"] == 6


def test_a_node_that_is_away_is_said_with_its_cause(center, browse, text):
    Node.objects.update(up=False, cause="connection refused")
    page = text(browse("ada").get("/manage/"))
    assert ("connection refused" in page and "needs attention" in page) or "need attention" in page


def test_adding_a_user_gives_a_link_that_is_shown_once(center, browse, text):
    ada = browse("ada")
    response = ada.post("/manage/users/add", {"username": "new-one", "full_name": "N. One"})
    link = response.context["link"]
    assert response.status_code == 201 and link in response.content.decode()
    assert link not in ada.get("/manage/users").content.decode()
    assert "for new-one" in text(ada.get(link.removeprefix("http://testserver")))


@pytest.mark.django_db(transaction=True)
def test_a_bad_user_name_keeps_what_was_typed(center, browse, text):
    response = browse("ada").post("/manage/users/add", {"username": "Root", "full_name": "Kept"})
    assert response.status_code == 422
    assert "can’t be used" in text(response) and 'value="Kept"' in response.content.decode()
    assert browse("ada").post("/manage/users/add", {"username": "mira"}).status_code == 409


def test_locking_shuts_out_at_once_and_can_be_undone(center, browse, text):
    ada, vera = browse("ada"), browse("vera")
    page = ada.post("/manage/users/vera/lock", follow=True)
    assert "vera is locked out." in text(page) and "Undo" in text(page)
    assert vera.get("/").status_code == 302
    ada.post("/manage/users/vera/unlock")
    assert User.objects.get(username="vera").is_active


def test_one_cannot_lock_oneself_out(center, browse, text):
    response = browse("ada").post("/manage/users/ada/lock")
    assert response.status_code == 422 and "can’t lock yourself out" in text(response)


def test_anybodys_app_can_be_stopped(project, browse, run):
    row = run("edda", "lab", "running")
    browse("ada").post(f"/manage/apps/{row.pk}/stop")
    row.refresh_from_db()
    assert row.state == "stopping"
    assert browse("mira").post(f"/manage/apps/{row.pk}/stop").status_code == 404


def test_the_audit_log_is_filtered_and_escaped(project, browse, cast):
    AuditEntry.objects.create(
        actor_name="<i>eve</i>", verb="x.y", target="<script>", detail={"a": "<b>"}
    )
    ada = browse("ada")
    page = ada.get("/manage/audit").content.decode()
    assert "&lt;i&gt;eve" in page and "<script>&" not in page and "&lt;b&gt;" in page
    page = ada.get("/manage/audit?verb=team.set&actor=mira&q=forecast").content.decode()
    assert page.count('<span class="aen-mono">team.set') == 3
    assert "Nothing matches" in ada.get("/manage/audit?actor=nobody").content.decode()


def test_draining_a_node_is_a_form_with_undo(center, browse, text):
    page = browse("ada").post("/manage/nodes/node-1/drain", follow=True)
    assert "node-1 takes no new projects." in text(page)
    assert Node.objects.get().state == "draining"
    browse("ada").post("/manage/nodes/node-1/activate")
    assert Node.objects.get().state == "active"
