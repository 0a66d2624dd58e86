"""Questions: what somebody may do with a path, which environments there are. Beside all other work.

They have threads of their own: a file system that does not answer must not keep launches waiting.
"""

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from compute_agent.config import Config, service_uid
from compute_agent.environments import inventory
from compute_agent.host import directories, privileges, reasons
from compute_agent.host.access import Who
from compute_agent.host.errors import HostError
from compute_agent.host.expected import Asked
from compute_agent.host.explanation import explain, unanswerable
from compute_agent.host.permissions import node_key
from compute_agent.host.reasons import Reason
from compute_agent.people import People
from compute_agent.protocol import (
    Answer,
    EnvironmentsFound,
    Explain,
    Explanation,
    FindEnvironments,
    PackageInfo,
    Question,
)
from compute_agent.registry import Registry

#: More questions at once than anybody reads the answers of.
_MOST = 100
_log = logging.getLogger(__name__)


class Questions:
    """Takes questions in the event loop's thread and tells the answers to who listens there."""

    def __init__(self, config: Config, people: People, registry: Registry) -> None:
        self._config = config
        self._people = people
        self._registry = registry
        self._threads = ThreadPoolExecutor(2, "question")
        self._waiting = 0
        self._inventory = inventory.Inventory()

    @property
    def are_too_many(self) -> bool:
        return self._waiting >= _MOST

    async def answer(self, question: Question) -> None:
        """Answer on the event stream; with nobody to hear it the question is dropped."""
        if not self._registry.is_listened_to:
            return
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self._find_out, question)
        finally:
            self._waiting -= 1
        self._registry.tell_once(answer)

    def release(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- in a thread ---

    def _find_out(self, question: Question) -> Answer:
        if isinstance(question, FindEnvironments):
            return self._environments(question)
        try:
            return self._look(question)
        except HostError as error:
            return unanswerable(question, Reason(error.cause, error.mend))
        except OSError as error:
            _log.warning("a question about %r failed: %s", question.path, error)
            reason = os.strerror(error.errno or 0).lower()
            return unanswerable(question, Reason(f"The node could not look there: {reason}."))

    def _look(self, question: Explain) -> Explanation:
        project = question.project
        account = self._people.account_if_there(question.account, project)
        if account is None:
            return unanswerable(question, reasons.no_account(question.account))
        owner = self._people.account_if_there(project.owner_account, project)
        service = service_uid(self._config)
        asked = Asked(
            question,
            account,
            owner.uid if owner else account.uid,
            frozenset({0} if service is None else {0, service}),
            alone=privileges.mode() == "single",
            key=node_key(Path(self._config.state_dir) / "marks.key"),
        )
        root = Path(self._config.project_root)
        try:
            with directories.project_directory(root, project.owner, project.name) as fd:
                return explain(fd, asked)
        except FileNotFoundError:
            return unanswerable(question, reasons.no_directory())

    def _environments(self, question: FindEnvironments) -> EnvironmentsFound:
        found = EnvironmentsFound(question.question_id)
        try:
            return self._look_into(question)
        except HostError as error:
            missing = isinstance(error, inventory.NoEnvironment)
            return msgspec.structs.replace(
                found, cause=error.cause, mend=error.mend, missing=missing
            )
        except FileNotFoundError:
            cause = "The project has no directory on the node yet."
            return msgspec.structs.replace(found, cause=cause, mend="Open one of its apps.")
        except OSError as error:
            _log.warning("environments could not be looked at: %s", error)
            reason = os.strerror(error.errno or 0).lower()
            return msgspec.structs.replace(found, cause=f"The node could not look there: {reason}.")

    def _look_into(self, question: FindEnvironments) -> EnvironmentsFound:
        project, config = question.project, self._config
        account = self._people.account_if_there(question.account, project)
        # Who has no account here is kept from nothing by hand, either: the server knows the role.
        who = account and Who(account.uid, frozenset(account.groups) | {account.gid})
        with directories.project_directory(
            Path(config.project_root), project.owner, project.name
        ) as fd:
            packages: list[PackageInfo] = []
            export = ""
            if question.name:
                packages, export = inventory.one(fd, question.name, who, question.export)
            return EnvironmentsFound(
                question.question_id,
                self._inventory.environments(fd, who),
                tuple(packages),
                export,
                ("conda", "uv") if config.channels else ("uv",),
            )
