"""Running a site in the foreground: start, say when it is ready, and end it as asked."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

from deploy import environment, readiness, supervisor
from deploy.say import Problem, line, problem, step
from deploy.setup import Site, node_command

_PATIENCE = 30.0


class Stopped(KeyboardInterrupt):
    """A signal asked us to end."""


def run(site: Site) -> int:
    """Run until a signal; return the exit status. Raises ``Problem`` when it does not come up."""
    step("Processes", "starting server, worker, gateway and node under Supervisor")
    logs = readiness.Logs(site.layout.log)
    daemon = supervisor.start(site.layout, _daemon_environment(site))
    try:
        readiness.wait(
            health_pages(site),
            processes=lambda: supervisor.processes(site.layout.supervisor_socket),
            alive=lambda: daemon.poll() is None,
            logs=logs,
        )
        line(f"\nAEN is ready at {site.options.public_url}")
        line("Ctrl-C ends it. Logs: " + str(site.layout.log))
        daemon.wait()
    except KeyboardInterrupt:
        with _no_more_signals():
            return _end(site, daemon)
    except Problem:
        with _no_more_signals():
            _end_daemon(daemon)
        raise
    problem(Problem("Supervisor ended by itself.", logs.tail("supervisord.log")))
    return 1


def health_pages(site: Site) -> list[readiness.Health]:
    options = site.options
    return [
        readiness.Health("server", options.server_url, "/api/v1/health", options.public_url),
        readiness.Health("gateway", options.gateway_url, "/-/health", options.gateway_own_url),
    ]


def _daemon_environment(site: Site) -> dict[str, str]:
    return environment.base(site.env, "root" if not site.options.single else site.options.account)


def _end(site: Site, daemon: subprocess.Popen[bytes]) -> int:
    """End apps and processes; say what goes on. Returns 0, or 1 if apps could not be ended."""
    line("\nEnding AEN.")
    status = 0
    if site.options.keep_apps:
        step("Apps", "kept, as AEN_KEEP_APPS=1 says; the next make run finds them again")
    else:
        step("Apps", "ending them; their files stay")
        status = _end_apps(site)
    _end_daemon(daemon)
    _clear_run_directory(site)
    line("AEN has ended. Everything is kept in " + str(site.layout.home))
    return status


def _clear_run_directory(site: Site) -> None:
    """Remove what the processes left in it, and itself, unless apps go on: their sockets stay."""
    run = site.layout.run
    if any(run.glob("*/runner.json")):
        return
    turns = run / "turns"  # the node's locks for changes of environments
    with contextlib.suppress(OSError):
        for path in (site.layout.agent_socket, run / "env.sock", *turns.glob("*")):
            path.unlink(missing_ok=True)
        if turns.exists():
            turns.rmdir()
        run.rmdir()


def _end_apps(site: Site) -> int:
    given = _daemon_environment(site) | environment.of_role("compute", site.options, site.layout)
    given.pop("AEN_SUPERVISED")
    done = subprocess.run(
        node_command(site, "--stop-all"),
        cwd="/",
        env=given,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        step("Apps", "some could not be ended; the lines above say which")
    return int(done.returncode != 0)


def _end_daemon(daemon: subprocess.Popen[bytes]) -> None:
    if daemon.poll() is None:
        daemon.terminate()
        try:
            daemon.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            step("Supervisor", f"did not end within {_PATIENCE:.0f} seconds; it is killed")
            daemon.kill()
            daemon.wait()


@contextlib.contextmanager
def _no_more_signals() -> Iterator[None]:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _still_ending)
    yield


def _still_ending(number: int, frame: object) -> None:
    os.write(1, b"Still ending; this takes a few seconds.\n")
