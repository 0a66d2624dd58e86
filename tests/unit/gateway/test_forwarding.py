"""The rules of what passes between browser and app, each by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forwarding import (
    BadRequest,
    Framing,
    app_cookie,
    bearer_of,
    check_path,
    cookies_of,
    framing_of,
    is_foreign,
    is_project_path,
    local_path,
    parse_app_path,
    same_origin,
    serialize_head,
    split_query,
    target_of,
    to_app,
    to_client,
)

GUARDS = [
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin-allow-popups"),
]
PREFIX = b"/mira/forecast/lab/"
FORWARDED = [(b"host", b"h"), (b"x-forwarded-for", b"10.0.0.1")]


def passed(*headers, inject=None, cookies=b""):
    return to_app(list(headers), cookies, [], inject or {})


# --- addresses -----------------------------------------------------------------------------------


def test_an_address_names_owner_project_and_app():
    path = parse_app_path(b"/mira/forecast/lab/tree/a%2Fb")
    assert path == ("mira", "forecast", "lab", PREFIX)


@pytest.mark.parametrize(
    "raw",
    [b"/mira/forecast/lab", b"/mira/forecast/lab/", b"/mira/forecast/lab/x/y"],
)
def test_the_slash_after_the_app_is_not_needed_to_name_it(raw):
    assert parse_app_path(raw).prefix == PREFIX


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"/", b"/mira", b"/mira/forecast", b"//mira/forecast/lab/", b"/Mira/forecast/lab/",
        b"/m/forecast/lab/", b"/" + b"m" * 33 + b"/forecast/lab/", b"/1mira/forecast/lab/",
        b"/mira/../lab/", b"/mira/%66orecast/lab/", b"/mira/forecast/lab%2fx", b"/-/callback/x/y",
        b"/mira/forecast/lab\n", b"/mira/forecast\x00/lab/", b"/127.0.0.1/8888/tree/",
    ],
)  # fmt: skip
def test_whatever_is_no_name_names_no_app(raw):
    assert parse_app_path(raw) is None


def test_a_projects_address_is_known_for_what_it_is():
    assert is_project_path(b"/mira/forecast")
    assert is_project_path(b"/mira/forecast/")
    assert not is_project_path(b"/mira/forecast/lab")
    assert not is_project_path(b"//evil.example/x")


@pytest.mark.parametrize(
    "rest",
    [b"..", b"../x", b"a/../b", b"%2e%2e/x", b".%2E/x", b"a%2f..%2fb", b"a%5C..%5Cb", b"a\\..\\b",
     b"%00", b"a\x7fb", b"\xc3\xa9", b"%c0%ae%C0%AF"],
)  # fmt: skip
def test_a_path_that_could_be_read_as_another_is_refused(rest):
    with pytest.raises(BadRequest):
        check_path(PREFIX + rest)


@pytest.mark.parametrize(
    "rest",
    [b"", b"a..b", b"...", b"..a", b"a%20b", b"a%2Fb", b"%C3%A9", b"%252e%252e/", b".hidden",
     b"a;v=1,2", b"./a", b"x%2e"],
)  # fmt: skip
def test_a_path_that_is_merely_unusual_passes(rest):
    check_path(PREFIX + rest)


# --- cookies and tokens --------------------------------------------------------------------------


def test_our_cookies_are_taken_out_and_the_rest_is_kept_as_it_was():
    line = b'a=1; aen_gateway=x; __Host-aen_gateway=h; b="q; AEN_other=1;c ; aen_csrf=2; =nameless'
    assert cookies_of([(b"cookie", line)]) == (("x",), ("h",), b'a=1; b="q; c; =nameless')


@pytest.mark.row(8)
def test_all_session_cookies_count_in_the_order_sent_over_all_fields():
    fields = [(b"cookie", b"aen_gateway=1; a=1"), (b"cookie", b"aen_gateway=2;aen_gateway=3")]
    assert cookies_of(fields) == (("1", "2", "3"), (), b"a=1")


def test_without_cookies_there_are_none():
    assert cookies_of([(b"host", b"x")]) == ((), (), b"")


@given(st.lists(st.sampled_from(["aen_gateway=s", "aen_x=1", "a=1", " b=2 ", "", "=", "aen_"])))
def test_no_name_of_ours_is_left(parts):
    rest = cookies_of([(b"cookie", ";".join(parts).encode())]).rest
    assert b"aen_" not in rest


@pytest.mark.parametrize(
    ("value", "token"),
    [(b"Bearer abc", "abc"), (b"bearer  abc ", "abc"), (b"token abc", "abc"),
     (b"Basic abc", None), (b"", None), (b"Bearerabc", None)],
)  # fmt: skip
def test_tokens_come_as_bearer_or_as_jupyters_clients_write_them(value, token):
    assert bearer_of([(b"authorization", value)]) == token


def test_the_token_of_a_jupyter_page_is_not_taken_for_ours():
    fields = [(b"authorization", b"token of-jupyter")]
    assert bearer_of(fields, sessions=("s",)) is None
    assert passed(*fields) == []


# --- origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        (b"https://apps.example", b"apps.example", True),
        (b"https://apps.example", b"10.0.0.1:8089", False),
        (b"https://10.0.0.1:8089", b"10.0.0.1:8089", True),
        (b"http://apps.example", b"apps.example", False),
        (b"https://apps.example.evil.example", b"apps.example", False),
        (b"https://evilapps.example", b"apps.example", False),
        (b"https://apps.example:444", b"apps.example", False),
        (b"null", b"null", False),
        (b"", b"", False),
        (b"https://", b"", False),
    ],
)
def test_only_the_origin_of_the_host_that_is_asked_is_the_same(origin, host, same):
    assert same_origin(origin, b"https", host) is same


@pytest.mark.parametrize(
    ("site", "mode", "dest", "foreign"),
    [
        (b"same-origin", b"cors", b"empty", False),
        (b"none", b"navigate", b"document", False),
        (b"", b"", b"", False),
        (b"cross-site", b"navigate", b"document", False),
        (b"same-site", b"navigate", b"iframe", True),
        (b"cross-site", b"navigate", b"object", True),
        (b"same-site", b"no-cors", b"script", True),
        (b"same-site", b"no-cors", b"image", True),
        (b"cross-site", b"cors", b"empty", True),
        (b"same-site", b"websocket", b"websocket", True),
        (b"cross-site", b"", b"", True),
    ],
)
@pytest.mark.row(12)
def test_what_another_origins_page_loads_is_foreign_and_a_link_is_not(site, mode, dest, foreign):
    names = (b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
    fields = zip(names, (site, mode, dest), strict=True)
    assert is_foreign([field for field in fields if field[1]]) is foreign


# --- framing -------------------------------------------------------------------------------------


def test_the_body_is_delimited_in_one_way():
    assert framing_of([]) == Framing("none")
    assert framing_of([(b"content-length", b"12")]) == Framing("length", 12)
    assert framing_of([(b"transfer-encoding", b"Chunked")]) == Framing("chunked")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"content-length", b"+1")],
        [(b"content-length", b"1, 1")],
        [(b"content-length", b"0x1")],
        [(b"content-length", b"")],
        [(b"content-length", b"\xb2")],
    ],
)
def test_a_body_that_could_end_at_two_places_is_refused(headers):
    with pytest.raises(BadRequest):
        framing_of(headers)


# --- fields for the app --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [b"X-Forwarded-For", b"x-forwarded-anything", b"FORWARDED", b"X-Real-IP", b"x_real_ip",
     b"X_Forwarded_For", b"Remote-User", b"remote_user", b"X-Remote-Group", b"X-Auth-Request-User",
     b"Proxy", b"X-Original-URL", b"X-AEN-User", b"AEN-Inject", b"content_length", b"Keep-Alive",
     b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade", b"Expect", b"Cookie", b"Content-Length",
     b"Proxy-Authorization", b"Connection"],
)  # fmt: skip
def test_a_field_that_is_the_gateways_to_set_does_not_pass(name):
    assert passed((name, b"x")) == []


def test_what_the_connection_field_names_stays_on_that_connection():
    headers = [(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-stays", b"1")]
    assert passed(*headers) == [(b"x-stays", b"1")]


def test_the_connection_field_can_remove_neither_host_nor_what_the_gateway_sets():
    headers = [(b"host", b"g"), (b"connection", b"host, x-forwarded-for, cookie, authorization")]
    assert to_app(headers, b"a=1", FORWARDED, {b"authorization": b"token t"}) == [
        *FORWARDED, (b"cookie", b"a=1"), (b"authorization", b"token t"),
    ]  # fmt: skip


def test_what_the_node_injects_replaces_what_the_client_sent():
    sent = [(b"Authorization", b"Basic x"), (b"accept", b"*/*")]
    assert passed(*sent, inject={b"authorization": b"token t"}) == [
        (b"accept", b"*/*"), (b"authorization", b"token t"),
    ]  # fmt: skip


def test_an_apps_own_password_passes():
    assert passed((b"authorization", b"Basic x")) == [(b"authorization", b"Basic x")]


def test_order_and_repetition_of_other_fields_are_kept():
    headers = [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")]
    assert passed(*headers) == headers


def test_a_head_is_written_as_given():
    head = serialize_head(b"GET /a?b HTTP/1.1", [(b"host", b"x"), (b"a", b"b: c")])
    assert head == b"GET /a?b HTTP/1.1\r\nhost: x\r\na: b: c\r\n\r\n"


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b"])
def test_a_value_cannot_end_its_line(value):
    with pytest.raises(BadRequest):
        serialize_head(b"GET / HTTP/1.1", [(b"x", value)])


# --- fields for the browser ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (b"a=1", b"a=1; Path=" + PREFIX),
        (b"a=1; Path=/", b"a=1; Path=" + PREFIX),
        (b"a=1; path=/mira/other/lab/", b"a=1; Path=" + PREFIX),
        (b"a=1; Path=/mira/forecast/lab/tree", b"a=1; Path=/mira/forecast/lab/tree"),
        (b"a=1; Path=/mira/forecast/labx", b"a=1; Path=" + PREFIX),
        (b"a=1;Domain=.example.com;HttpOnly; Secure", b"a=1; HttpOnly; Secure; Path=" + PREFIX),
        (b"a=b=c; Max-Age=1", b"a=b=c; Max-Age=1; Path=" + PREFIX),
        (b"aen_gateway=1", None),
        (b" AEN_Gateway =1", None),
        (b"__Host-x=1; Path=/; Secure", None),
        (b"__Secure-aen_x=1", None),
        (b"=aen_gateway=1", None),
        (b"aen_gateway", None),
        (b"", None),
    ],
)
def test_an_app_sets_cookies_of_its_own_for_its_own_path(given_, kept):
    assert app_cookie(given_, PREFIX) == kept


def shown(headers, status=200, strip=b""):
    """What a browser is sent of an app's fields, less those that guard every app."""
    return [field for field in to_client(headers, PREFIX, status, strip) if field not in GUARDS]


