"""A process that visits a part of a tree. Run by file name with ``python -I -S``.

Its one argument is the number of the project directory's descriptor, which it inherits. On
standard input come messages, each a length and then that many bytes: first the rules, then places
to visit. For each list of places it answers with what came of it, and with the places that are
left once it has seen enough. It ends when its input does.
"""

import contextlib
import marshal
import os
import struct
import sys
from typing import IO, Any

#: Entries after which the rest is handed back, so that others can take a part.
CHUNK = 1500
_LENGTH = struct.Struct("=Q")


def send(pipe: IO[bytes], message: Any) -> None:
    """Write one message of plain types."""
    data = marshal.dumps(message)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Return the next message; raises ``EOFError`` at the end."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    length = _LENGTH.unpack(head)[0]
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return marshal.loads(data)  # noqa: S302 - what is at the other end is ours


def main() -> None:
    _find_package()
    from compute_agent.host.permissions.policy import Policy
    from compute_agent.host.permissions.records import unpack
    from compute_agent.host.permissions.rules import Override, Rules
    from compute_agent.host.permissions.walk import Walk

    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    fields, overrides, records, marked = receive(incoming)
    rules = Rules(*fields)._replace(overrides=tuple(Override(*one) for one in overrides))
    walk = Walk(int(sys.argv[1]), Policy(rules), marked=marked, own_directory=True)
    walk.known = unpack(records)
    send(outgoing, None)
    while True:
        places = receive(incoming)
        try:
            while places and walk.tally.looked_at < CHUNK:
                places += walk.visit(places.pop())
        except OSError as error:
            send(outgoing, (error.errno, error.filename, {}, []))
            return
        send(outgoing, (0, None, walk.tally.message(), places))


def _find_package() -> None:
    """Make our modules known, but not all that the agent needs of them.

    To import that takes longer than a small tree to visit.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.abspath(here + "/../../.."))
    package = type(sys)("compute_agent.host.permissions")
    package.__path__ = [here]
    sys.modules[package.__name__] = package


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        main()
