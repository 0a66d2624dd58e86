import pytest

from projects.lifecycle import ACTIVE, BUSY, ENDED, EVENTS, REPORTED, STATES, TABLE, after


def walk(*events):
    state = "requested"
    for event in events:
        state = after(state, event)
    return state


def test_an_ordinary_life():
    assert walk("prepare", "start", "answer") == "running"
    assert walk("prepare", "start", "answer", "stop", "end") == "stopped"


def test_the_table_covers_every_state_and_names_only_known_events():
    assert set(TABLE) == set(STATES)
    assert {event for row in TABLE.values() for event in row} <= set(EVENTS)


def test_lost_messages_skip_states():
    assert walk("answer") == "running"
    assert walk("prepare", "answer") == "running"


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_wakes_what_has_stopped(event):
    assert after("stopped", event) == "stopped"


@pytest.mark.parametrize("event", ["prepare", "start", "answer"])
def test_late_news_of_a_start_does_not_undo_a_stop(event):
    assert after("stopping", event) == "stopping"


def test_an_app_that_dies_while_stopping_has_stopped():
    assert walk("start", "answer", "stop", "fail") == "stopped"


def test_a_failure_waits_for_its_reset():
    assert walk("prepare", "fail") == "failed"
    assert walk("prepare", "fail", "end") == "failed"
    assert walk("prepare", "fail", "reset") == "stopped"


def test_every_reported_state_is_an_event():
    assert set(REPORTED.values()) <= set(EVENTS)


def test_each_state_is_active_or_ended():
    assert set(STATES) == ACTIVE | ENDED
    assert not ACTIVE & ENDED
    assert BUSY < ACTIVE
