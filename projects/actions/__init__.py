"""Every change to projects, teams and apps, audited.

Pages, REST, the admin and commands call these, and nothing else changes the rows.
"""

from .apps import (
    keep_app,
    reset_app,
    start_app,
    stop_app,
    stop_instance,
    stop_project,
    stoppable,
)
from .environments import (
    cancel_change,
    change,
    changes,
    clone_environment,
    create_environment,
    delete_environment,
    dismiss_change,
    install_packages,
    remove_packages,
)
from .permissions import remove_override, set_override
from .project import (
    DESCRIPTION_LIMIT,
    SUMMARY_LIMIT,
    create_project,
    delete_project,
    update_project,
)
from .securing import secure
from .team import drop_from_team, remove_member, set_role

__all__ = [
    "DESCRIPTION_LIMIT",
    "SUMMARY_LIMIT",
    "cancel_change",
    "change",
    "changes",
    "clone_environment",
    "create_environment",
    "create_project",
    "delete_environment",
    "delete_project",
    "dismiss_change",
    "drop_from_team",
    "install_packages",
    "keep_app",
    "remove_member",
    "remove_override",
    "remove_packages",
    "reset_app",
    "secure",
    "set_override",
    "set_role",
    "start_app",
    "stop_app",
    "stop_instance",
    "stop_project",
    "stoppable",
    "update_project",
]
