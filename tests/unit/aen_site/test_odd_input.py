"""Whatever is sent, the answer is one of the contract's: never a traceback."""

import json

import pytest
from django.test import Client

from accounts import actions as accounts

SURROGATE = '"\\ud800"'
DEEP = "[" * 100_000
HUGE = "9" * 5000

BODIES = [
    "",
    "null",
    "[]",
    "1",
    '"x"',
    "{",
    "{}",
    DEEP,
    '{"name": ' + DEEP,
    '{"name": null}',
    '{"name": 5}',
    '{"name": ["a"]}',
    '{"name": {"a": 1}}',
    '{"name": "Upper"}',
    '{"name": "a\\u0000b"}',
    '{"name": "good", "summary": "a\\u0000b"}',
    '{"name": "good", "data_center": "a\\u0000b"}',
    f'{{"name": {SURROGATE}}}',
    f'{{"name": "good", "summary": {SURROGATE}}}',
    f'{{"name": "good", "data_center": {SURROGATE}}}',
    f'{{"name": "good", "visibility": {SURROGATE}}}',
    '{"name": "good", "data_center": {}}',
    '{"name": "good", "visibility": 1}',
    json.dumps({"name": "good", "summary": "x" * 10_000}),
    '{"name": "٣٣٣"}',
    '{"name": "ａｂｃ"}',
    '{"name": "good\\n"}',
    f'{{"name": {HUGE}}}',
    f'{{"name": 1e{HUGE}}}',
    '{"name": NaN}',
    b"\xff\xfe",
    b'{"name": "\xed\xa0\x80"}',
    "x" * 2_000_000,
]


@pytest.fixture
def api(cast):
    """A client with Mira's API token that reports a traceback as what it is: a 500."""
    _, secret = accounts.create_token(cast.mira, "fuzz", ["api"], by=cast.mira)
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})


def refused(answer):
    assert answer.status_code in (400, 403, 404, 405, 409, 413, 422), answer.content[:300]
    assert set(answer.json()) >= {"code", "detail"}
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_an_odd_project_is_refused(body, api, project):
    refused(api.post("/api/v1/projects", body, content_type="application/json"))


def test_an_odd_change_changes_nothing_or_is_refused(api, project):
    for body in BODIES:
        answer = api.patch("/api/v1/projects/mira/forecast", body, content_type="application/json")
        assert answer.status_code < 500, answer.content[:300]


def test_an_odd_role_is_refused(api, project):
    path = "/api/v1/projects/mira/forecast/team/otto"
    for body in BODIES:
        refused(api.put(path, body, content_type="application/json"))


def test_a_call_without_a_sign_in_is_told_so_whatever_its_method(project):
    for method in ("GET", "POST", "PATCH", "DELETE"):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            client = Client(enforce_csrf_checks=True, headers=headers)
            answer = client.generic(method, "/api/v1/projects/mira/forecast", b"{}")
            expected = 405 if method == "POST" else 401
            assert (answer.status_code, "detail" in answer.json()) == (expected, True)


PIECES = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%2e%2e",
    "..%2f..",
    "x" * 5000,
    "٣",
    "ａ",
    "%0d%0a",
    "a'b",
    "%25",
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "projects/{}/forecast"),
        ("GET", "projects/mira/{}"),
        ("DELETE", "projects/mira/{}"),
        ("PUT", "projects/mira/forecast/team/{}"),
        ("DELETE", "projects/mira/forecast/team/{}"),
        ("GET", "projects/mira/forecast/apps/{}"),
        ("GET", "projects/mira/forecast/apps/{}/log"),
        ("POST", "projects/mira/forecast/apps/{}/start"),
        ("POST", "projects/mira/forecast/apps/{}/stop"),
        ("GET", "{}"),
        ("POST", "health"),
        ("TRACE", "projects"),
    ],
)
def test_an_odd_address_is_refused(method, path, api, project):
    data = b'{"role": "editor"}' if method == "PUT" else b""
    for piece in PIECES:
        address = "/api/v1/" + path.format(piece)
        refused(api.generic(method, address, data, content_type="application/json"))


@pytest.mark.parametrize("value", ["-1", "0", "٣", HUGE, "1e9", "%00", "nan", "", "-" + HUGE, "[]"])
@pytest.mark.parametrize(
    "path",
    [
        "projects?page={}",
        "projects?search={}",
        "projects?owner={}",
        "projects/mira/forecast/apps/lab/log?tail={}",
    ],
)
def test_an_odd_question_is_answered_or_refused(path, value, api, project):
    answer = api.get("/api/v1/" + path.format(value))
    if answer.status_code != 200:
        refused(answer)


