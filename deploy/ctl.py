"""Supervisor's own command for this site: ``python -m deploy.ctl status``, ``restart server``."""

import os
import sys

from deploy import paths
from deploy.say import Problem, problems_end_it


def main(arguments: list[str]) -> None:
    with problems_end_it():
        layout = paths.locate(os.environ, os.geteuid())
        if not os.access(layout.supervisor_config, os.R_OK):
            raise Problem(
                f"There is no site in {layout.home} that this account may control.",
                "",
                "Set AEN_HOME as it was when the site was started, and run this as the same account.",
            )
        command = [sys.executable, "-I", "-m", "supervisor.supervisorctl"]
        config = ["-c", str(layout.supervisor_config)]
        os.execv(sys.executable, [*command, *config, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
