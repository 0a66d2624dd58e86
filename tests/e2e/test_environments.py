"""A project's environments on their page: packages come, are followed in the page, and go again."""

import base64
import hashlib
import subprocess
import zipfile

import pytest
from playwright.sync_api import expect
from running_site import ROOT, until

pytestmark = pytest.mark.browser
NAME = "packages"
CHANGE = 60_000


def make_wheel(folder):
    """Write a package with a program that says hello, and return its file's name."""
    info = "aenhello-1.0.dist-info"
    files = {
        "aenhello.py": "def main():\n    print('hello')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: aenhello\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\naenhello = aenhello:main\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    file = folder / "aenhello-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return file


def begun(site, rest, mira):
    """Make a project and start its terminal; return the project's directory."""
    rest.post("projects", json={"name": NAME}).raise_for_status()
    app = f"projects/{mira}/{NAME}/apps/terminal"
    rest.post(f"{app}/start", json={}).raise_for_status()
    until(lambda: rest.get(app).json()["state"] == "running", "the terminal to run")
    return site.home / "projects" / mira / NAME


def test_packages_are_installed_used_and_removed_from_the_page(visit, site):
    mira = site.person("mira")
    with site.rest("mira") as rest:
        home = begun(site, rest, mira)
        wheel = make_wheel(home)
        wheel.chmod(0o644)
        page = visit("mira")
        page.goto(f"{site.url}/{mira}/{NAME}/environments")
        page.get_by_role("link", name="default", exact=True).click()
        page.get_by_label("Install packages").fill(f"./{wheel.name}")
        page.get_by_role("button", name="Install", exact=True).click()
        # The page follows by itself, and is loaded again at the end.
        expect(page.locator("#change-title")).to_contain_text("Installed", timeout=CHANGE)
        expect(page.get_by_role("cell", name="aenhello", exact=True)).to_be_visible()
        program = [home / "envs/default/bin/aenhello"]
        as_mira = ["runuser", "-u", mira, "--", *program] if ROOT else program
        assert subprocess.run(as_mira, capture_output=True, check=True).stdout == b"hello\n"

        page.get_by_role("button", name="Remove aenhello").click()
        expect(page.locator("#change-title")).to_contain_text("Removed", timeout=CHANGE)
        expect(page.get_by_role("cell", name="aenhello", exact=True)).to_have_count(0)

        here = f"projects/{mira}/{NAME}/environments"
        rest.post(here, json={"name": "second", "copy_of": "default"}).raise_for_status()
        page.goto(f"{site.url}/{mira}/{NAME}/environments")
        expect(page.get_by_role("link", name="second", exact=True)).to_be_visible(timeout=CHANGE)
        assert [one["name"] for one in rest.get(here).json()] == ["default", "second"]