def test_each_cookie_keeps_its_own_field():
    headers = [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"aen_x=1"), (b"set-cookie", b"b=2")]
    assert [value[:3] for _, value in shown(headers)] == [b"a=1", b"b=2"]


@pytest.mark.parametrize(
    "name",
    [b"Connection", b"Keep-Alive", b"Transfer-Encoding", b"Upgrade", b"Clear-Site-Data", b"Alt-Svc",
     b"Strict-Transport-Security", b"Trailer", b"Proxy-Authenticate"],
)  # fmt: skip
def test_what_concerns_the_connection_or_the_whole_host_does_not_pass(name):
    assert shown([(name, b"x")]) == []


def test_a_service_worker_stays_within_its_app():
    field = b"service-worker-allowed"
    assert shown([(field, b"/")]) == []
    for beyond in (b"../", b"..", b"a/../../", b"%2e%2e/", b".%2E/", b"..\\", b"\t../"):
        assert shown([(field, PREFIX + beyond)]) == []
    assert shown([(field, PREFIX + b"a/")]) == [(field, PREFIX + b"a/")]


@pytest.mark.parametrize(
    ("given", "passed"),
    [(b"/next?a=1", PREFIX + b"next?a=1"), (b"/", PREFIX), (PREFIX + b"next", PREFIX + b"next"),
     (b"next", b"next"), (b"//elsewhere", b"//elsewhere"), (b"https://e.org/x", b"https://e.org/x")],
)  # fmt: skip
def test_redirects_of_an_app_that_knows_no_prefix_get_it_back(given, passed):
    [(_, location)] = shown([(b"location", given)], 302, PREFIX)
    assert location == passed


