"""The commands of manage.py, as an administrator types them."""

import json
import socket
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from accounts import tokens
from accounts.models import Job, User
from aen_site import health
from aen_site.certificates import Expired
from aen_site.databases import newer
from aen_site.management.commands import aen_check as check
from datacenters.management.commands import aen_node
from datacenters.models import DataCenter, Gateway, Node


def run(*args):
    """Run a command and return what it printed."""
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_adding_a_user_prints_a_link_on_which_they_set_their_password(db):
    link = run("aen_user", "add", "nora").split()[-1]
    assert link.startswith("http://testserver/accounts/password/")
    assert not User.objects.get().has_usable_password()


def test_a_password_may_come_from_a_file_and_is_not_printed(db, tmp_path):
    file = tmp_path / "password"
    file.write_text("correct-horse-9\n")
    printed = run("aen_user", "add", "nora", "--password-file", str(file))
    assert "correct-horse-9" not in printed
    assert User.objects.get().check_password("correct-horse-9")


@pytest.mark.parametrize(
    "args",
    [
        ("aen_user", "add", "Nora!"),
        ("aen_user", "lock", "nobody"),
        ("aen_superuser", "add", "nobody"),
        ("aen_token", "nobody"),
        ("aen_node", "enroll", "n1", "--address", "unix:/x", "--data-center", "moon"),
        ("aen_node", "drain", "n1"),
        ("aen_gateway", "remove", "g1"),
    ],
)
def test_what_is_refused_is_one_line_and_a_failure(db, args):
    with pytest.raises(CommandError) as refused:
        run(*args)
    assert "\n" not in str(refused.value)


def test_locking_and_unlocking(cast):
    run("aen_user", "lock", "mira")
    assert not User.objects.get(username="mira").is_active
    run("aen_user", "unlock", "mira")
    assert User.objects.get(username="mira").is_active


def test_making_and_unmaking_an_administrator(cast):
    run("aen_superuser", "add", "mira")
    assert User.objects.get(username="mira").is_superuser
    run("aen_superuser", "remove", "mira")
    assert not User.objects.get(username="mira").is_superuser


def test_a_token_is_printed_alone_for_use_in_scripts(cast):
    secret = run("aen_token", "mira", "--scope", "apps").strip()
    assert tokens.find(secret, "apps").user == cast.mira
    assert tokens.find(secret, "api") is None


