"""When the installed copy is made again, and what uv is told."""

from pathlib import Path

import pytest

from deploy import install, uv
from deploy.say import Problem

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.uv.build-backend]\nmodule-name = ["one"]\n')
    (tmp_path / "one/templates").mkdir(parents=True)
    (tmp_path / "one/templates/page.html").write_text("page")
    return tmp_path


def test_a_changed_template_changes_the_digest(checkout):
    before = install.digest_of_source(checkout)
    (checkout / "one/templates/page.html").write_text("another")
    assert install.digest_of_source(checkout) != before


def test_a_removed_file_changes_the_digest(checkout):
    (checkout / "one/extra.py").touch()
    before = install.digest_of_source(checkout)
    (checkout / "one/extra.py").unlink()
    assert install.digest_of_source(checkout) != before


def test_bytecode_changes_nothing(checkout):
    before = install.digest_of_source(checkout)
    (checkout / "one/__pycache__").mkdir()
    (checkout / "one/__pycache__/x.pyc").touch()
    assert install.digest_of_source(checkout) == before


def test_everything_that_is_committed_in_a_package_is_part_of_it():
    found = {str(file.relative_to(CHECKOUT)) for file in install.source_files(CHECKOUT)}
    assert {"deploy/templates/supervisord.conf", "compute_agent/locks/jupyter.txt"} <= found


def test_an_environment_without_its_stamp_counts_as_none(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch()
    assert install.installed(tmp_path) is None
    install.finished(tmp_path, install.State("python", "lock", "source"))
    assert install.installed(tmp_path) == install.State("python", "lock", "source")


def test_an_environment_whose_python_is_gone_counts_as_none(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/nonexistent/python3.11")
    install.finished(tmp_path, install.State("python", "lock", "source"))
    assert install.installed(tmp_path) is None


def test_others_may_read_what_was_installed_under_a_narrow_umask(tmp_path):
    (tmp_path / "bin").mkdir(mode=0o700)
    for name, mode in (("tool", 0o700), ("data", 0o600)):
        (tmp_path / "bin" / name).touch(mode=mode)
    install.open_to_all(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"bin": 0o755, "tool": 0o755, "data": 0o644}


def test_links_are_not_followed_when_modes_are_widened(tmp_path):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/link").symlink_to(secret)
    install.open_to_all(tmp_path / "venv")
    assert secret.stat().st_mode & 0o777 == 0o600


def test_uv_is_told_nothing_of_the_site():
    given = install.uv_environment({"AEN_ADMIN_PASSWORD": "x", "VIRTUAL_ENV": "/v"}, Path("/c"))
    assert not {"AEN_ADMIN_PASSWORD", "VIRTUAL_ENV"} & set(given)
    assert given["UV_CACHE_DIR"] == "/c"


def test_uv_itself_is_fetched_as_the_lock_pins_it():
    entry = uv.pinned((CHECKOUT / "requirements/aen.txt").read_text(), "uv")
    assert entry.startswith("uv==")
    assert "--hash=sha256:" in entry
    assert "\nuvicorn" not in entry


def test_a_lock_without_uv_is_refused():
    with pytest.raises(Problem, match="does not name uv"):
        uv.pinned("django==5.2\n", "uv")
