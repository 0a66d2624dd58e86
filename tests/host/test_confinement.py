"""What an app is kept within, tried from inside it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from node_client import CHECKOUT, until

from compute_agent.host.cgroups import Cgroups

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def _limits_can_be_had():
    if os.geteuid() != 0:
        pytest.skip("keeps apps of other accounts within limits, so it needs root")
    if lack := Cgroups("test").lack:
        pytest.skip(lack)


def facts(node, app_id, path="/"):
    return json.loads(node.get(app_id, path)[1])


def groups(app_id):
    return list(Path("/sys/fs/cgroup").glob(f"**/aen-*/*/{app_id[:12]}"))


def _is_of(node, path):
    name = hashlib.blake2b(str(node.run_dir).encode(), digest_size=4).hexdigest()
    return path.name == f"aen-{name}" and path.parent.name == "memory"


def test_an_app_sees_its_own_processes_only(small_node, people):
    mira = people()
    one, other = small_node.run("web", mira), small_node.run("stubborn", mira)
    seen = facts(small_node, one)["processes"]
    assert seen[0] == 1
    assert len(seen) == 2
    assert len(facts(small_node, other)["processes"]) == 4


def test_an_app_has_temporary_files_of_its_own(small_node, people):
    mira = people()
    one, other = small_node.run("web", mira), small_node.run("stubborn", mira)
    facts(small_node, one, f"/keep/{one}")
    assert one in facts(small_node, one)["temporary"]
    assert one not in facts(small_node, other)["temporary"]
    assert not [place for place in ("/tmp", "/var/tmp", "/dev/shm") if Path(place, one).exists()]


def test_temporary_files_go_with_their_app(small_node, people):
    app_id = small_node.run("web", people())
    facts(small_node, app_id, f"/keep/{app_id}")
    place = Path(json.loads(small_node.config.read_text())["state_dir"]) / "tmp" / app_id[:12]
    assert (place / app_id).exists()
    small_node.stop(app_id)
    assert not place.exists()


def test_an_app_that_takes_too_much_memory_is_ended_and_says_so(small_node, people):
    app_id = small_node.run("limited", people())
    sock, _ = small_node.connect(app_id)
    sock.sendall(b"GET /eat/1000 HTTP/1.1\r\nHost: app\r\n\r\n")
    status = small_node.wait(app_id, "failed")
    sock.close()
    assert status["cause"] == (
        "Limited was ended by the system: it used more memory than its 0.125 GB."
    )
    assert status["mend"]


def test_an_app_that_takes_too_much_memory_at_its_start_says_so_too(small_node, people):
    app_id = small_node.launch("greedy", people())[0]
    status = small_node.wait(app_id, "failed")
    assert status["cause"] == (
        "Greedy was ended by the system: it used more memory than its 0.125 GB."
    )


def test_a_process_of_an_app_that_takes_too_much_is_named_in_its_log(small_node, people):
    app_id = small_node.run("limited", people())
    facts(small_node, app_id, "/eat-below/1000")
    told = "a process was ended by the system: too much memory was used"
    until(lambda: any(told in line for line in small_node.status(app_id)["log"]), "it is told")
    assert small_node.status(app_id)["state"] == "running"


def test_what_an_app_uses_is_reported(small_node, people):
    app_id = small_node.run("web", people())
    until(lambda: small_node.status(app_id)["memory"], "memory is reported")
    until(lambda: small_node.status(app_id)["processors"] is not None, "processors are reported")


def test_nothing_is_left_of_a_stopped_apps_group(small_node, people):
    app_id = small_node.run("web", people())
    assert groups(app_id)
    small_node.stop(app_id)
    assert not groups(app_id)


def test_all_of_an_app_ends_with_its_runner(small_node, people):
    app_id = small_node.run("stubborn", people())
    left = until(lambda: len(small_node.processes(app_id)) >= 3 and small_node.processes(app_id),
                 "the app has its children")  # fmt: skip
    os.kill(small_node.runner(app_id), 9)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), "all have ended")
    small_node.wait(app_id, "failed")
    assert not groups(app_id)


def test_a_restarted_agent_still_knows_what_an_app_uses(small_node, people):
    app_id = small_node.run("web", people())
    small_node.kill()
    small_node.start()
    until(lambda: small_node.status(app_id)["memory"], "memory is reported")
    small_node.stop(app_id)
    assert not groups(app_id)


_VIEW = """
import os, sys
from compute_agent.runner import kernel, namespaces
kernel.unshare(kernel.CLONE_NEWPID)
if (child := os.fork()) == 0:
    try:
        namespaces.separate(sys.argv[1], [sys.argv[2]])
    except OSError as error:
        os.write(1, error.strerror.encode())
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("planted", [True, False])
def test_a_link_planted_in_an_apps_own_tmp_leads_root_nowhere(tmp_path, planted):
    """Its user waits for the directory to be made, and is quicker than the runner."""
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    kept = tmp_path / "node/run"
    for path in (own, elsewhere, kept):
        path.mkdir(parents=True)
    os.chown(own, 12345, 12345)
    own.chmod(0o777)
    if planted:
        first = kept.relative_to("/tmp").parts[0]
        (own / first).symlink_to(elsewhere)
    command = [sys.executable, "-c", _VIEW, str(own), str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True)
    if planted:
        assert done.stdout == "Directory not empty", done.stderr
        assert not list(elsewhere.iterdir())
    else:
        assert not done.stdout + done.stderr
        assert own.stat().st_uid == 12345
        # While it was root's, too: else links could be put there after the look.
        assert own.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_agent_left_of_an_unknown_app_goes_with_the_next_start(small_node, people):
    small_node.run("web", people())
    small_node.kill()
    [top] = {path for path in Path("/sys/fs/cgroup").glob("**/aen-*") if _is_of(small_node, path)}
    stray = top / "54321/0123456789ab"
    stray.mkdir(parents=True)
    files = Path(json.loads(small_node.config.read_text())["state_dir"]) / "tmp/0123456789ab"
    files.mkdir()
    small_node.start()
    until(lambda: not stray.exists() and not files.exists(), "both are gone")