def test_enrolling_a_gateway_writes_its_credential_for_it_alone(db, tmp_path):
    file = tmp_path / "credential"
    printed = run(
        "aen_gateway", "enroll", "north", "--url", "http://g.test", "--credential-file", str(file)
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in printed


@pytest.mark.django_db(transaction=True)
def test_a_credential_that_cannot_be_written_leaves_the_old_one_in_force(tmp_path):
    url = ("--url", "http://g.test", "--credential-file")
    run("aen_gateway", "enroll", "north", *url, str(tmp_path / "credential"))
    before = Gateway.objects.get().credential_digest
    with pytest.raises(CommandError, match="written"):
        run("aen_gateway", "enroll", "north", *url, str(tmp_path / "missing" / "credential"))
    assert Gateway.objects.get().credential_digest == before
    with pytest.raises(CommandError, match="written"):
        run("aen_gateway", "enroll", "west", *url, str(tmp_path / "missing" / "credential"))
    assert not DataCenter.objects.filter(name="west").exists()


def test_nodes_are_listed_as_json(center):
    rows = json.loads(run("aen_node", "list", "--json"))
    assert (rows[0]["name"], rows[0]["up"]) == ("node-1", True)


def test_draining_and_its_undo(center):
    run("aen_node", "drain", "node-1")
    assert Node.objects.get().state == "draining"
    run("aen_node", "drain", "node-1", "--undo")
    assert Node.objects.get().state == "active"


@pytest.mark.django_db(transaction=True)
def test_a_node_with_projects_is_not_removed(center, project):
    type(project).objects.update(node=center.node)
    with pytest.raises(CommandError, match="projects"):
        run("aen_node", "remove", "node-1")
    assert Node.objects.exists()


@pytest.fixture(autouse=True)
def nobody_is_asked_for_a_certificate(monkeypatch):
    monkeypatch.setattr("aen_site.certificates.days_left", lambda host, port: None)


def test_the_check_speaks_of_a_disk_that_is_nearly_full(center, cast, settings, monkeypatch):
    usage = SimpleNamespace(free=12_345_678)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    settings.AEN_PUBLIC_URL = "https://aen.test"
    Gateway.objects.update(last_seen=timezone.now())
    ((said, _),) = check.find()
    assert said == f"Only 12 MB are free on the disk that holds {settings.AEN_HOME}."


def test_a_worker_that_is_away_is_missed_though_nothing_waits(center):
    Job.objects.create(kind=health.TIDIED, state="done")
    assert "The worker does not take jobs." not in health.messages()
    Job.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert "The worker does not take jobs." in health.messages()


def test_the_check_speaks_of_certificates_that_end(center, cast, settings, monkeypatch):
    def days_left(host, port):
        if host == "aen.test":
            raise Expired
        return {("apps.test", 8443): 3.2}[host, port]

    monkeypatch.setattr("aen_site.certificates.days_left", days_left)
    settings.AEN_PUBLIC_URL = "https://aen.test"
    Gateway.objects.update(last_seen=timezone.now(), url="https://*.apps.test:8443")
    said = [problem for problem, _ in check.find()]
    assert said[0].startswith("The certificate of https://aen.test has expired")
    assert said[1] == "The certificate of https://apps.test:8443 ends in 3 days."


def test_the_check_of_a_site_in_order_says_so(center, cast, settings):
    settings.AEN_PUBLIC_URL = "https://aen.test"
    Gateway.objects.update(last_seen=timezone.now())
    assert run("aen_check").startswith("Nothing is wrong.\n")


def test_the_check_says_how_apps_are_kept_apart_and_what_that_means(center, cast, settings):
    settings.AEN_PUBLIC_URL = "https://aen.test"
    Gateway.objects.update(last_seen=timezone.now())
    assert "all apps share one address, http://gateway.test." in run("aen_check")
    Gateway.objects.update(url="https://*.apps.test")
    said = run("aen_check")
    assert "each app has a name of its own below https://apps.test." in said
    assert "can neither read nor call another" in said


def test_the_check_names_problem_and_mend_and_fails(center):
    with pytest.raises(SystemExit) as ended:
        run("aen_check")
    assert ended.value.code == 1
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("aen_check", "--json", stdout=out)
    problems = {row["problem"]: row["mend"] for row in json.loads(out.getvalue())}
    assert "There is no administrator." in problems
    assert "Gateway north is not connected." in problems


def test_the_check_asks_the_server_itself(center, cast, settings):
    settings.AEN_PUBLIC_URL = "https://aen.test"
    Gateway.objects.update(last_seen=timezone.now())
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        settings.AEN_SERVER_URL = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        assert list(check.find()) == [
            (
                f"The server does not answer at {settings.AEN_SERVER_URL}: Connection refused.",
                f"If the site was ended, start it: make run. Else look into {check.LOGS}/server.log.",
            )
        ]


def test_a_database_that_a_newer_version_has_changed_is_recognised(db):
    loader = MigrationLoader(connection)
    assert newer(loader) == []
    loader.applied_migrations |= {
        ("projects", "9001_of_the_future"): None,
        ("auth", "9001_x"): None,
    }
    loader.applied_migrations |= {("projects", "0001_replaced_meanwhile"): None}
    assert newer(loader) == ["projects.9001_of_the_future"]


def test_a_database_that_is_away_is_one_line(db, monkeypatch):
    def away():
        raise OperationalError("connection refused\nIs it running?")

    monkeypatch.setattr(aen_node.Node.objects, "select_related", lambda *_: away())
    with pytest.raises(CommandError) as refused:
        run("aen_node", "list")
    assert str(refused.value).startswith("The database does not answer: connection refused. Check")


def test_a_password_may_come_from_standard_input(db, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("from-Standard-1nput\n"))
    run("aen_user", "add", "pia", "--password-file", "-")
    assert User.objects.get(username="pia").check_password("from-Standard-1nput")


SETUP = ["aen_setup", "--gateway-url", "http://127.0.0.1:8089", "--node-address", "unix:/a.sock"]


def test_setting_up_twice_changes_nothing_and_shows_the_password_once(db, tmp_path, monkeypatch):
    monkeypatch.delenv("AEN_ADMIN_PASSWORD", raising=False)
    file = tmp_path / "credential"
    first = run(*SETUP, "--credential-file", str(file))
    kept = file.read_text()
    second = run(*SETUP, "--credential-file", str(file))
    assert "Administrator: admin  Password: " in first
    assert "Password" not in second
    assert file.read_text() == kept
    assert (Gateway.objects.count(), Node.objects.count(), User.objects.count()) == (1, 1, 1)


def test_a_password_given_is_used_and_not_printed(db, tmp_path, monkeypatch):
    monkeypatch.setenv("AEN_ADMIN_PASSWORD", "given-Secret-77")
    printed = run(*SETUP, "--credential-file", str(tmp_path / "credential"))
    assert "given-Secret-77" not in printed
    assert User.objects.get(username="admin").check_password("given-Secret-77")
