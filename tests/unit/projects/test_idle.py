"""Apps that nobody uses: when they are stopped, what is said before, and what keeps them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from accounts.errors import Forbidden
from accounts.models import AuditEntry
from aen_site import environment
from compute_agent.protocol import AppStatus, Stop
from datacenters.models import Node
from projects import actions, idle, reconciler, reports
from projects.models import AppInstance

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
CAUSE = "Stopped after 8 h without activity. Saved files are safe."


@pytest.fixture(autouse=True)
def clock(monkeypatch, settings):
    """A clock that stands at ``NOW``, and a site that stops apps after 8 hours."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    settings.AEN_IDLE_STOP = 8.0


@pytest.fixture
def lab(project, center, cast):
    """Mira's JupyterLab, which has been running for a day."""
    Node.objects.update(last_seen=NOW)
    row = actions.start_app(project, "lab", by=cast.mira)
    return having(row, state="running", running_at=NOW - 24 * HOUR)


def having(row, **fields):
    AppInstance.objects.filter(pk=row.pk).update(**fields)
    return AppInstance.objects.select_related("node").get(pk=row.pk)


def look(row):
    idle.stop_unused([row.node_id])
    row.refresh_from_db()
    return row.state


@pytest.mark.parametrize(
    ("fields", "site", "app", "state"),
    [
        ({"active_at": NOW - 9 * HOUR}, 8, {}, "stopping"),
        ({"active_at": NOW - 7 * HOUR}, 8, {}, "running"),
        ({"active_at": NOW - 9 * HOUR, "kept_at": NOW - 7 * HOUR}, 8, {}, "running"),
        ({"active_at": NOW - 9 * HOUR, "kept_at": NOW - 9 * HOUR}, 8, {}, "stopping"),
        ({"active_at": NOW - 9 * HOUR, "running_at": NOW - HOUR}, 8, {}, "running"),
        ({"active_at": None}, 8, {}, "running"),
        ({"active_at": NOW - 9 * HOUR, "state": "starting"}, 8, {}, "starting"),
        ({"active_at": NOW - 9 * HOUR}, 0, {"lab": 8}, "stopping"),
        ({"active_at": NOW - 9 * HOUR}, 0, {"terminal": 8}, "running"),
        ({"active_at": NOW - 9 * HOUR}, 8, {"lab": 24}, "running"),
        ({"active_at": NOW - 9 * HOUR}, 8, {"lab": 0}, "running"),
        ({"active_at": NOW - 3 * HOUR}, 8, {"lab": 2}, "stopping"),
    ],
)
def test_an_app_is_stopped_when_nobody_used_it_for_its_limit(
    lab, settings, fields, site, app, state
):
    settings.AEN_IDLE_STOP, settings.AEN_IDLE_STOP_APPS = site, app
    assert look(having(lab, **fields)) == state


def test_a_site_that_sets_nothing_stops_nothing(lab, settings):
    settings.AEN_IDLE_STOP = 0
    having(lab, active_at=NOW - 1000 * HOUR)
    reconciler.heal()
    lab.refresh_from_db()
    assert lab.state == "running"


@pytest.mark.parametrize("away", [{"up": False}, {"last_seen": NOW - HOUR}])
def test_an_app_whose_node_is_away_goes_on(lab, away):
    lab = having(lab, active_at=NOW - 9 * HOUR)
    Node.objects.update(**away)
    assert look(lab) == "running"


def test_a_node_that_came_back_has_time_to_say_what_its_apps_did(lab, monkeypatch):
    nodes, at = idle.SteadyNodes(), NOW

    def seen(**fields):
        monkeypatch.setattr("django.utils.timezone.now", lambda: at)
        Node.objects.update(last_seen=at, **fields)
        return nodes.look()

    assert seen() == []
    at += idle.STEADY
    assert seen() == [lab.node_id]
    assert seen(up=False) == []
    assert seen(up=True) == []
    at += idle.STEADY
    assert seen() == [lab.node_id]


def test_the_person_reads_why_and_the_audit_says_who_did_it(lab, project, cast, client, center):
    lab = having(lab, active_at=NOW - 9 * HOUR)
    look(lab)
    entry = AuditEntry.objects.get(verb="app.idle")
    assert (entry.actor_name, entry.detail["app"], entry.detail["user"]) == (
        "system",
        "lab",
        "mira",
    )
    assert Stop(lab.pk.hex) in [command for _, _, command in reconciler.due(center.row.pk)]
    reports.take(center.node, AppStatus(app_id=lab.pk.hex, revision=9, state="stopped"))
    lab.refresh_from_db()
    assert (lab.state, lab.cause) == ("stopped", CAUSE)
    client.force_login(cast.mira)
    assert CAUSE in client.get("/mira/forecast").content.decode()


def test_what_the_node_reports_of_use_counts_and_none_of_it_lies_in_the_future(lab, center):
    def report(revision, at):
        status = AppStatus(lab.pk.hex, revision, "running", active_at=at)
        reports.take(center.node, status)
        lab.refresh_from_db()
        return lab.active_at

    assert report(1, (NOW - HOUR).timestamp()) == NOW - HOUR
    assert report(2, None) == NOW - HOUR
    assert report(3, 1e300) == NOW
    assert report(4, -1e300) == datetime.fromtimestamp(0, UTC)


