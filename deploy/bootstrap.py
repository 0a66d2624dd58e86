"""Installs AEN from this checkout, then starts the site: ``python3 -m deploy.bootstrap``.

Runs under any Python 3.11 or newer, with the standard library alone.

  (no option)    install into AEN_HOME/venv, set the site up and run it in the foreground
  --setup-only   install and set up, start nothing
  --install-only install into AEN_HOME/venv and do nothing else: for a host that is a node alone
  --dev          make .venv in the checkout for tests and checks, start nothing
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the Makefile looks for a newer one, people may not
    sys.exit("AEN needs Python 3.11 or newer, and this is %d.%d." % sys.version_info[:2])  # noqa: UP031

import os
from collections.abc import Mapping
from pathlib import Path

from deploy import install, interpreter, lock, options, paths, uv
from deploy.say import Problem, line, problems_end_it, step

CHECKOUT = Path(__file__).resolve().parent.parent
_LOCKS = CHECKOUT / "requirements"


def main(arguments: list[str]) -> None:
    os.umask(0o022)  # what is installed here is for other accounts to read
    with problems_end_it():
        if arguments == ["--dev"]:
            for_developers()
        elif arguments in ([], ["--setup-only"], ["--install-only"]):
            for_the_site(arguments)
        else:
            sys.exit(__doc__)


def for_the_site(arguments: list[str]) -> None:
    """Install into ``AEN_HOME/venv`` and become the site's own process."""
    layout = paths.locate(os.environ, os.geteuid(), CHECKOUT)
    line(f"AEN, with all its data in {layout.home}")
    make_home(layout)
    held = lock.take(layout.lock)
    locked = _LOCKS / ("aen-mongodb.txt" if _on_mongodb(os.environ) else "aen.txt")
    wanted = install.State(
        python="",
        lock=install.digest_of(locked),
        source=install.digest_of_source(CHECKOUT),
    )
    cache = Path(os.environ.get("UV_CACHE_DIR") or layout.cache / "uv")
    bring_about(layout.venv, cache, locked, wanted, layout.home / "tools")
    if arguments == ["--install-only"]:
        return
    lock.hand_over(held)
    command = [str(layout.python), "-I", "-m", "deploy.site", f"--lock={held}", *arguments]
    os.execve(layout.python, command, handed_on(layout))  # noqa: S606


def _on_mongodb(env: Mapping[str, str]) -> bool:
    """Say whether the site's database needs what the extra ``aen[mongodb]`` installs."""
    return (options.secret(env, "AEN_DATABASE_URL") or "").startswith(("mongodb:", "mongodb+srv:"))


def for_developers() -> None:
    """Make ``.venv`` in the checkout, from the lock that has the tools for tests and checks."""
    wanted = install.State(python="", lock=install.digest_of(_LOCKS / "dev.txt"))
    bring_about(CHECKOUT / ".venv", None, _LOCKS / "dev.txt", wanted, CHECKOUT / "build/tools")


def bring_about(
    venv: Path, cache: Path | None, locked: Path, wanted: install.State, tools: Path
) -> None:
    """Make ``venv`` what ``wanted`` says, doing only what is not so already."""
    now = install.installed(venv)
    given = os.environ.get("AEN_PYTHON")
    python = None if now and not given else _choose(given)
    if now and python and now.python != str(python):
        now = None
    wanted = install.State(str(python or (now and now.python)), wanted.lock, wanted.source)
    if now == wanted:
        return
    found = uv.find(tools, *([venv] if now else [])) or uv.fetch(_LOCKS / "aen.txt", tools)
    installer = install.Installer(found, venv, cache, CHECKOUT)
    install.unfinished(venv)
    if now is None:
        installer.make_environment(python or _choose(given))
    if now is None or now.lock != wanted.lock:
        installer.install_lock(locked)
    if wanted.source:
        installer.install_source()
        install.open_to_all(venv)
    install.finished(venv, wanted)


def _choose(given: str | None) -> interpreter.Python:
    python, reason = interpreter.choose(given, os.geteuid())
    step("Python", f"{python}" + (f"\nnot {reason}" if reason else ""))
    return python


def make_home(layout: paths.Layout) -> None:
    """Create ``AEN_HOME``. Raises ``Problem`` where it cannot be written or, as root, entered."""
    try:
        layout.home.mkdir(parents=True, exist_ok=True)
        layout.etc.mkdir(exist_ok=True)
        layout.cache.mkdir(exist_ok=True)
        layout.cache.chmod(0o700)  # uv's lock in it is one that everybody could take
        (layout.etc / ".writable").touch()
        (layout.etc / ".writable").unlink()
    except OSError as error:
        raise Problem(
            f"AEN cannot write to {layout.home}, where it keeps all its data.",
            f"{error.filename}: {error.strerror}",
            "Set AEN_HOME to a directory that you may write to.",
        ) from error
    if os.geteuid() != 0:
        return
    if closed := interpreter.closed_folder(layout.home / "venv"):
        raise Problem(
            f"AEN_HOME={layout.home} is out of reach for the accounts that apps run as.",
            f"They cannot enter {closed}.",
            f"Run chmod o+x {closed}, or set AEN_HOME to a place such as {paths.ROOT_HOME}.",
        )


def handed_on(layout: paths.Layout) -> dict[str, str]:
    """Return our environment with what was decided here, for the installed copy to find."""
    return os.environ | {"AEN_HOME": str(layout.home), "AEN_CHECKOUT": str(CHECKOUT)}


if __name__ == "__main__":
    main(sys.argv[1:])
