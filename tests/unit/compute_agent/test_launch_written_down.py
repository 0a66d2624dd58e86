"""A launch that fails once its runner has begun."""

import asyncio
import os
import subprocess
import threading
from types import SimpleNamespace

import pytest

from compute_agent.host import process
from compute_agent.launch import _Attempt
from compute_agent.stored import RunnerId


async def test_a_runner_that_cannot_be_written_down_is_ended(tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])

    def begin(directory, spec):
        identity = RunnerId(sleeper.pid, process.read_stat(sleeper.pid).start, process.boot_id())
        return identity, os.pidfd_open(sleeper.pid)

    def full():
        raise OSError(28, "No space left on device")

    record = SimpleNamespace(
        directory=tmp_path, token="", save=full, start_step=print, finish_step=print
    )
    launcher = SimpleNamespace(
        projects=None, spec=lambda *_: {"argv": ["sleep"]}, zygote=SimpleNamespace(start=begin)
    )
    try:
        with pytest.raises(OSError, match="No space left"):
            await _Attempt(launcher, record, None, threading.Event()).start(None)
        assert await asyncio.to_thread(sleeper.wait, 10) == -15
    finally:
        sleeper.kill()
        sleeper.wait()
