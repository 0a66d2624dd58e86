#!/usr/bin/env python3
"""The commands of the running site: ``python3 manage.py help``. Needs nothing activated.

Under the checkout's own .venv the checkout's code runs (for developers); under any other Python
the installed copy in AEN_HOME/venv does, which is what the site runs.
"""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - people may start it with any
        sys.exit("manage.py needs Python 3.11 or newer.")
    from deploy import paths
    from deploy.say import Problem, problems_end_it

    os.environ["AEN_CHECKOUT"] = str(CHECKOUT)
    if Path(sys.prefix).resolve() == CHECKOUT / ".venv":
        from deploy.manage import main as run

        return run(sys.argv[1:])
    with problems_end_it():
        layout = paths.locate(os.environ, os.geteuid(), CHECKOUT)
        if not layout.python.exists():
            raise Problem(
                f"AEN is not installed in {layout.home}.",
                "",
                "Run make run first, or set AEN_HOME to the directory of the site.",
            )
        os.environ["AEN_HOME"] = str(layout.home)
    command = [str(layout.python), "-I", "-m", "deploy.manage", *sys.argv[1:]]
    os.execv(layout.python, command)  # noqa: S606


if __name__ == "__main__":
    main()
