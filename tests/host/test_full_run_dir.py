"""A node whose run directory is full: nothing new starts, and what runs can be stopped."""

import contextlib
import subprocess

import pytest
from node_client import Node, running, small_apps

pytestmark = pytest.mark.host


@pytest.fixture
def full_node(place, bare_environments, people):
    """A node, a running app of a person, and a file that leaves no room beside them."""
    run_dir = place / "r"
    run_dir.mkdir(mode=0o711)
    options = "size=600k,mode=0711"
    mira = people()  # skips where we are not root
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", run_dir]).returncode:
        pytest.skip("this machine does not allow a small file system to be mounted")
    try:
        with running(Node(place, bare_environments | small_apps(place))) as node:
            app_id = node.run("web", mira)
            filler = run_dir / "filler"
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"x" * 4096):
                    pass
            yield node, mira, app_id, filler
    finally:
        subprocess.run(["umount", "-l", run_dir], check=True)


def test_a_launch_is_refused_with_the_cause_and_possible_later(full_node):
    node, mira, _, filler = full_node
    new, status, body = node.launch("web", mira)
    assert (status, body["code"]) == (409, "no_record")
    assert body["detail"].startswith(f"The disk that holds {node.run_dir} is full.")
    assert node.status(new) is None
    filler.unlink()
    assert node.launch("web", mira, app_id=new)[1] == 202
    node.wait(new, "running")


def test_an_app_goes_on_and_can_be_stopped(full_node):
    node, _, app_id, _ = full_node
    for _ in range(30):
        node.get(app_id, "/print/" + "y" * 60000)
    node.kill()
    node.start()
    assert node.status(app_id)["state"] == "running"
    node.stop(app_id)
    assert not node.processes(app_id)
    assert node.command(type="forget", app_id=app_id)[0] == 202
