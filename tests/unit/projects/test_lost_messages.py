"""Commands and reports that are lost, late, doubled, or not true."""

from datetime import timedelta

import msgspec
import pytest
from django.utils import timezone

from accounts.errors import Conflict
from accounts.models import AuditEntry
from compute_agent.protocol import (
    AppStatus,
    Forget,
    RemoveProject,
    SecureProject,
    Snapshot,
    Step,
    Stop,
)
from datacenters import actions as datacenters
from datacenters import outbox
from datacenters.models import Node, NodeCommand
from gateway.protocol import Undelivered
from projects import actions, reconciler, reports
from projects.models import AppInstance, Project


@pytest.fixture
def lab(project, cast):
    return actions.start_app(project, "lab", by=cast.mira)


def sent(center):
    return [command for _, _, command in outbox.due(center.row.pk)]


def members(command):
    return [member.account for member in command.project.members]


def report(row, state, revision=1, **fields):
    reports.take(row.node, AppStatus(app_id=row.pk.hex, revision=revision, state=state, **fields))
    row.refresh_from_db()
    return row


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.rule(12)
def test_a_late_command_lets_nobody_in_again_who_was_removed(lab, project, center, cast):
    actions.set_role(project, "otto", "editor", by=cast.mira)
    ((node, pk, first),) = outbox.due(center.row.pk)
    actions.remove_member(project, "otto", by=cast.mira)
    assert "otto" in members(first)
    assert "otto" not in members(sent(center)[0])
    outbox.undelivered(node, pk, final=False)
    (again,) = sent(center)
    assert isinstance(again, SecureProject) and "otto" not in members(again)


def test_a_command_for_the_permissions_of_a_deleted_project_is_dropped(lab, project, center, cast):
    actions.set_role(project, "otto", "editor", by=cast.mira)
    actions.delete_project(project, by=cast.mira)
    assert [type(command) for command in sent(center)] == [RemoveProject]


def test_a_new_project_of_the_same_name_keeps_its_files(lab, project, center, cast):
    actions.delete_project(project, by=cast.mira)
    ((node, pk, _),) = outbox.due(center.row.pk)
    new = actions.create_project(cast.mira, "forecast")
    actions.start_app(new, "lab", by=cast.mira)
    outbox.undelivered(node, pk, final=False)
    assert [type(c) for c in sent(center)] == [RemoveProject]  # nothing of the new one is there yet
    list(reconciler.due(center.row.pk))
    outbox.undelivered(node, pk, final=False)
    assert sent(center) == []


def test_what_a_gateway_may_have_lost_is_sent_again_when_it_is_back(lab, project, center, cast):
    actions.set_role(project, "otto", "editor", by=cast.mira)
    assert len(sent(center)) == 1
    outbox.send_again(center.row.pk)
    assert len(sent(center)) == 1
    NodeCommand.objects.update(sent_at=timezone.now() - 2 * outbox.IN_DOUBT)
    outbox.send_again(center.row.pk)
    assert sent(center) == []


@pytest.mark.row(4)
def test_a_node_cannot_bring_back_a_command_of_another(lab, project, center, cast):
    actions.set_role(project, "otto", "editor", by=cast.mira)
    ((_, pk, _),) = outbox.due(center.row.pk)
    other = Node.objects.create(name="node-2", data_center=center.row, address="unix:/x")
    outbox.undelivered(other, pk, final=False)
    assert sent(center) == []


def test_deleting_a_project_removes_it_on_its_node_with_all_that_runs_there(
    lab, project, cast, center
):
    report(lab, "running")
    actions.delete_project(project, by=cast.mira)
    assert not AppInstance.objects.exists()
    (command,) = sent(center)
    assert (command.project.owner, command.project.name) == ("mira", "forecast")


# --- reports -------------------------------------------------------------------------------------


def test_an_app_that_lives_on_after_it_was_given_up_is_told_to_stop_once(lab, center):
    report(lab, "failed", cause="gave up")
    for revision in range(2, 40):
        report(lab, "running", revision=revision)
    assert sent(center) == [Stop(lab.pk.hex)]


def test_what_ended_late_is_forgotten_in_the_end(lab, center):
    lab.node  # noqa: B018
    actions.stop_app(lab.project, "lab", by=lab.user)
    report(lab, "stopped")
    forget = [command for _, _, command in reconciler.due(center.row.pk)]
    assert forget == [Forget(lab.pk.hex)]
    AppInstance.objects.update(commanded_at=timezone.now() - 2 * reconciler.RESEND)
    assert list(reconciler.due(center.row.pk)) == []
    reports.take(lab.node, Snapshot((lab.pk.hex,)))  # it has it still
    assert [c for _, _, c in reconciler.due(center.row.pk)] == forget


def test_ids_that_are_none_do_not_spoil_the_others_of_a_snapshot(lab, center):
    report(lab, "running")
    stray = "0" * 32
    reports.take(center.node, Snapshot(("../../etc", "", "x" * 32, "A" * 32, stray, lab.pk.hex)))
    lab.refresh_from_db()
    assert lab.state == "running"
    assert sent(center) == [Stop(stray), Forget(stray)]


