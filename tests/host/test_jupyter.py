"""Real Jupyter servers through the agent: pages, kernels, terminals, and nothing left of them."""

import json
import os
import pwd
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from node_client import long_unused, until
from websockets.sync.client import connect

pytestmark = pytest.mark.host


def api(node, app_id, prefix, path, method="GET", body=None):
    status, answer = node.get(
        app_id, f"{prefix}api/{path}", method, None if body is None else json.dumps(body)
    )
    assert status < 300, answer
    return json.loads(answer)


class Kernel:
    """A kernel of a running app, driven as a browser drives it."""

    def __init__(self, node, app_id, prefix, kernel_id):
        sock, headers = node.connect(app_id)
        self._connecting = connect(
            f"ws://app{prefix}api/kernels/{kernel_id}/channels", sock=sock,
            additional_headers=headers, max_size=None,
        )  # fmt: skip

    def __enter__(self):
        self._socket = self._connecting.__enter__()
        return self

    def __exit__(self, *error):
        self._connecting.__exit__(*error)

    def send(self, code):
        """Have a cell run; return the id of the message."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s",
                  "username": "u", "version": "5.3", "date": "2025-01-01T00:00:00Z"}  # fmt: skip
        content = {"code": code, "silent": False, "store_history": False,
                   "user_expressions": {}, "allow_stdin": False}  # fmt: skip
        self._socket.send(json.dumps({
            "header": header, "parent_header": {}, "metadata": {}, "content": content,
            "channel": "shell", "buffers": [],
        }))  # fmt: skip
        return header["msg_id"]

    def run(self, code):
        """Run a cell and return what it prints."""
        asked, printed = self.send(code), ""
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]
            elif message["msg_type"] == "error":
                raise AssertionError(message["content"])
            elif message["content"].get("execution_state") == "idle":
                return printed


@pytest.fixture
def lab(node, people):
    """JupyterLab of one person, with a kernel."""
    mira = people()
    app_id = node.run("lab", mira)
    prefix = f"/{mira}/demo/lab/"
    kernel_id = api(node, app_id, prefix, "kernels", "POST", {})["id"]
    return mira, app_id, prefix, kernel_id


def test_a_cell_runs_as_its_user_in_the_project_with_its_environment(node, lab):
    mira, app_id, prefix, kernel_id = lab
    with Kernel(node, app_id, prefix, kernel_id) as kernel:
        said = kernel.run(
            "import getpass, os, sys; print(getpass.getuser(), os.getcwd(), sys.prefix)"
        )
    home = node.project(mira)
    assert said.split() == [mira, str(home), f"{home}/envs/default"]
    specs = api(node, app_id, prefix, "kernelspecs")
    assert specs["default"] == "default"
    the_machines = {"ir", "python3"}  # of Debian's packages, where it has them
    assert set(specs["kernelspecs"]) - the_machines == {"default"}
    assert specs["kernelspecs"]["default"]["spec"]["display_name"].startswith("default (Python 3.")


def test_a_kernel_keeps_its_variables_when_the_agent_is_killed(node, lab):
    _, app_id, prefix, kernel_id = lab
    with Kernel(node, app_id, prefix, kernel_id) as kernel:
        kernel.run("kept = 42")
        node.kill()
    node.start()
    with Kernel(node, app_id, prefix, kernel_id) as kernel:
        assert kernel.run("print(kept)") == "42\n"


def test_a_kernel_listens_on_no_port(node, lab):
    mira, *_ = lab
    uid = str(pwd.getpwnam(mira).pw_uid)
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        assert not [row for row in rows if row[7] == uid and row[3] == "0A"]


def test_a_stopped_lab_leaves_no_process_of_its_user(node, lab):
    mira, app_id, prefix, kernel_id = lab
    with Kernel(node, app_id, prefix, kernel_id) as kernel:
        kernel.run("import subprocess; subprocess.Popen(['setsid', 'sleep', '600'])")
    node.stop(app_id)
    uid = pwd.getpwnam(mira).pw_uid
    assert not [entry for entry in Path("/proc").iterdir()
                if entry.name.isdigit() and os.stat(entry).st_uid == uid]  # fmt: skip


def test_the_server_refuses_who_comes_without_its_token(node, lab):
    _, app_id, prefix, _ = lab
    sock, _ = node.connect(app_id)
    sock.sendall(f"GET {prefix}api/kernels HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert b" 403 " in sock.recv(4096).split(b"\r\n")[0]


def test_the_terminal_app_opens_a_terminal(node, people):
    mira = people()
    app_id = node.run("terminal", mira)
    prefix = f"/{mira}/demo/terminal/"
    status, _ = node.get(app_id, f"{prefix}aen/terminal")
    assert status == 302
    status, page = node.get(app_id, f"{prefix}terminals/1")
    assert status == 200
    assert b"jupyter-config-data" in page
    sock, headers = node.connect(app_id)
    with connect(f"ws://app{prefix}terminals/websocket/1", sock=sock,
                 additional_headers=headers) as terminal:  # fmt: skip
        command = "echo [$(whoami)] [$PWD] [$(command -v python)] [${JUPYTER_TOKEN-none}]\r"
        terminal.send(json.dumps(["stdin", command]))
        home = node.project(mira)
        wanted = f"[{mira}] [{home}] [{home}/envs/default/bin/python] [none]"
        seen = [""]

        def shows():
            kind, *rest = json.loads(terminal.recv(timeout=30))
            seen[0] += "".join(map(str, rest)) if kind == "stdout" else ""
            return wanted in seen[0].replace("\r\n", "").replace("\n", "")

        until(shows, f"the terminal shows {wanted}")


def last_activity(node, app_id, prefix, what):
    [thing] = api(node, app_id, prefix, what)
    return datetime.fromisoformat(thing["last_activity"]).timestamp()


def first_sign_of_use(node, app_id):
    """What the agent finds out of an app that it believes unused for an hour."""
    before = long_unused(node, app_id)
    return until(lambda: (at := node.status(app_id)["active_at"]) > before and at, "asked for it")


def test_a_kernel_was_used_when_it_last_did_something(node, lab):
    _, app_id, prefix, kernel_id = lab
    with Kernel(node, app_id, prefix, kernel_id) as kernel:
        kernel.run("1")
    found = first_sign_of_use(node, app_id)
    last = last_activity(node, app_id, prefix, "kernels")
    assert found == pytest.approx(last, abs=0.01)


def test_a_kernel_at_work_is_used_also_when_it_says_and_computes_nothing(node, lab):
    _, app_id, prefix, kernel_id = lab
    with Kernel(node, app_id, prefix, kernel_id) as kernel:
        kernel.send("import time; time.sleep(600)")
        until(lambda: api(node, app_id, prefix, "kernels")[0]["execution_state"] == "busy", "busy")
    last = last_activity(node, app_id, prefix, "kernels")
    assert first_sign_of_use(node, app_id) > last + 0.01


def test_a_terminal_was_used_when_it_last_showed_something(node, people):
    mira = people()
    app_id = node.run("terminal", mira)
    prefix = f"/{mira}/demo/terminal/"
    node.get(app_id, f"{prefix}aen/terminal")
    found = first_sign_of_use(node, app_id)
    last = last_activity(node, app_id, prefix, "terminals")
    assert found == pytest.approx(last, abs=0.01)


@pytest.mark.parametrize(("app", "landing"), [("notebook", "tree"), ("lab", "lab")])
def test_each_app_has_its_page(node, people, app, landing):
    mira = people()
    app_id = node.run(app, mira)
    status, page = node.get(app_id, f"/{mira}/demo/{app}/{landing}")
    assert status == 200
    assert b"jupyter-config-data" in page