@pytest.mark.parametrize(
    ("path", "target"),
    [(PREFIX, b"/"), (PREFIX + b"a%20b/c", b"/a%20b/c"), (PREFIX[:-1], b"/"),
     (PREFIX + b"/elsewhere", b"/elsewhere")],
)  # fmt: skip
def test_an_app_that_knows_no_prefix_is_asked_for_what_follows_it(path, target):
    assert target_of(path, b"", PREFIX) == target
    assert target_of(path, b"a=/b", PREFIX) == target + b"?a=/b"


def test_a_redirect_passes_unchanged():
    headers = [(b"location", b"http://169.254.169.254/")]
    assert shown(headers, 302) == headers


def test_a_length_is_dropped_where_it_does_not_describe_a_body():
    length = (b"content-length", b"5")
    assert shown([length]) == [length]
    assert shown([length], 304) == []
    assert shown([length, (b"transfer-encoding", b"chunked")]) == []


@pytest.mark.row(12)
def test_other_origins_neither_frame_nor_embed_an_app_nor_hold_its_window():
    assert to_client([], PREFIX) == GUARDS
    assert to_client([], PREFIX, 101) == []
    own = [(b"content-security-policy", b"frame-ancestors *"),
           (b"cross-origin-resource-policy", b"cross-origin"),
           (b"cross-origin-opener-policy", b"same-origin")]  # fmt: skip
    assert to_client(own, PREFIX) == [*own, GUARDS[0]], "a second policy narrows the first"


