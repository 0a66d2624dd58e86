import functools

import pytest

from accounts import actions as accounts
from datacenters.models import Node
from projects import actions
from projects.models import AppInstance


def test_without_a_token_one_is_told_how_to_get_in(call, db):
    status, body = call(None, "get", "projects")
    assert (status, body["code"]) == (401, "not_signed_in")


def test_a_token_without_the_scope_opens_nothing(client, cast):
    _, secret = accounts.create_token(cast.mira, "test", ["apps"], by=cast.mira)
    answer = client.get("/api/v1/projects", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401


def test_the_web_session_needs_csrf_to_write(center, cast):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.mira, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/v1/projects").status_code == 200
    answer = client.post("/api/v1/projects", {"name": "forecast"}, content_type="application/json")
    assert answer.status_code == 403


def test_creating_a_project_answers_with_it(call, center, cast):
    status, body = call(
        cast.mira, "post", "projects", {"name": "forecast", "visibility": "private"}
    )
    assert status == 201
    assert (body["owner"], body["name"], body["role"]) == ("mira", "forecast", "owner")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": "For cast"}, "name"),
        ({"name": "apps"}, "name"),
        ({"name": "forecast", "visibility": "secret"}, "visibility"),
        ({"name": "forecast", "data_center": "moon"}, "data_center"),
        ({"name": "forecast", "summary": "x" * 201}, "summary"),
        ({"visibility": "private"}, "name"),
        ({"name": 5}, "name"),
    ],
)
def test_bad_input_names_its_field(call, center, cast, data, field):
    status, body = call(cast.mira, "post", "projects", data)
    assert (status, body["field"]) == (422, field)
    assert set(body) == {"code", "detail", "field"}


def test_a_name_taken_is_409(call, project, cast):
    status, body = call(cast.mira, "post", "projects", {"name": "forecast"})
    assert (status, body["code"]) == (409, "conflict")


EVERY_CALL = [
    ("get", "projects/mira/forecast", None),
    ("patch", "projects/mira/forecast", {"summary": "mine"}),
    ("delete", "projects/mira/forecast", None),
    ("get", "projects/mira/forecast/team", None),
    ("put", "projects/mira/forecast/team/otto", {"role": "manager"}),
    ("delete", "projects/mira/forecast/team/edda", None),
    ("get", "projects/mira/forecast/permissions?path=data", None),
    ("get", "projects/mira/forecast/permissions/overrides", None),
    (
        "put",
        "projects/mira/forecast/permissions/overrides",
        {"path": "data", "user": "otto", "access": "rwx"},
    ),
    ("delete", "projects/mira/forecast/permissions/overrides?path=data&user=edda", None),
    ("get", "projects/mira/forecast/apps", None),
    ("post", "projects/mira/forecast/apps/lab/start", {}),
    ("post", "projects/mira/forecast/apps/lab/stop", {}),
    ("get", "projects/mira/forecast/apps/lab", None),
    ("get", "projects/mira/forecast/apps/lab/log", None),
]


@pytest.mark.parametrize(("method", "path", "data"), EVERY_CALL)
def test_outsiders_get_404_as_for_what_is_not_there(call, project, cast, method, path, data):
    outsider = call(cast.otto, method, path, data)
    assert outsider == call(cast.otto, method, path.replace("forecast", "nothing"), data)
    assert outsider[0] == 404


def test_members_get_403_for_what_their_role_does_not_allow(call, project, cast):
    assert call(cast.vera, "post", "projects/mira/forecast/apps/lab/start", {})[0] == 403
    assert call(cast.edda, "delete", "projects/mira/forecast")[0] == 403


def test_the_list_holds_only_what_one_may_see(call, project, cast):
    assert call(cast.otto, "get", "projects")[1]["items"] == []
    assert [p["name"] for p in call(cast.vera, "get", "projects")[1]["items"]] == ["forecast"]
    assert call(cast.vera, "get", "projects?search=elsewhere")[1]["count"] == 0


def test_start_show_and_stop(call, project, cast):
    status, started = call(cast.mira, "post", "projects/mira/forecast/apps/lab/start", {})
    assert (status, started["state"], started["url"]) == (202, "requested", None)
    again = call(cast.mira, "post", "projects/mira/forecast/apps/lab/start", {})[1]
    assert again["id"] == started["id"]
    AppInstance.objects.update(state="running")
    shown = call(cast.mira, "get", "projects/mira/forecast/apps/lab")[1]
    assert shown["url"] == "http://gateway.test/mira/forecast/lab/"
    status, stopped = call(cast.mira, "post", "projects/mira/forecast/apps/lab/stop", {})
    assert (status, stopped["state"], stopped["url"]) == (202, "stopping", None)


def test_one_does_not_see_anothers_instance(call, project, cast):
    actions.start_app(project, "lab", by=cast.mira)
    assert call(cast.edda, "get", "projects/mira/forecast/apps/lab")[1]["state"] == "stopped"


def test_an_unknown_app_is_404(call, project, cast):
    assert call(cast.mira, "get", "projects/mira/forecast/apps/chess")[0] == 404
    assert call(cast.mira, "post", "projects/mira/forecast/apps/chess/stop", {})[0] == 404


def test_health_names_what_does_not_work(call, center):
    status, body = call(None, "get", "health")
    assert (status, body) == (
        200,
        {"status": "problem", "messages": ["Gateway north is not connected."]},
    )


@pytest.mark.row(22)
def test_health_tells_strangers_what_and_not_where(client, center, cast):
    said = "Environments of /srv/projects/mira: No space left."
    Node.objects.filter(pk=center.node.pk).update(status={"problems": [said, said]})
    get = functools.partial(client.get, "/api/v1/health", REMOTE_ADDR="192.0.2.7")
    public = ["Gateway north is not connected.", "Node node-1 has a problem."]
    assert get().json() == {"status": "problem", "messages": public}
    full = f"Node node-1 has a problem. {said}"
    assert full in client.get("/api/v1/health").json()["messages"], "on the machine itself"
    for person, told in ((cast.mira, False), (cast.ada, True)):
        client.force_login(person)
        assert (full in get().json()["messages"]) is told


def test_openapi_is_served(call, db):
    status, body = call(None, "get", "openapi.json")
    assert status == 200
    assert "/api/v1/projects/{owner}/{name}/apps/{app}/start" in body["paths"]
