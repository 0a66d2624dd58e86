"""App descriptions: those that come with AEN, and mistakes in others."""

import json
import re

import pytest

from compute_agent.catalog import BUILT_IN, OPTIONAL, load, of_node
from compute_agent.config import Config
from compute_agent.host import privileges

GOOD = {"name": "dash", "title": "Dash", "icon": "dash", "command": ["run", "%(socket)s"]}


@pytest.fixture
def described(tmp_path):
    def described(file="dash", **changes):
        (tmp_path / f"{file}.json").write_text(json.dumps(GOOD | changes))
        return load(BUILT_IN, tmp_path)

    return described


def test_the_built_in_apps_are_all_usable():
    catalog = load(BUILT_IN)
    assert catalog.problems == ()
    assert [offer.name for offer in catalog.offers] == ["notebook", "lab", "terminal"]


def test_a_further_app_is_offered_after_the_others(described):
    assert [offer.name for offer in described().offers][-1] == "dash"


def test_a_description_replaces_a_built_in_app_of_its_name(described):
    catalog = described("lab", name="lab", title="Our lab")
    assert catalog.apps["lab"].title == "Our lab"


def test_placeholders_are_filled_in_and_other_signs_kept(described):
    app = described(command=["%(jupyter)s/bin/x", "50%", "--at=%(socket)s"]).apps["dash"]
    values = {"jupyter": "/j", "socket": "/s"}
    assert app.command_line(values) == ["/j/bin/x", "50%", "--at=/s"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "other"}, r"must be named other\.json"),
        ({"command": []}, "command"),
        ({"command": ["x", "%(socke)s"]}, r"uses %\(socke\)s, which this node cannot fill in"),
        ({"command": ["x"]}, "nothing tells the app where to listen"),
        ({"command": ["x", "%(port)s", "%(socket)s"]}, "listens on one of them"),
        ({"unix_socket": False}, r"has unix_socket false but no %\(port\)s"),
        ({"environment": {"A": "%(nobody)s"}}, "nobody"),
        ({"environment": {"A=B": "c"}}, "environment"),
        ({"environment": {"A": "b\0c"}}, "environment"),
        ({"command": ["x\0", "%(socket)s"]}, "command"),
        ({"directory": "../other"}, "directory"),
        ({"directory": "/etc"}, "directory"),
        ({"prefix": "cut"}, "prefix"),
        ({"ready_status": [20]}, "ready_status"),
        ({"needs": {"packages": "streamlit"}}, r"needs\.packages"),
        ({"title": 7}, r"Expected `str`, got `int` - at `\$\.title`"),
        ({"template": "conda"}, "names the template conda"),
        ({"landing": "//elsewhere.example/"}, "landing"),
        ({"landing": "../other/"}, "landing"),
        ({"colour": "red"}, "colour"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_mistake_disables_its_app_and_no_other(described, changes, said):
    catalog = described(**changes)
    assert "dash" not in catalog.apps
    assert len(catalog.apps) == 3
    [problem] = catalog.problems
    assert problem.startswith("The app dash is not offered: ")
    assert re.search(said, problem)


# --- apps with a port ----------------------------------------------------------------------------

AEN_4 = {"command": ["run", "--port=%(port)s", "--base=%(urlPrefix)s", "%(projectHome)s"]}


@pytest.fixture
def single(monkeypatch):
    """The catalog's view of a node that runs every app as one person."""
    monkeypatch.setattr(privileges, "serves_others", lambda: False)


def test_an_app_in_the_words_of_aen_4_listens_on_a_port(described):
    app = described(**AEN_4).apps["dash"]
    assert app.has_port
    values = {"port": "1", "urlPrefix": "/a/b/c/", "projectHome": "/p"}
    assert app.command_line(values) == ["run", "--port=1", "--base=/a/b/c/", "/p"]


@pytest.mark.usefixtures("single")
def test_an_app_with_a_port_is_refused_where_the_port_cannot_be_closed(described, tmp_path):
    described(**AEN_4)
    catalog = of_node(Config(apps_dir=str(tmp_path)))
    assert [offer.name for offer in catalog.offers] == ["notebook", "lab", "terminal"]
    assert catalog.problems == (
        "The app dash is not offered: it listens on a port, and this node cannot keep other "
        "accounts from it: it runs every app as one person and may not set rules for the "
        "machine's network.",
    )


@pytest.mark.usefixtures("single")
def test_apps_that_a_node_opts_into_are_offered_after_the_others():
    names = sorted(path.stem for path in OPTIONAL.glob("*.json"))
    catalog = of_node(Config(apps=tuple(names)))
    assert catalog.problems == ()
    assert sorted(offer.name for offer in catalog.offers[3:]) == names
    assert {offer.category for offer in catalog.offers[3:]} == {
        "Dashboards", "Editors", "Notebooks"
    }  # fmt: skip


def test_variables_are_filled_in_like_the_command(described):
    app = described(environment={"BASE": "%(urlPath)s/x"}).apps["dash"]
    assert app.variables({"urlPath": "/a/b/c"}) == {"BASE": "/a/b/c/x"}
