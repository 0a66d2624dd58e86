"""What the site is told of its database, and what it says where that can't be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from accounts.transactions import atomic, replaceable
from aen_site import databases
from aen_site.databases import urls

CHECKOUT = Path(__file__).parents[3]


def test_sqlite_takes_its_lock_when_a_transaction_begins():
    found = databases.chosen("sqlite:////srv/aen/db.sqlite3").settings
    assert found["NAME"] == "/srv/aen/db.sqlite3"
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="is about SQLite")
@pytest.mark.django_db(transaction=True)
def test_sqlite_waits_for_the_disk_but_for_what_comes_again():
    usual = databases.chosen("sqlite:////srv/aen/db.sqlite3").settings["OPTIONS"]["init_command"]
    connection.ensure_connection()
    connection.connection.executescript(usual)

    def waits():
        return connection.connection.execute("PRAGMA synchronous").fetchone()[0]

    off, normal, full = range(3)
    assert (off, waits()) == (0, full)
    with replaceable():
        assert waits() == normal
    assert waits() == full
    with atomic(), replaceable():  # what is around it decides
        assert waits() == full
    connection.close()


def test_postgresql_is_read_with_its_escapes():
    found = databases.chosen("postgresql://u%40x:p%2Fw@db.example:5433/aen").settings
    assert (found["USER"], found["PASSWORD"]) == ("u@x", "p/w")
    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example", "5433", "aen")


def test_postgresql_is_reached_as_safely_as_its_address_says():
    url = "postgresql://u:p@h/aen?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem"
    options = databases.chosen(url).settings["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/etc/ssl/db.pem")
    assert options["connect_timeout"] == 5


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:hush@h/aen", "the database aen of u at h, port 5432"),
        ("sqlite:////srv/db.sqlite3", "the file /srv/db.sqlite3, which with its folder must be"),
    ],
)
def test_a_database_is_named_without_its_password(url, said):
    named = databases.named(databases.chosen(url).settings)
    assert named.startswith(said)
    assert "hush" not in named


def test_postgresql_is_found_in_any_folder():
    found = databases.chosen("postgresql://aen@%2Fsrv%2FDatabases:5433/aen").settings
    assert (found["HOST"], found["PORT"]) == ("/srv/Databases", "5433")


def test_the_server_alone_shares_connections_and_to_postgresql_alone():
    for url, shared in (("postgresql://h/aen", True), ("sqlite:////x", False)):
        found = databases.chosen(url).settings
        assert "pool" not in found["OPTIONS"]
        databases.share_connections(found)
        assert ("pool" in found["OPTIONS"]) == shared


def test_mongodb_acknowledges_what_a_majority_has_on_disk():
    url = "mongodb://u:p@a.example:27017,b.example:27017/aen?replicaSet=rs0"
    found = databases.chosen(url).settings
    assert (found["NAME"], found["HOST"]) == ("aen", url)
    assert found["OPTIONS"]["w"] == "majority"
    assert found["OPTIONS"]["journal"] is True


def test_the_wait_for_mongodb_is_what_its_address_says():
    usual = databases.chosen("mongodb://h/aen").settings["OPTIONS"]
    given = databases.chosen("mongodb://h/aen?serverSelectionTimeoutMS=99").settings["OPTIONS"]
    assert usual["serverSelectionTimeoutMS"] == 5000
    assert "serverSelectionTimeoutMS" not in given


def test_other_apps_have_keys_of_mongodb_there_and_their_own_elsewhere():
    usual = ["projects.apps.ProjectsConfig", "django.contrib.auth", "guardian"]
    assert databases.chosen("sqlite:///x").apps(usual) == usual
    there = databases.chosen("mongodb://h/aen").apps(usual)
    assert there[0] == usual[0]
    assert all(app.startswith("aen_site.databases.mongodb_apps.") for app in there[1:])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://h/aen", "begins with “mysql:”. It may be sqlite:///path, postgresql:"),
        ("/srv/aen/db.sqlite3", "does not begin with a scheme. It may be sqlite:///path"),
        ("postgresql://u:p@h:5432/", "names no database. It stands after the host"),
        ("postgresql://u:p@h:543a/aen", "a port that is no number from 1 to 65535"),
        ("postgresql://u:p@ss@h/aen", "written as %40 for @"),
        ("postgresql://u:p/a@h/aen", "written as %40 for @, %2F for /"),
        ("postgresql://u:p@h/aen?sslmod=require", "the parameter “sslmod”. It may have sslmode,"),
        ("djongo://h/aen", "Its place is taken by django-mongodb-backend"),
        ("djongo+mongodb://h/aen", "Its place is taken by django-mongodb-backend"),
        ("mongodb://h:27017", "names no database. It stands after the host"),
        ("mongodb://h:27017/?replicaSet=rs0", "names no database"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_mend(url, said):
    with pytest.raises(ImproperlyConfigured) as refused:
        databases.chosen(url)
    assert said in str(refused.value)


def test_mongodb_without_its_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(urls, "find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'aen\[mongodb\]'"):
        databases.chosen("mongodb://h/aen")


def django(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments], capture_output=True, text=True, check=False,
        cwd=CHECKOUT, timeout=120,
        env={"PATH": os.defpath, "DJANGO_SETTINGS_MODULE": "tests.settings"} | env,
    )  # fmt: skip


def test_djongo_as_engine_stops_with_the_name_of_its_replacement(tmp_path):
    (tmp_path / "own_settings.py").write_text(
        "from tests.settings import *\nDATABASES['default'] = {'ENGINE': 'djongo', 'NAME': 'aen'}\n"
    )
    done = django("check", DJANGO_SETTINGS_MODULE="own_settings", PYTHONPATH=str(tmp_path))
    assert done.returncode != 0
    assert "Its place is taken by django-mongodb-backend" in done.stderr


def test_the_migrations_kept_for_mongodb_are_those_of_the_installed_apps():
    """Makes none and asks no database: that this one is away is a warning."""
    nobody = "mongodb://127.0.0.1:9/aen?serverSelectionTimeoutMS=1"
    done = django("makemigrations", "--check", "--dry-run", AEN_TEST_DATABASE_URL=nobody)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No changes detected" in done.stdout
