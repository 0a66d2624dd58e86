"""``python -m compute_agent``: runs a node's agent, or prepares the machine for it."""

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop

from compute_agent import catalog, config, server, stop_all
from compute_agent.config import Config, ConfigError, showing
from compute_agent.environments import NAMES, TOOLS, Environments
from compute_agent.environments.service import Service
from compute_agent.host import account_book, guarded, privileges
from compute_agent.host.account_book import Book
from compute_agent.host.errors import HostError
from compute_agent.host.process import die_with_parent
from compute_agent.supervisor import Supervisor

_THREADS = 48
_log = logging.getLogger("compute_agent")


def main() -> int:
    arguments = _parse()
    privileges.keep_to_self()
    try:
        loaded = config.load_all(arguments.config)
        settings = loaded.config
        if arguments.show_config:
            print(showing.as_json(loaded) if arguments.json else showing.as_text(loaded))
        elif arguments.prepare:
            prepare(settings)
        elif arguments.stop_all:
            asyncio.run(stop_all.stop_all(settings))
        elif arguments.forget_account:
            forget_account(settings, arguments.forget_account)
        else:
            require_guarded(arguments.config)
            run(settings)
    except ConfigError as error:
        for problem in error.problems:
            print(f"compute_agent: {problem}", file=sys.stderr)
        return 2
    except HostError as error:
        print(f"compute_agent: {error.cause} {error.mend}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compute_agent", description=__doc__)
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="read FILE last")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--show-config",
        action="store_true",
        help="print the options in force, and which file each came from, and end",
    )
    action.add_argument(
        "--prepare", action="store_true", help="build the environments of the apps and end"
    )
    action.add_argument(
        "--stop-all", action="store_true", help="end all apps of the running agent and end"
    )
    action.add_argument(
        "--forget-account",
        metavar="NAME",
        help="drop what the node wrote down of an account that was deleted or given another uid",
    )
    parser.add_argument("--json", action="store_true", help="--show-config for programs")
    arguments = parser.parse_args()
    if arguments.json and not arguments.show_config:
        parser.error("--json goes with --show-config")
    return arguments


def prepare(settings: Config) -> None:
    """Build the template environments, with one line on standard output for each thing done."""
    environments = Environments(settings)
    for name in (*NAMES, TOOLS):
        environments.ensure(name, lambda line: print(line, flush=True))


def forget_account(settings: Config, name: str) -> None:
    """Have the node take an account of this name as one that it sees for the first time."""
    uid = Book(Path(settings.state_dir) / account_book.NAME).forget(name)
    if uid is None:
        raise HostError(f"The node has written down no account {name}.")
    print(
        f"Forgot {name}, which had uid {uid}. Its files keep that owner, and no account that the "
        "node makes will get that uid."
    )


def require_guarded(given: Path | None) -> None:
    """As a service account, refuse a program or configuration that others than root can change."""
    if privileges.serves_others() and os.geteuid() != 0:
        files = [path for path in (*config.FILES, given) if path and path.exists()]
        for path in (Path(__file__).parent, *files):
            guarded.require(path)


def run(settings: Config) -> None:
    """Run the agent until it is told to end; its apps go on."""
    if os.environ.get("AEN_SUPERVISED") == "1":
        die_with_parent()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    os.umask(0o022)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    uvloop.run(serve(settings))


async def serve(settings: Config) -> None:
    """Listen, take up the apps that run, and serve until SIGTERM or SIGINT."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    # Somebody's huge project must not keep everybody else's launches waiting for a thread.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    supervisor = Supervisor(settings, catalog.of_node(settings))
    for problem in supervisor.catalog.problems:
        _log.warning("%s", problem)
    listener = await server.listen(settings, server.Api(settings, supervisor))
    supervisor.adopt()
    asked = await Service(settings, supervisor.launcher, supervisor.registry).listen()
    looking = asyncio.create_task(supervisor.look_after())
    _log.info("listening at %s in %s mode", settings.listen, privileges.mode())
    await ending.wait()
    looking.cancel()
    listener.close()
    asked.close()
    supervisor.release()
    _log.info("ended; apps go on")


if __name__ == "__main__":
    sys.exit(main())
