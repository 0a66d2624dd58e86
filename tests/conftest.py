"""The cast and the stage that most tests share."""

import resource
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from hypothesis import settings

from tests import portable_queries, service_account, side_by_side
from tests.postgresql import PostgreSQL, why_not

# The same examples in every run; `--hypothesis-profile=thorough` tries others, and many more.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("thorough", deadline=None, database=None, print_blob=True)
settings.load_profile("same")


def pytest_addoption(parser):
    told = "run the transcripts of tests/conformance through these, too: chp,nginx"
    parser.addoption("--peers", default="", metavar="NAMES", help=told)


def pytest_configure():
    """Allow as many open files as the machine does: some tests hold thousands of sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    portable_queries.install()


def pytest_collection_modifyitems(config, items):
    """On another database than the usual one, run what touches a database, and nothing else."""
    side_by_side.arrange(items)
    if not django_settings.TEST_DATABASE:
        return
    other = [item for item in items if not _touches_the_database(item)]
    items[:] = [item for item in items if _touches_the_database(item)]
    config.hook.pytest_deselected(items=other)


def _touches_the_database(item):
    slow = item.get_closest_marker("browser") or item.get_closest_marker("host")
    marked = item.get_closest_marker("django_db")
    return not slow and (marked or {"db", "transactional_db"} & set(item.fixturenames))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop():
    with service_account.kept_as_it_was():
        return (yield)


def pytest_sessionfinish(session, exitstatus):
    """A part of the tests without any that touches a database is no failure of the second run."""
    nothing = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
    if nothing and django_settings.TEST_DATABASE:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server of these tests' own."""
    if reason := why_not():
        pytest.skip(reason)
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="session")
def mongodb():
    """A server that understands MongoDB's wire, of these tests' own."""
    from tests.mongodb import server

    if reason := server.why_not():
        pytest.skip(reason)
    with server.Server() as running:
        yield running


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, request):
    """The moment before the test database is made: its server is started, if it is to be one."""
    if django_settings.STARTED_BY_TESTS:
        server = request.getfixturevalue(django_settings.STARTED_BY_TESTS)
        django_settings.DATABASES["default"]["HOST"] = server.host


@pytest.fixture
def center(db):
    """A data center with a gateway and a node that is up and offers three apps."""
    from django.utils import timezone

    from datacenters import actions
    from datacenters.models import Node

    row = actions.ensure_data_center("north", by=None)
    gateway, credential = actions.enroll_gateway("north", row, "http://gateway.test", by=None)
    node = actions.enroll_node("node-1", row, "unix:/nowhere/agent.sock", by=None)
    offers = [
        {"name": "lab", "title": "JupyterLab", "icon": "lab", "landing": ""},
        {"name": "notebook", "title": "Notebook", "icon": "notebook", "landing": ""},
        {"name": "terminal", "title": "Terminal", "icon": "terminal", "landing": ""},
    ]
    Node.objects.filter(pk=node.pk).update(
        up=True, last_seen=timezone.now(), status={"apps": offers}
    )
    node.refresh_from_db()
    return SimpleNamespace(row=row, gateway=gateway, credential=credential, node=node)


@pytest.fixture
def cast(db):
    """Mira owns, max manages, edda edits, vera views, otto is no member, ada administers."""
    from accounts import actions

    names = ["mira", "max", "edda", "vera", "otto"]
    people = {
        name: actions.create_user(name, by=None, password=f"{name}-Secret-1") for name in names
    }
    people["ada"] = actions.create_user(
        "ada", by=None, password="ada-Secret-1", is_staff=True, is_superuser=True
    )
    return SimpleNamespace(**people)


@pytest.fixture
def project(center, cast):
    """Mira's private project ``forecast``, with a manager, an editor and a viewer."""
    from projects import actions

    row = actions.create_project(cast.mira, "forecast", summary="Day-ahead load")
    for person, role in [("max", "manager"), ("edda", "editor"), ("vera", "viewer")]:
        actions.set_role(row, person, role, by=cast.mira)
    return row
