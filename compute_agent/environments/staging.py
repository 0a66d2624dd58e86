"""An environment that is being made: filled beside its project, and moved in when it is whole."""

import errno
import os
import threading
from typing import NamedTuple

from compute_agent.environments import listing
from compute_agent.environments.listing import ENVIRONMENTS
from compute_agent.host import directories, permissions, privileges


class Staged(NamedTuple):
    """An ``envs`` that is being filled, beside the project."""

    stage: int
    envs: int
    owner: tuple[int, int]
    rules: permissions.Rules
    cancelled: threading.Event

    def give(self, directory: int) -> None:
        if privileges.serves_others():
            os.fchown(directory, *self.owner)

    def secure(self) -> None:
        """Give what is in it to the team."""
        # Without a team all is right by what it inherited, and looking at it all costs as much
        # as cloning it.
        if self.rules.members or self.rules.overrides:
            permissions.secure(self.envs, self.rules, self.cancelled)

    def move_in(self, project: int, name: str) -> None:
        """Move what is finished to ``envs/<name>``, with ``envs`` itself where that is missing."""
        try:
            with directories.opened(ENVIRONMENTS, project) as envs:
                os.rename(name, name, src_dir_fd=self.envs, dst_dir_fd=envs)
        except FileNotFoundError:
            os.rename(ENVIRONMENTS, ENVIRONMENTS, src_dir_fd=self.stage, dst_dir_fd=project)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
                raise listing.not_an_environment(name) from None
            raise
