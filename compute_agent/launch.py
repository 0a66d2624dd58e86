"""A launch, step by step, from the account to the app's first answer."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from compute_agent import appdir, endings, needs, runners, upstream
from compute_agent.applog import Tail
from compute_agent.catalog import Catalog
from compute_agent.config import Config
from compute_agent.confinement import Confinement
from compute_agent.descriptor import Descriptor
from compute_agent.environments import TOOLS, Environments, changing
from compute_agent.host import privileges
from compute_agent.host.accounts import Account
from compute_agent.host.errors import HostError, explain
from compute_agent.host.permissions import Cancelled
from compute_agent.passes import Passes, Tell
from compute_agent.project import Projects
from compute_agent.protocol import ENVIRONMENTS_APP, Launch, ProjectSpec
from compute_agent.record import Record
from compute_agent.specs import Specs
from compute_agent.zygote import Zygote

#: Seconds between two looks whether an app answers: so much of what it took so far, within these.
_PAUSE, _SHORTEST, _LONGEST = 0.04, 0.01, 0.1
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Stopped(Exception):
    """The app was stopped while it was being launched."""


class Launcher:
    """Takes launches through their steps; those of one project one after the other."""

    def __init__(self, config: Config, catalog: Catalog, tell: Tell) -> None:
        self._config = config
        self._catalog = catalog
        self.confinement = Confinement(config)
        self.zygote = Zygote()
        self.environments = Environments(config)
        self.projects = Projects(config, self.environments)
        self.passes = Passes(self.projects, Specs(Path(config.state_dir) / "projects"), tell)
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def lock(self, project: ProjectSpec) -> asyncio.Lock:
        """Return the lock under which a project's files are worked on."""
        return self._locks.setdefault((project.owner, project.name), asyncio.Lock())

    async def launch(self, record: Record, cancelled: threading.Event) -> runners.Runner:
        """Return the app's runner, started after all the steps before it.

        Raises ``HostError`` with the cause, ``Stopped``.
        """
        launch = _asked(record)
        attempt = _Attempt(self, record, launch, cancelled)
        async with self.lock(launch.project):
            account = await attempt.prepare()
        record.enter("starting")
        return await attempt.start(account)

    async def wait_until_ready(self, record: Record, runner: runners.Runner) -> None:
        """Return once the app answers. Raises ``HostError`` when it ends or takes too long."""
        launch = _asked(record)
        if launch.change is not None:
            return  # it is at work, and has nobody to answer
        descriptor = self.descriptor(launch.app)
        async with _step(record, "ready") as done:
            began = time.monotonic()
            path = appdir.socket_path(record.directory)
            target = _readiness(descriptor, launch)
            while not (_is_there(path) and await _answers(record, path, target, descriptor)):
                if runner.ended.is_set():
                    raise await self._lacking(launch) or _died(record, descriptor)
                if time.monotonic() - began > descriptor.timeout:
                    raise await self._lacking(launch) or HostError(
                        f"{descriptor.title} did not answer within {descriptor.timeout:g} s.",
                        "Its log shows how far it came. Start it again.",
                    )
                await asyncio.sleep(_pause(time.monotonic() - began))
            done(f"{descriptor.title} answers")

    async def _lacking(self, launch: Launch) -> HostError | None:
        """Return what the project lacks of what the app needs, ``None`` if it lacks nothing."""
        root, descriptor = Path(self._config.project_root), self.descriptor(launch.app)
        return await asyncio.to_thread(needs.lacking, descriptor, root, launch)

    def descriptor(self, app: str) -> Descriptor:
        if app == ENVIRONMENTS_APP:
            return changing.DESCRIPTOR
        try:
            return self._catalog.apps[app]
        except KeyError:
            raise HostError(f"This node does not offer the app {app}.") from None

    def memory_of(self, record: Record) -> str:
        """Return in words how much memory the app may use, empty where there is no limit."""
        with contextlib.suppress(HostError):
            return self.confinement.memory_of(self.descriptor(_asked(record).app).limits)
        return ""

    def spec(self, record: Record, launch: Launch, account: Account) -> dict[str, object]:
        """Prepare the app's own directory and return what its runner is told. Blocking."""
        descriptor = self.descriptor(launch.app)
        template = self.environments.ensure(descriptor.template) if descriptor.template else None
        if launch.change is not None:
            self.environments.ensure(TOOLS)
        prepared = appdir.Prepared(
            config=self._config,
            directory=record.directory,
            launch=launch,
            account=account,
            descriptor=descriptor,
            home=self.projects.home(launch.project),
            template=template,
            conda=not launch.change and self.projects.is_conda(launch.project, launch.environment),
            tools=self.environments.tools_bin(),
            confinement=self.confinement,
        )
        try:
            kernels = self.projects.kernels(launch.project) if descriptor.kernels else []
            prepared.make_user_part(kernels)
            record.token = appdir.make_token(record.directory)
            return prepared.spec(record.token)
        except OSError as error:
            raise explain(error, "make the app's directory", record.directory) from error


