"""Wire 2: what a gateway and a node say to each other.

The gateway dials the node's agent over HTTP/1.1, on a Unix socket on the same host or on port
5002 under mutual TLS. Five calls make up the whole wire:

=========================================  =====================================================
``GET  /v1/health``                        ``NodeStatus``
``POST /v1/commands``                      one ``Command``; 202 once the agent took it, else 4xx
                                           with ``Refusal``
``GET  /v1/events``                        NDJSON of ``Report``: ``NodeStatus``, one ``AppStatus``
                                           for each app it knows, ``Snapshot``, then every change;
                                           a ``NodeStatus`` at least every ``HEARTBEAT`` seconds;
                                           an answer once, for each question
``POST /v1/apps/<app_id>/connect``         with ``Upgrade: aen-stream``: 101, then the connection
                                           *is* a connection to the app; its header
                                           ``AEN-Inject`` carries ``Inject`` as JSON.
                                           With ``Upgrade: aen-socket, aen-stream``, on a Unix
                                           socket: 101 with ``Upgrade: aen-socket``, and beside its
                                           first byte (``SCM_RIGHTS``) a socket that is connected
                                           to the app; the agent closes the one that asked
``POST /v1/used``                          ``Used``: over which sockets so passed bytes went since
                                           the last time; 202
=========================================  =====================================================

On the Unix socket a connection may also begin with a header of the PROXY protocol, version 2, whose
unique id is an ``app_id``: then it *is* a connection to that app from its next byte, and nothing is
injected. If the app is not running it is closed without an answer.

The server writes commands and reads reports; the gateway relays both unopened. This package is
pure: it holds types and their JSON form, and does no input or output.
"""

from .environments import (
    ENVIRONMENTS_APP,
    EnvironmentChange,
    EnvironmentInfo,
    EnvironmentsFound,
    PackageInfo,
)
from .messages import (
    HEARTBEAT,
    PASSED,
    STEPS,
    UPGRADE,
    Answer,
    AppOffer,
    AppStatus,
    Command,
    Explain,
    Explanation,
    FindEnvironments,
    Forget,
    Inject,
    Launch,
    Look,
    Member,
    NodeStatus,
    Override,
    ProjectSpec,
    Question,
    Refusal,
    RemoveProject,
    Report,
    SecureProject,
    Snapshot,
    Step,
    Stop,
    Used,
    decode_command,
    decode_report,
    decode_used,
    encode,
)

__all__ = [
    "ENVIRONMENTS_APP",
    "HEARTBEAT",
    "PASSED",
    "STEPS",
    "UPGRADE",
    "Answer",
    "AppOffer",
    "AppStatus",
    "Command",
    "EnvironmentChange",
    "EnvironmentInfo",
    "EnvironmentsFound",
    "Explain",
    "Explanation",
    "FindEnvironments",
    "Forget",
    "Inject",
    "Launch",
    "Look",
    "Member",
    "NodeStatus",
    "Override",
    "PackageInfo",
    "ProjectSpec",
    "Question",
    "Refusal",
    "RemoveProject",
    "Report",
    "SecureProject",
    "Snapshot",
    "Step",
    "Stop",
    "Used",
    "decode_command",
    "decode_report",
    "decode_used",
    "encode",
]
