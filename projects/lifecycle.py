"""The life of an app as a table: state × event → state.

A row keeps what people want (``target``) and what was last reported (``state``). Events come from
people (``stop``, ``reset``) and from the node; an event that the table does not name in a state is
stale news and changes nothing. Pure: no Django, no clock, no I/O.
"""

from typing import Final, Literal, get_args

State = Literal["requested", "preparing", "starting", "running", "stopping", "stopped", "failed"]
Event = Literal[
    "prepare",  # the node took the launch and prepares account, directory, permissions, environment
    "start",  # its process was started
    "answer",  # it answered: people can use it
    "stop",  # somebody asked for its end
    "end",  # the node says that no process is left
    "fail",  # the node, or the reconciler, says that it can't go on, and why
    "reset",  # a person has read the cause
]
Target = Literal["running", "stopped"]

STATES: Final[tuple[State, ...]] = get_args(State)
EVENTS: Final[tuple[Event, ...]] = get_args(Event)

TABLE: Final[dict[State, dict[Event, State]]] = {
    "requested": {
        "prepare": "preparing",
        "start": "starting",
        "answer": "running",
        "stop": "stopping",
        "end": "stopped",
        "fail": "failed",
    },
    "preparing": {
        "start": "starting",
        "answer": "running",
        "stop": "stopping",
        "end": "stopped",
        "fail": "failed",
    },
    "starting": {"answer": "running", "stop": "stopping", "end": "stopped", "fail": "failed"},
    "running": {"stop": "stopping", "end": "stopped", "fail": "failed"},
    # What was asked to end and died of it has ended: its exit is no failure.
    "stopping": {"end": "stopped", "fail": "stopped"},
    "stopped": {},
    "failed": {"reset": "stopped"},
}

#: What a node reports, as events.
REPORTED: Final[dict[str, Event]] = {
    "preparing": "prepare",
    "starting": "start",
    "running": "answer",
    "stopping": "stop",
    "stopped": "end",
    "failed": "fail",
}

#: Somebody waits for something.
BUSY: Final[frozenset[State]] = frozenset({"requested", "preparing", "starting", "stopping"})
#: There may be a process.
ACTIVE: Final[frozenset[State]] = BUSY | {"running"}
ENDED: Final[frozenset[State]] = frozenset({"stopped", "failed"})


def after(state: State, event: Event) -> State:
    """Return the state after ``event``; the same state when the event is stale there."""
    return TABLE[state].get(event, state)
