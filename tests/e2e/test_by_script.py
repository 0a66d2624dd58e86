"""The same by REST, with curl, and with a real Jupyter client."""

import subprocess

import pytest
from jupyter_kernel_client import JupyterKernelClient
from running_site import until


@pytest.fixture(scope="module")
def api(site):
    with site.rest("sam") as client:
        yield client


@pytest.fixture(scope="module")
def notebook(site, api):
    """Sam's notebook app, running; the answer of the API."""
    path = f"projects/{site.person('sam')}/by-script"
    assert api.post("projects", json={"name": "by-script"}).status_code in (201, 409)
    assert api.post(f"{path}/apps/notebook/start").status_code == 202
    until(lambda: api.get(f"{path}/apps/notebook").json()["state"] != "requested", "the start")

    def running():
        answer = api.get(f"{path}/apps/notebook").json()
        assert answer["state"] != "failed", answer
        return answer if answer["state"] == "running" else None

    return until(running, "the notebook to run")


def test_rest_shows_the_steps_with_their_seconds(notebook):
    steps = [step["step"] for step in notebook["progress"]]
    assert steps == ["account", "directory", "permissions", "environment", "launch", "ready"]
    assert all(step["seconds"] >= 0 for step in notebook["progress"])


def test_curl_reaches_the_app_with_a_token_alone(site, notebook):
    token = site.token("sam", "apps")
    done = subprocess.run(
        ["curl", "-sS", "-H", "@-", f"{notebook['url']}api/contents/README.md?content=0"],
        input=f"Authorization: Bearer {token}", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"name": "README.md"' in done.stdout.replace('":"', '": "')


def test_curl_without_a_token_is_turned_away(notebook):
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{notebook['url']}api/contents"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "401"


def test_another_persons_token_finds_nothing(site, notebook):
    token = site.token("otto", "apps")
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "@-", notebook["url"]],
        input=f"Authorization: Bearer {token}", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "404"


def test_a_real_jupyter_client_runs_a_cell(site, notebook):
    token = site.token("sam", "apps")
    with JupyterKernelClient(server_url=notebook["url"].rstrip("/"), token=token) as kernel:
        reply = kernel.execute("import getpass; print(getpass.getuser())")
    assert reply["status"] == "ok"
    assert reply["outputs"][0]["text"].strip() == site.account_of(site.person("sam"))


def test_stopping_twice_is_as_stopping_once(site, api, notebook):
    path = f"projects/{site.person('sam')}/by-script/apps/notebook"
    assert api.post(f"{path}/stop").status_code == 202
    until(lambda: api.get(path).json()["state"] == "stopped", "the stop")
    again = api.post(f"{path}/stop")
    assert (again.status_code, again.json()["state"]) == (202, "stopped")
    assert api.get(path).json()["url"] is None
