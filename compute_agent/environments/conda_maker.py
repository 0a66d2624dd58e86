"""Environments of conda packages, by a program of its own: rattler is large, the agent stays small."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from compute_agent.environments.builder import Workshop, take_over, workshop
from compute_agent.host.errors import HostError

#: What a builder may know of the agent's environment.
_PASSED = ("LANG", "LC_ALL", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY",
           "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip


class CondaMaker:
    """Makes what ``specs`` name, or what ``file`` holds, of the packages in ``channels``."""

    def __init__(
        self, python: Path, channels: tuple[str, ...], specs: tuple[str, ...], file: str
    ) -> None:
        self._python = python
        self._channels = channels
        self._specs = specs
        self._file = file

    def ingredients(self) -> bytes:
        return json.dumps([self._channels, self._specs, self._file]).encode()

    def make(self, place: Path, progress: Callable[[str], None]) -> str:
        with workshop(place.parent) as shop:
            made = shop.inner / "environment"
            self._run(shop, made, place, progress)
            take_over(shop, made, place)
        return str(place)

    def _run(
        self, shop: Workshop, made: Path, place: Path, progress: Callable[[str], None]
    ) -> None:
        order = {
            "channels": self._channels, "specs": self._specs, "file": self._file,
            "prefix": str(made), "home": str(place), "cache": str(shop.inner / "cache"), "compile": True,
        }  # fmt: skip
        inherited = {name: os.environ[name] for name in _PASSED if name in os.environ}
        own = {"HOME": str(shop.inner), "TMPDIR": str(shop.inner), "PATH": "/usr/bin:/bin"}
        account = {} if shop.account is None else {
            "user": shop.account, "group": shop.account, "extra_groups": [],
        }  # fmt: skip
        with subprocess.Popen(
            [self._python, "-I", "-m", "aen_env.build"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=shop.inner, env=inherited | own, **account,  # type: ignore[call-overload]
        ) as process:  # fmt: skip
            json.dump(order, process.stdin)
            process.stdin.close()
            last = ""
            for line in process.stdout:
                last = line.rstrip()
                if not last.startswith("{"):
                    progress("  " + last.strip())
        if process.returncode != 0:
            raise _failure(last)


def _failure(last: str) -> HostError:
    try:
        said = json.loads(last)
        return HostError(f"An environment could not be built: {said['cause']}", said["mend"])
    except (ValueError, KeyError, TypeError):
        return HostError(f"An environment could not be built: {last[:400] or 'it was killed'}")
