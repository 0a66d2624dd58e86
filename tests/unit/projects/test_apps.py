import msgspec
import pytest
from django.http import Http404
from django.utils import timezone

from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import AuditEntry
from compute_agent.protocol import AppStatus, Forget, Launch, Snapshot, Step, Stop
from datacenters import outbox
from datacenters.models import Node
from gateway.protocol import Undelivered
from projects import actions, reconciler, reports
from projects.models import AppInstance


@pytest.fixture
def lab(project, cast):
    """Mira's JupyterLab, requested."""
    return actions.start_app(project, "lab", by=cast.mira)


def report(instance, state, revision=1, **fields):
    status = AppStatus(app_id=instance.pk.hex, revision=revision, state=state, **fields)
    reports.take(instance.node, status)
    instance.refresh_from_db()
    return instance


def due(center):
    return [command for _, _, command in reconciler.due(center.row.pk)]


def test_a_start_asks_for_the_persons_own_account_in_the_projects_directory(lab, center):
    (launch,) = due(center)
    assert isinstance(launch, Launch)
    assert (launch.account, launch.url_prefix) == ("mira", "/mira/forecast/lab/")
    assert [(m.account, m.access) for m in launch.project.members] == [
        ("max", "rwx"), ("edda", "rwx"), ("vera", "r-x"),
    ]  # fmt: skip


def test_a_second_start_returns_the_first(lab, project, cast):
    assert actions.start_app(project, "lab", by=cast.mira) == lab
    assert AppInstance.objects.count() == 1


def test_two_people_each_have_an_instance_of_their_own(lab, project, cast):
    assert actions.start_app(project, "lab", by=cast.edda) != lab


def test_who_did_not_stop_their_app_is_told_who_did(lab, project, cast):
    report(lab, "running")
    actions.stop_app(project, "lab", by=cast.max, user=cast.mira)
    report(lab, "stopped", revision=2)
    assert (lab.state, lab.cause) == ("stopped", "Stopped by max. Saved files are safe.")


def test_who_stopped_their_own_app_is_told_nothing(lab, project, cast):
    actions.stop_app(project, "lab", by=cast.mira)
    assert report(lab, "stopped").cause == ""


def test_an_app_that_ended_with_its_machine_is_stopped_and_says_why(lab):
    report(lab, "running")
    report(lab, "stopped", revision=2, cause="It ended when its node was restarted.")
    assert (lab.state, lab.cause) == ("stopped", "It ended when its node was restarted.")


def test_viewers_and_outsiders_start_nothing(project, cast):
    with pytest.raises(Forbidden):
        actions.start_app(project, "lab", by=cast.vera)
    with pytest.raises(Http404):
        actions.start_app(project, "lab", by=cast.otto)


def test_an_app_that_the_node_does_not_offer_is_refused(project, cast):
    with pytest.raises(Invalid, match="no app “chess”"):
        actions.start_app(project, "chess", by=cast.mira)


def test_without_a_node_the_cause_is_named(project, center, cast):
    Node.objects.update(last_seen=None, up=False, cause="Connection refused.")
    with pytest.raises(Conflict, match="Connection refused"):
        actions.start_app(project, "lab", by=cast.mira)


def test_a_command_is_sent_again_only_when_no_report_followed(lab, center):
    assert len(due(center)) == 1
    assert due(center) == []
    AppInstance.objects.update(commanded_at=timezone.now() - 2 * reconciler.RESEND)
    assert len(due(center)) == 1
    report(lab, "preparing")
    AppInstance.objects.update(commanded_at=timezone.now() - 2 * reconciler.RESEND)
    assert due(center) == []


def test_reports_carry_the_steps_to_the_page(lab):
    step = Step("account", 1.0, 0.02, "mira, uid 2014")
    report(lab, "preparing", progress=(step,), log=("account mira exists",))
    assert lab.progress == [msgspec.to_builtins(step)]
    assert lab.log == ["account mira exists"]


def test_an_old_report_changes_nothing(lab):
    report(lab, "running", revision=7)
    report(lab, "preparing", revision=3)
    assert lab.state == "running"
    assert lab.revision == 7


@pytest.mark.row(4)
def test_a_node_cannot_report_on_an_app_of_another_node(lab, center):
    other = Node.objects.create(name="node-2", data_center=center.row, address="unix:/x")
    reports.take(other, AppStatus(app_id=lab.pk.hex, revision=1, state="failed", cause="mine now"))
    lab.refresh_from_db()
    assert lab.state == "requested"


def test_a_stop_is_commanded_and_ends_only_when_the_node_says_so(lab, project, center, cast):
    report(lab, "running")
    actions.stop_app(project, "lab", by=cast.mira)
    assert due(center) == [Stop(lab.pk.hex)]
    lab.refresh_from_db()
    assert lab.state == "stopping"
    assert report(lab, "stopped", revision=2).state == "stopped"
    assert due(center) == [Forget(lab.pk.hex)]
    assert due(center) == []


def test_stopping_what_is_stopped_changes_nothing(lab, project, cast):
    report(lab, "stopped")
    assert actions.stop_app(project, "lab", by=cast.mira).state == "stopped"