# --- where to go after the sign-in ---------------------------------------------------------------


@pytest.mark.parametrize("value", ["/", "/a/b/c/?x=1#y", "/a%0d%0ab", "/a//b", "/@x", "/a?u=//x"])
def test_a_path_of_this_gateway_is_kept(value):
    assert local_path(value) == value


@pytest.mark.parametrize(
    "value",
    ["", "a", "//x", "///x", "/\\x", "\\\\x", "/\t/x", "/a\r\nSet-Cookie: x", "http://x",
     "HOST//x", "javascript:x", " /x", "/é", "/" + "a" * 5000, "/\x00"],
)  # fmt: skip
@pytest.mark.row(14)
def test_anything_else_leads_to_the_start(value):
    assert local_path(value) == "/"


# --- a token in the query --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "token", "rest"),
    [
        (b"session_id=5&token=aen_abc", "aen_abc", b"session_id=5"),
        (b"token=aen_abc", "aen_abc", b""),
        (b"token=aen_abc&x=%2F&token=aen_def", "aen_abc", b"x=%2F"),
        (b"token=of-the-app&x=1", None, b"token=of-the-app&x=1"),
        (b"mytoken=aen_abc", None, b"mytoken=aen_abc"),
        (b"", None, b""),
    ],
)
def test_a_token_of_ours_in_the_query_is_used_and_never_reaches_the_app(query, token, rest):
    assert split_query(query) == (token, rest)
