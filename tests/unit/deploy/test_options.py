"""What a person may set about a site."""

import os
from pathlib import Path

import pytest

from deploy import options, paths
from deploy.say import Problem

LAYOUT = paths.Layout(Path("/srv/aen"), Path("/run/aen"))


def read(**env):
    return options.read(env, os.getuid(), LAYOUT)


def test_nothing_set_is_a_site_on_loopback():
    found = read()
    assert (found.bind, found.server_port, found.gateway_port) == ("127.0.0.1", 8000, 8089)
    assert found.public_url == "http://127.0.0.1:8000"
    assert found.admin_user == "admin"
    assert found.admin_password is None


def test_only_root_runs_apps_as_other_accounts():
    assert options.read({}, 0, LAYOUT).single is False
    assert options.read({}, 0, LAYOUT).project_root == Path("/projects")


def test_an_ordinary_account_runs_all_as_itself_below_aen_home():
    nobody = options.read({}, 65534, LAYOUT)
    assert (nobody.single, nobody.account) == (True, "nobody")
    assert nobody.project_root == LAYOUT.home / "projects"


def test_an_account_without_a_name_is_refused():
    with pytest.raises(Problem, match="has no account"):
        options.read({}, 987654, LAYOUT)


@pytest.mark.parametrize("text", ["0", "65536", "8o00", "-1", "８０００", " 8000"])
def test_what_is_no_port_is_refused_by_name(text):
    with pytest.raises(Problem, match="AEN_SERVER_PORT"):
        read(AEN_SERVER_PORT=text)


def test_one_port_for_both_is_refused():
    with pytest.raises(Problem, match="both"):
        read(AEN_SERVER_PORT="9000", AEN_GATEWAY_PORT="9000")


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("10.0.0.5", "http://10.0.0.5:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_the_public_address_follows_where_the_server_listens(bind, url):
    assert read(AEN_BIND=bind).public_url == url


@pytest.mark.parametrize("url", ["aen.example.org", "https://", "https://x/path", "ftp://x"])
def test_what_is_no_address_of_a_site_is_refused_by_name(url):
    with pytest.raises(Problem, match="AEN_PUBLIC_URL"):
        read(AEN_PUBLIC_URL=url)


def test_a_star_gives_each_app_a_name_where_that_can_be_kept_apart():
    found = read(AEN_GATEWAY_PUBLIC_URL="https://*.apps.example.org")
    assert found.gateway_public_url == "https://*.apps.example.org"
    assert found.gateway_own_url == "https://apps.example.org"
    assert read(AEN_GATEWAY_PUBLIC_URL="http://*.localhost:8089").gateway_own_url


@pytest.mark.parametrize(
    "url", ["http://*.apps.example.org", "https://apps.*.org", "https://*.*.org", "https://a*.org"]
)
def test_a_star_that_cannot_be_used_is_refused_by_name(url):
    with pytest.raises(Problem, match="AEN_GATEWAY_PUBLIC_URL"):
        read(AEN_GATEWAY_PUBLIC_URL=url)
    with pytest.raises(Problem, match="AEN_PUBLIC_URL"):
        read(AEN_PUBLIC_URL=url)


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / "password").write_text("from the file\n")
    assert (
        read(AEN_ADMIN_PASSWORD_FILE=str(tmp_path / "password")).admin_password == "from the file"
    )


def test_a_secret_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Problem, match="AEN_DATABASE_URL_FILE"):
        read(AEN_DATABASE_URL_FILE=str(tmp_path / "none"))


def test_secrets_are_not_shown_with_the_options():
    shown = repr(read(AEN_ADMIN_PASSWORD="hush", AEN_DATABASE_URL="postgresql://u:hush@h/d"))
    assert "hush" not in shown