def test_a_node_does_not_fill_the_database(lab):
    steps = tuple(Step("x" * 10_000, 1.0, 1.0, "y" * 10_000) for _ in range(500))
    report(lab, "running", progress=steps, log=("z" * 100_000,) * 1000, cause="c" * 10_000)
    assert len(msgspec.json.encode([lab.progress, lab.log])) < 1_000_000


@pytest.mark.parametrize("number", [2**63, 2**64, 10**30, -(10**30)])
def test_numbers_beyond_the_database_are_no_error(number, lab, center):
    from datacenters import wire

    body = {
        "type": "app",
        "app_id": lab.pk.hex,
        "revision": abs(number),
        "state": "running",
        "memory": number,
    }
    wire._report(center.node, msgspec.json.encode(body | {"revision": 5}))
    lab.refresh_from_db()
    assert lab.state == "running"


def test_reports_in_any_order_end_with_the_newest(lab):
    for revision, state in [
        (3, "starting"),
        (1, "preparing"),
        (4, "running"),
        (2, "preparing"),
        (4, "running"),
    ]:
        report(lab, state, revision)
    assert (lab.state, lab.revision) == ("running", 4)


def test_an_app_whose_name_is_no_name_breaks_no_page(center, project, cast, client):
    odd = [
        {"name": name, "title": "Odd", "icon": "x", "landing": ""}
        for name in ("../x", "", "A b", "x" * 40)
    ]
    Node.objects.update(status={"apps": odd})
    client.force_login(cast.mira)
    assert client.get("/mira/forecast").status_code == 200
    assert client.get("/").status_code == 200


def test_a_launch_that_did_not_arrive_is_sent_again(lab, center):
    list(reconciler.due(center.row.pk))
    lost = Undelivered(center.node.pk.hex, lab.pk.hex, "timed out", final=False)
    reports.undelivered(center.node, lost)
    AppInstance.objects.update(commanded_at=timezone.now() - 2 * reconciler.RESEND)
    assert len(list(reconciler.due(center.row.pk))) == 1


# --- what is written down ------------------------------------------------------------------------


def test_each_app_that_a_manager_stops_is_audited_once(lab, project, cast):
    actions.start_app(project, "terminal", by=cast.edda)
    for _ in range(3):
        actions.stop_project(project, by=cast.max)
        actions.stop_app(project, "lab", by=cast.mira)
    rows = AuditEntry.objects.filter(verb="app.stop").order_by("detail__app")
    assert [(row.actor_name, row.detail) for row in rows] == [
        ("max", {"app": "lab", "user": "mira"}),
        ("max", {"app": "terminal", "user": "edda"}),
    ]


def test_a_reset_is_audited(lab, project, cast):
    report(lab, "failed", cause="x")
    actions.reset_app(project, "lab", by=cast.mira)
    assert AuditEntry.objects.filter(verb="app.reset", actor_name="mira").exists()


# --- data centers --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_node_on_which_apps_run_is_not_removed(lab, center):
    Project.objects.update(node=None)
    with pytest.raises(Conflict, match="Apps still run"):
        datacenters.remove_node(center.node, by=None)
    report(lab, "stopped")
    datacenters.remove_node(center.node, by=None)
    assert not Node.objects.exists()


@pytest.mark.parametrize(
    "url",
    ["http://g.test; script-src *", "http://g.test\r\nX: y", "http://", "javascript:1", "http://u:p@g.test",
     "http://g.test:x", "http://g.test?x", "http://g.test#x", "http://[", "http://g.test ,http://evil"],
)  # fmt: skip
def test_a_gateways_address_cannot_change_the_headers_of_pages(url, center):
    from accounts.errors import Invalid

    with pytest.raises(Invalid):
        datacenters.enroll_gateway("south", center.row, url, by=None)
    with pytest.raises(Invalid):
        datacenters.move_gateway(center.gateway, url, by=None)


def test_a_start_of_which_its_node_says_the_same_again_goes_on(lab):
    report(lab, "preparing", 3)
    AppInstance.objects.update(reported_at=timezone.now() - timedelta(hours=1))
    report(lab, "preparing", 3)
    reconciler.heal()
    lab.refresh_from_db()
    assert lab.state == "preparing"


def test_after_a_while_without_the_database_nothing_is_given_up_at_once(lab, monkeypatch):
    """Nobody could write down that the node was there."""
    report(lab, "preparing")
    AppInstance.objects.update(reported_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr(reconciler, "_patient_until", 0.0)
    reconciler.database_was_away()
    reconciler.heal()
    lab.refresh_from_db()
    assert lab.state == "preparing"
    monkeypatch.setattr(reconciler, "_patient_until", 0.0)
    reconciler.heal()
    lab.refresh_from_db()
    assert lab.state == "failed"