PAGES = [
    "/",
    "/explore/",
    "/new/",
    "/running/",
    "/accounts/",
    "/manage/",
    "/manage/apps",
    "/manage/projects",
    "/manage/queue",
    "/manage/users",
    "/manage/audit",
    "/manage/data-centers",
    "/mira/forecast",
    "/mira/forecast/activity",
    "/mira/forecast/workspace",
    "/mira/forecast/settings",
    "/mira/forecast/settings/team",
    "/mira/forecast/settings/team/suggest",
    "/mira/forecast/settings/delete",
    "/accounts/login/",
    "/accounts/password/x/y/",
    "/accounts/password/AA/y/",
    "/oauth/authorize",
]
QUERIES = [
    "page=-1",
    "page=" + HUGE,
    "page=٣",
    "page=%00",
    "q=%00",
    "q=%ff",
    "tab=%00",
    "show=%00",
    "user=%00",
    "state=[]",
    "actor=%00&verb=%00",
    "client_id=%00&response_type=code",
    "client_id=a&client_id=b",
    "seen=%00",
    "user=%5C",
    "next=//x",
    "next=/oauth/authorize?place=//[",
    "next=%00",
    "next=http://[",
    "next=/oauth/authorize%3Fplace=//[",
]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_breaks_on_an_odd_question(path, project, cast):
    cast.mira.is_staff = cast.mira.is_superuser = True
    cast.mira.save()
    client = Client(raise_request_exception=False)
    if not path.startswith("/accounts/login"):
        client.force_login(cast.mira)
    for query in QUERIES:
        for headers in ({}, {"HX-Request": "true", "HX-Current-URL": "http://["}):
            assert client.get(f"{path}?{query}", headers=headers).status_code < 500, query


@pytest.mark.parametrize("shown", ["http://[", "//[", "x" * 5000, "\x00", "é"])
def test_a_part_of_a_page_is_refused_without_a_session_whatever_the_page_was(shown, db):
    client = Client(raise_request_exception=False)
    headers = {"HX-Request": "true", "HX-Current-URL": shown}
    answer = client.get("/mira/forecast/workspace", headers=headers)
    assert answer.status_code == 204


FORMS = [
    "/accounts/login/",
    "/accounts/name",
    "/accounts/password",
    "/accounts/tokens",
    "/accounts/theme",
    "/new/",
    "/mira/forecast/settings",
    "/mira/forecast/settings/preview",
    "/mira/forecast/settings/team/add",
    "/mira/forecast/settings/team/max/role",
    "/mira/forecast/settings/visibility",
    "/mira/forecast/settings/delete",
    "/manage/users/add",
    "/mira/forecast/apps/lab/stop",
    "/mira/forecast/apps/lab/reset",
    "/mira/forecast/apps/" + "a" * 32 + "/start",
    "/accounts/tokens/" + "0" * 32 + "/revoke",
]
FIELDS = [
    "name",
    "username",
    "full_name",
    "password",
    "again",
    "current",
    "summary",
    "description",
    "visibility",
    "user",
    "role",
    "confirm",
    "scopes",
    "next",
    "theme",
    "data_center",
]
VALUES = [
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "x" * 100_000,
    "٣",
    "%0d%0aSet-Cookie:a=b",
    "",
    "/%0d%0ax",
    "//x",
]


@pytest.mark.parametrize("path", FORMS)
def test_no_form_breaks_on_odd_fields(path, project, cast):
    cast.mira.is_staff = cast.mira.is_superuser = True
    cast.mira.save()
    client = Client(raise_request_exception=False)
    client.force_login(cast.mira)
    for value in VALUES:
        body = "&".join(f"{name}={value}" for name in FIELDS)
        answer = client.post(path, body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code < 500, value[:80]
        assert "\r" not in answer.get("Location", "")


def test_too_large_a_form_is_refused(project, cast):
    client = Client(raise_request_exception=False)
    client.force_login(cast.mira)
    body = "&".join(f"f{i}=1" for i in range(2000))
    for data in (body, "name=" + "x" * 2_000_000):
        answer = client.post("/new/", data, content_type="application/x-www-form-urlencoded")
        assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    "header", ["Basic \xff", "Basic ////", "Basic " + "QUJD", "Bearer", "", "Basic AA:=="]
)
def test_the_token_endpoint_refuses_odd_credentials(header, center):
    client = Client(raise_request_exception=False, headers={"Authorization": header})
    for data in ({}, {"grant_type": "authorization_code", "code": "\x00"}, {"client_id": "\x00"}):
        assert client.post("/oauth/token", data).status_code in (400, 401)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"owner":"\\ud800","project":"a","app":"b"}',
        b'{"owner":"a\\u0000","project":"a","app":"b","bearer":"\\u0000"}',
        b"[" * 100_000,
    ],
)
def test_an_odd_access_question_is_refused(body, center):
    client = Client(
        raise_request_exception=False, headers={"Authorization": f"Bearer {center.credential}"}
    )
    answer = client.post("/gateway/access", body, content_type="application/json")
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert answer.json()["status"] in (401, 404)