class _Attempt:
    """The steps of one launch, each with its fact."""

    def __init__(
        self, launcher: Launcher, record: Record, launch: Launch, cancelled: threading.Event
    ) -> None:
        self._launcher = launcher
        self._projects = launcher.projects
        self._record = record
        self._launch = launch
        self._cancelled = cancelled

    async def prepare(self) -> Account:
        """Take the steps up to the environment and return the app's account."""
        project, projects = self._launch.project, self._projects
        async with _step(self._record, "account") as done:
            account = await self._account()
            self._record.set_account(account.name, account.uid)
            done(_account_fact(account))
        async with _step(self._record, "directory") as done:
            done(await self._blocking(projects.make_directory, project))
        async with _step(self._record, "permissions") as done:
            self._go_on()
            done(await self._launcher.passes.first(project))
        if name := changing.needed(self._launch):
            async with _step(self._record, "environment") as done:
                done(
                    await self._blocking(
                        projects.ensure_environment, project, name, self._cancelled
                    )
                )
        if any(override.path.startswith("envs") for override in project.overrides):
            # A new environment was secured before it lay where rights were set by hand.
            await self._launcher.passes.first(project)
        # Once more: setting the permissions of a large team makes groups.
        return await self._account()

    async def _account(self) -> Account:
        launch = self._launch
        for_visitors = self._launcher.descriptor(launch.app).anonymous
        find = self._projects.people.account_of_app
        return await self._blocking(find, launch.account, launch.project, for_visitors)

    async def start(self, account: Account) -> runners.Runner:
        record = self._record
        async with _step(record, "launch") as done:
            spec = await self._blocking(self._launcher.spec, record, self._launch, account)
            record.tail = Tail(record.directory / "log", record.token)
            try:
                # Not to be left half way: nobody would watch what was started.
                found = await asyncio.to_thread(self._launcher.zygote.start, record.directory, spec)
            except OSError as error:
                raise explain(error, "start the app's runner", record.directory) from error
            runner = runners.Runner(*found)
            try:
                record.runner = runner.identity
                record.save()
                done(f"{Path(str(spec['argv'][0])).name}, process {runner.identity.pid}")  # type: ignore[index]
            except BaseException:
                runner.stop()  # who is not written down is not watched
                raise
        return runner

    async def _blocking(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do ``work`` in a thread; stop between two such pieces if the app was stopped."""
        self._go_on()
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except Cancelled:
            raise Stopped from None
        finally:
            self._go_on()

    def _go_on(self) -> None:
        if self._cancelled.is_set():
            raise Stopped


@contextlib.asynccontextmanager
async def _step(record: Record, name: str) -> AsyncIterator[Callable[[str], None]]:
    """Report a step from its beginning to its fact."""
    record.start_step(name)
    began = time.monotonic()
    try:
        yield lambda fact: record.finish_step(fact, time.monotonic() - began)
    except HostError as error:
        record.finish_step(error.cause, time.monotonic() - began)
        raise


def _readiness(descriptor: Descriptor, launch: Launch) -> str:
    """Return the path that is asked until it answers."""
    below = launch.url_prefix if descriptor.prefix == "keep" else "/"
    return below + descriptor.readiness


async def _answers(record: Record, path: Path, target: str, descriptor: Descriptor) -> bool:
    try:
        async with asyncio.timeout(descriptor.timeout):
            status = await upstream.answers(
                path, record.uid, target, headers(descriptor, record.token)
            )
    except TimeoutError:
        return False
    except upstream.WrongPeer:
        raise HostError(
            f"Somebody else than {record.status.account} listens at the app's socket.",
            "Tell an administrator: a user of this node put it there.",
        ) from None
    return status is not None and descriptor.is_ready(status)


def _pause(waited: float) -> float:
    """Return how long to wait between two looks: many slow starts are not to take the processor."""
    return min(max(waited * _PAUSE, _SHORTEST), _LONGEST)


def _is_there(path: Path) -> bool:
    """Say whether there is anything. Most looks find nothing, and cost little by this."""
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def headers(descriptor: Descriptor, token: str) -> dict[str, str]:
    """Return the headers with which the app takes a request as its own user's."""
    if descriptor.token is None:
        return {}
    return {descriptor.token.header: descriptor.token.format % {"token": token}}


def _died(record: Record, descriptor: Descriptor) -> HostError:
    record.read_output(final=True)
    ended = runners.read_exit(record.directory)
    return endings.at_launch(descriptor.title, ended, record.output_lines)


def _account_fact(account: Account) -> str:
    fact = f"{account.name}, uid {account.uid}"
    if privileges.serves_others():
        return fact
    return f"{fact} (this node runs every app as {account.name})"


def _asked(record: Record) -> Launch:
    assert record.launch is not None
    return record.launch