# --- before it is stopped ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unused", "hours", "minutes"),
    [
        (8 * HOUR - 11 * MINUTE, 8, None),
        (8 * HOUR - 9.5 * MINUTE, 8, 10),
        (8 * HOUR - 0.5 * MINUTE, 8, 1),
        (8 * HOUR + MINUTE, 8, 1),
        (25 * MINUTE, 0.5, None),
        (28 * MINUTE, 0.5, 2),
        (100 * HOUR, 0, None),
    ],
)
def test_the_warning_comes_ten_minutes_or_a_tenth_before(lab, settings, unused, hours, minutes):
    settings.AEN_IDLE_STOP = hours
    assert idle.minutes_left(having(lab, active_at=NOW - unused)) == minutes


@pytest.fixture
def warned(lab):
    return having(lab, active_at=NOW - 8 * HOUR + 9 * MINUTE)


@pytest.mark.parametrize("page", ["/mira/forecast", "/", "/running/"])
def test_pages_say_when_it_stops_and_one_click_keeps_it(warned, cast, client, page):
    client.force_login(cast.mira)
    shown = client.get(page).content.decode()
    assert "Stops in 9 min unless it is used" in shown
    assert 'action="/mira/forecast/apps/lab/keep"' in shown
    back = client.post("/mira/forecast/apps/lab/keep", {"next": page})
    assert (back.status_code, back.url) == (302, page)
    assert "Stops in" not in client.get(page).content.decode()
    warned.refresh_from_db()
    assert warned.kept_at == NOW


def test_an_open_page_gets_the_warning_by_itself(lab, cast, client):
    client.force_login(cast.mira)
    before = having(lab, active_at=NOW - HOUR)
    page = client.get("/mira/forecast")
    seen = page.context["workspace"].seen
    address = f"/mira/forecast/workspace?seen={seen}"
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
    having(before, active_at=NOW - 8 * HOUR + 9 * MINUTE)
    part = client.get(address, headers={"HX-Request": "true"})
    assert "Stops in 9 min" in part.content.decode()
    assert "JupyterLab stops soon unless it is used" in part.content.decode()


def test_over_rest_one_sees_when_it_stops_and_keeps_it(warned, cast, call):
    shown = call(cast.mira, "get", "projects/mira/forecast/apps/lab")[1]
    assert shown["active_at"].startswith("2026-03-02T04:09:00")
    assert shown["stops_at"].startswith("2026-03-02T12:09:00")
    status, kept = call(cast.mira, "post", "projects/mira/forecast/apps/lab/keep")
    assert (status, kept["stops_at"][:19]) == (200, "2026-03-02T20:00:00")
    assert call(cast.mira, "post", "projects/mira/forecast/apps/chess/keep")[0] == 404


def test_nobody_keeps_the_app_of_somebody_else(warned, project, cast, call):
    with pytest.raises(Forbidden):
        actions.keep_app(project, "lab", by=cast.vera)
    assert actions.keep_app(project, "lab", by=cast.max) is None
    assert call(cast.otto, "post", "projects/mira/forecast/apps/lab/keep")[0] == 404
    warned.refresh_from_db()
    assert warned.kept_at is None


def test_keeping_needs_the_pages_own_form(warned, cast):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.mira)
    assert client.get("/mira/forecast/apps/lab/keep").status_code == 405
    assert client.post("/mira/forecast/apps/lab/keep").status_code == 403


# --- the settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "hours"), [("", 0), ("0", 0), ("8", 8), ("1.5", 1.5), (" 24 ", 24)]
)
def test_the_limit_is_a_number_of_hours(monkeypatch, value, hours):
    monkeypatch.setenv("AEN_IDLE_STOP", value)
    assert environment.hours("AEN_IDLE_STOP") == hours


@pytest.mark.parametrize("value", ["8h", "-1", "nan", "inf", "0.01", "1e9"])
def test_a_bad_limit_is_named_with_its_mend(monkeypatch, value):
    monkeypatch.setenv("AEN_IDLE_STOP", value)
    with pytest.raises(ImproperlyConfigured, match=f"AEN_IDLE_STOP has “{value}”.*0 for never"):
        environment.hours("AEN_IDLE_STOP")


def test_single_apps_have_limits_of_their_own(monkeypatch):
    monkeypatch.setenv("AEN_IDLE_STOP_APPS", "lab=24, terminal = 2,voila=0,")
    found = environment.hours_of_apps("AEN_IDLE_STOP_APPS")
    assert found == {"lab": 24, "terminal": 2, "voila": 0}


@pytest.mark.parametrize(
    "value", ["lab", "lab:2", "lab=2,lab=3", "=2", "Lab=2", "lab=soon", "lab="]
)
def test_bad_limits_of_apps_are_named_with_their_mend(monkeypatch, value):
    monkeypatch.setenv("AEN_IDLE_STOP_APPS", value)
    with pytest.raises(ImproperlyConfigured, match=r"AEN_IDLE_STOP_APPS has .*(lab=24|hours)"):
        environment.hours_of_apps("AEN_IDLE_STOP_APPS")
