"""App descriptions: those that come with AEN, and mistakes in others."""

import json
import re

import pytest

from compute_agent.catalog import BUILT_IN, load

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