def test_a_failure_keeps_its_cause_until_it_is_reset(lab, project, cast):
    report(lab, "failed", cause="Out of memory", mend="Ask for 8 GB.")
    assert (lab.state, lab.cause, lab.mend) == ("failed", "Out of memory", "Ask for 8 GB.")
    assert actions.reset_app(project, "lab", by=cast.mira).state == "stopped"


def test_what_an_app_uses_is_shown(lab, project, cast, client, call):
    report(lab, "running", memory=3 * 2**30, processors=1.5)
    shown = call(cast.mira, "get", "projects/mira/forecast/apps/lab")[1]
    assert (shown["memory"], shown["processors"]) == (3 * 2**30, 1.5)
    client.force_login(cast.mira)
    page = client.get("/").content.decode()
    assert "3.0" in page
    assert "1.5 processors busy" in page


def test_what_a_project_takes_on_disk_is_shown(lab, project, cast, client, call):
    report(lab, "running", project_disk=3 * 2**30)
    report(lab, "running", revision=1, project_disk=1)
    assert call(cast.mira, "get", "projects/mira/forecast")[1]["disk"] == 3 * 2**30
    client.force_login(cast.mira)
    assert "3.0\xa0GB on disk" in client.get("/mira/forecast").content.decode()
    report(lab, "running", revision=2, project_disk=2**80)
    project.refresh_from_db()
    assert project.disk == 2**63 - 1


def test_after_a_failure_the_app_can_be_started_again(lab, project, cast):
    report(lab, "failed", cause="Out of memory")
    assert actions.start_app(project, "lab", by=cast.mira) != lab


def test_an_app_that_the_node_does_not_know_any_more_has_ended(lab, center):
    report(lab, "running")
    reports.take(center.node, Snapshot(()))
    lab.refresh_from_db()
    assert (lab.state, lab.cause) == ("stopped", reports.LOST)


def test_an_app_that_only_the_node_knows_is_ended_there(center, cast):
    stray = "0" * 32
    reports.take(center.node, Snapshot((stray,)))
    assert [c for _, _, c in outbox.due(center.row.pk)] == [Stop(stray), Forget(stray)]


def test_an_app_that_was_given_up_and_lives_is_stopped(lab, center):
    report(lab, "failed", cause="gave up")
    report(lab, "running", revision=5)
    assert Stop(lab.pk.hex) in [c for _, _, c in outbox.due(center.row.pk)]


def test_a_launch_that_the_node_refuses_has_failed_with_the_nodes_words(lab, center):
    lost = Undelivered(center.node.pk.hex, lab.pk.hex, "“mira” is a system account.", final=True)
    reports.undelivered(center.node, lost)
    lab.refresh_from_db()
    assert (lab.state, lab.cause) == ("failed", "“mira” is a system account.")


def test_a_start_whose_node_stays_away_is_given_up_with_the_cause(lab):
    Node.objects.update(up=False, cause="Connection refused.")
    AppInstance.objects.update(requested_at=timezone.now() - 2 * reconciler.UNREACHABLE)
    reconciler.heal()
    lab.refresh_from_db()
    assert lab.state == "failed"
    assert "Connection refused" in lab.cause


def test_a_start_that_says_nothing_any_more_is_given_up(lab, settings):
    settings.AEN_START_TIMEOUT = 1
    AppInstance.objects.update(requested_at=timezone.now() - 2 * reconciler.UNREACHABLE)
    reconciler.heal()
    lab.refresh_from_db()
    assert lab.state == "failed"


@pytest.mark.rule(12)
def test_removing_a_member_ends_their_apps_there(project, cast):
    instance = actions.start_app(project, "lab", by=cast.edda)
    actions.remove_member(project, "edda", by=cast.mira)
    instance.refresh_from_db()
    assert (instance.state, instance.target) == ("stopping", "stopped")


@pytest.mark.rule(12)
def test_becoming_a_viewer_ends_the_apps_one_may_not_start_any_more(project, cast):
    instance = actions.start_app(project, "lab", by=cast.edda)
    actions.set_role(project, "edda", "viewer", by=cast.mira)
    instance.refresh_from_db()
    assert instance.state == "stopping"


def test_a_manager_stops_the_whole_project_an_editor_only_their_own(lab, project, cast):
    own = actions.start_app(project, "lab", by=cast.edda)
    actions.stop_project(project, by=cast.edda)
    lab.refresh_from_db()
    own.refresh_from_db()
    assert (lab.state, own.state) == ("requested", "stopping")
    actions.stop_project(project, by=cast.max)
    lab.refresh_from_db()
    assert lab.state == "stopping"


def test_what_happened_stands_in_the_audit(lab, project, cast):
    report(lab, "running")
    actions.stop_app(project, "lab", by=cast.mira)
    report(lab, "stopped", revision=2)
    verbs = AuditEntry.objects.filter(project_id=project.pk, verb__startswith="app.")
    assert list(verbs.order_by("at").values_list("verb", flat=True)) == [
        "app.start", "app.ready", "app.stop", "app.end",
    ]  # fmt: skip
