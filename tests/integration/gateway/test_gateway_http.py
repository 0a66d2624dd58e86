"""Requests to apps through a real gateway process: what passes, how, and what does not."""

import contextlib
import socket
import threading

import httpx
import pytest
from gateway_fakes import eventually

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def unasked(site):
    """An app about which the server was not asked yet."""
    return site.open_app()


@pytest.fixture
def opened(site):
    return site.granted()


@pytest.fixture
def http(site):
    with site.client() as client:
        yield client


def fields(request, name):
    return [value for key, value in request.headers if key == name]


def raw(site, data: bytes, *, until: bytes = b"") -> bytes:
    """Send bytes as they are; return the answer up to ``until``, else up to the end."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=15) as sock:
        sock.sendall(data)
        answer = b""
        while not (until and until in answer):
            more = sock.recv(65536)
            if not more:
                break
            answer += more
        return answer


def get(opened, target: str, *more: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"Cookie: aen_gateway={opened.session}", *more, "", ""]
    return "\r\n".join(lines).encode("latin-1")


# --- who gets in ---------------------------------------------------------------------------------


def test_an_app_that_knows_no_prefix_is_asked_without_it(site, http):
    opened = site.open_app()
    site.node.stripped.add(opened.app_id)
    site.granted(opened)
    answer = http.get(opened.url + "tree/a%20b?x=1", headers=opened.cookie)
    assert answer.json() == {"path": "/tree/a b"}
    assert opened.app.seen[-1].query == b"x=1"
    answer = http.get(opened.url + "moved", headers=opened.cookie)
    assert answer.headers["location"] == opened.prefix + "next?a=1"


def test_a_session_reaches_its_app(opened, http):
    answer = http.get(opened.url + "tree", headers=opened.cookie)
    assert (answer.status_code, answer.json()) == (200, {"path": opened.prefix + "tree"})


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "token"])
def test_an_api_token_reaches_the_app_too(opened, http, scheme):
    answer = http.get(opened.url, headers={"Authorization": f"{scheme} {opened.token}"})
    assert answer.status_code == 200


def test_a_page_load_without_session_goes_to_sign_in(site, opened, http):
    answer = http.get(opened.url + "tree?a=1", headers=PAGE)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(site.server_url + "/oauth/authorize?")


def test_a_script_without_session_is_told_so_in_json(opened, http):
    answer = http.get(opened.url)
    assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")


@pytest.mark.row(1)
def test_another_persons_app_is_not_there(site, opened, http):
    other = site.open_app()
    answer = http.get(opened.url, headers=other.cookie | PAGE)
    assert answer.status_code == 404
    assert "or you may not see it" in answer.text
    assert opened.app.seen == []


@pytest.mark.row(8)
def test_of_two_session_cookies_the_valid_one_counts(opened, http):
    for cookie in (f"aen_gateway=old; aen_gateway={opened.session}",
                   f"aen_gateway={opened.session}; aen_gateway=old"):  # fmt: skip
        assert http.get(opened.url, headers={"Cookie": cookie}).status_code == 200


def test_an_app_that_does_not_run_has_a_page_that_leads_to_its_project(site, unasked, http):
    opened = unasked
    site.server.statuses[opened.key] = 409
    answer = http.get(opened.url, headers=opened.cookie | PAGE)
    assert answer.status_code == 409
    assert f'href="{site.server_url}/{opened.owner}/work"' in answer.text


def test_an_app_that_starts_has_a_page_that_opens_it_by_itself(site, unasked, http):
    opened = unasked
    site.server.statuses[opened.key] = 409
    site.server.starting.add(opened.key)
    answer = http.get(opened.url, headers=opened.cookie | PAGE)
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "2")
    assert 'http-equiv="refresh" content="2"' in answer.text
    assert "is starting</h1>" in answer.text


def test_the_server_is_asked_once_for_many_requests(site, opened):
    async def ask_all():
        import asyncio

        async with httpx.AsyncClient(trust_env=False) as client:
            calls = (client.get(opened.url, headers=opened.cookie) for _ in range(20))
            return await asyncio.gather(*calls)

    import asyncio

    answers = asyncio.run(ask_all())
    assert {answer.status_code for answer in answers} == {200}
    assert sum(question.owner == opened.owner for question in site.server.asked) == 1


@pytest.mark.row(1)
def test_a_foreign_page_cannot_post_with_a_persons_cookie(opened, http):
    for origin in ("https://evil.example", "null", opened.url + ".evil.example"):
        answer = http.post(opened.url + "echo", headers=opened.cookie | {"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert opened.app.seen == []


def test_the_apps_own_page_may_post(site, opened, http):
    answer = http.post(opened.url + "echo", headers=opened.cookie | {"Origin": site.url})
    assert answer.status_code == 200


# --- what the app is sent ------------------------------------------------------------------------


@pytest.mark.row(7)
def test_the_app_never_sees_our_credentials(opened, http):
    cookie = (
        f"a=1; aen_gateway={opened.session}; aen_session=s; aen_csrf=c; __Host-aen_gateway=h; b=2"
    )
    http.get(opened.url, headers={"Cookie": cookie})
    http.get(opened.url, headers=opened.bearer)
    by_cookie, by_token = opened.app.seen
    assert fields(by_cookie, "cookie") == ["a=1; b=2"]
    assert opened.session not in str(by_cookie.headers)
    assert opened.token not in str(by_token.headers)


def test_the_apps_own_token_replaces_what_the_client_sent(opened, http):
    http.get(opened.url, headers=opened.cookie | {"Authorization": "Basic Zm9vOmJhcg=="})
    assert fields(opened.app.seen[0], "authorization") == ["token of-the-app"]


@pytest.mark.row(6)
def test_fields_that_claim_who_the_client_is_do_not_pass(site, opened):
    spoofed = [
        "X-Forwarded-For: 6.6.6.6", "x_forwarded_for: 6.6.6.6", "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6", "X-FORWARDED-USER: root", "Remote-User: root", "Remote_User: root",
        "X-Remote-User: root", "Proxy: http://evil", "X-Original-URL: /admin",
        "Connection: close, X-Secret-Of-Proxy", "X-Secret-Of-Proxy: 1", "X-AEN-User: root",
    ]  # fmt: skip
    raw(site, get(opened, opened.prefix, *spoofed))
    request = opened.app.seen[0]
    assert fields(request, "x-forwarded-for") == ["127.0.0.1"]
    assert fields(request, "x-forwarded-host") == ["127.0.0.1"]
    names = {name for name, _ in request.headers}
    assert not names & {"forwarded", "x-real-ip", "remote-user", "remote_user", "proxy",
                        "x_forwarded_for", "x-secret-of-proxy", "x-original-url", "x-aen-user",
                        "x-remote-user", "x-forwarded-user", "connection"}  # fmt: skip


def test_host_is_kept_as_the_browser_sent_it(site, opened, http):
    http.get(opened.url, headers=opened.cookie)
    assert fields(opened.app.seen[0], "host") == [f"127.0.0.1:{site.port}"]


def test_the_address_passes_byte_for_byte(site, opened):
    target = opened.prefix + "a%2Fb%20c/%C3%A9;x=1//y?q=%2f&q=a+b&=%25"
    raw(site, get(opened, target))
    request = opened.app.seen[0]
    assert (request.target + b"?" + request.query).decode() == target


@pytest.mark.parametrize(
    "rest",
    [
        "../../../secret",
        "a/%2e%2e/b",
        "a/%2E./b",
        "a%2f..%2fb",
        "..%5c..",
        "a%00b",
        "%c0%ae%c0%ae/",
    ],
)
@pytest.mark.row(10)
def test_addresses_that_an_app_might_read_as_others_are_refused(site, opened, rest):
    assert raw(site, get(opened, opened.prefix + rest)).startswith(b"HTTP/1.1 400")
    assert opened.app.seen == []


@pytest.mark.parametrize(
    "target",
    ["/", "//", "/a/b", "/Owner/work/lab/", "/o%77ner/work/lab/", "/127.0.0.1/8888/x/",
     "/owner/../lab/", "/owner/work/lab%2f", "/a/work/lab/", "/-/admin", "http://127.0.0.1:22/x",
     "/169.254.169.254/latest/meta-data/", "/localhost/8000/manage/", "/unix:/run/aen/agent.sock/",
     "/-/callback/../../x", "/@127.0.0.1/a/b/", "/[::1]/a/b/"],
)  # fmt: skip
@pytest.mark.row(3)
def test_no_address_names_anything_but_an_app(site, opened, target):
    status = raw(site, get(opened, target)).split(b" ")[1]
    assert status in (b"302", b"400", b"404")
    assert opened.app.seen == []


def test_an_apps_address_without_its_slash_gets_one(opened, http):
    answer = http.get(opened.url.rstrip("/") + "?a=1", headers=opened.cookie)
    assert (answer.status_code, answer.headers["location"]) == (302, opened.prefix + "?a=1")


def test_a_projects_address_leads_to_the_server(site, http):
    answer = http.get(site.url + "/mira/forecast")
    assert answer.headers["location"] == site.server_url + "/mira/forecast"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: +3"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Host: other.example"],
        ["Upgrade: h2c", "Connection: Upgrade", "Content-Length: 3"],
        [" folded: value"],
    ],
)
def test_requests_that_two_readers_could_read_differently_are_refused(site, opened, lines):
    data = get(opened, opened.prefix + "echo", *lines, method="POST") + b"abc"
    assert raw(site, data).startswith(b"HTTP/1.1 400")
    assert opened.app.seen == []


def test_an_upgrade_to_http2_is_ignored(site, opened):
    data = get(opened, opened.prefix, "Upgrade: h2c", "HTTP2-Settings: x")
    assert raw(site, data).startswith(b"HTTP/1.1 200")
    assert not {"upgrade", "http2-settings"} & {name for name, _ in opened.app.seen[0].headers}


# --- what the browser is sent --------------------------------------------------------------------


@pytest.mark.row(5)
def test_a_redirect_of_the_app_is_passed_on_and_not_followed(opened, http):
    answer = http.get(opened.url + "redirect", headers=opened.cookie)
    assert answer.headers["location"] == "http://169.254.169.254/latest"
    assert len(opened.app.seen) == 1


@pytest.mark.row(7)
def test_an_app_sets_cookies_for_its_own_path_only(opened, http):
    answer = http.get(opened.url + "cookies", headers=opened.cookie)
    assert answer.headers.get_list("set-cookie") == [
        f"theme=dark; Path={opened.prefix}",
        f"mode=1; Path={opened.prefix}",
    ]


def test_head_and_not_modified_have_no_body(opened, http):
    assert http.head(opened.url, headers=opened.cookie).headers["content-length"]
    answer = http.get(opened.url + "nothing", headers=opened.cookie)
    assert (answer.status_code, answer.headers["etag"], answer.content) == (304, '"a"', b"")
    assert http.get(opened.url, headers=opened.cookie).status_code == 200


def test_a_response_that_the_app_cuts_off_is_cut_off_here(opened, http):
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(opened.url + "cut", headers=opened.cookie)


def test_connections_to_the_app_are_used_again(site, opened, http):
    before = site.node.passed
    for _ in range(10):
        http.get(opened.url, headers=opened.cookie)
    assert site.node.passed == before + 1


def test_an_idle_connection_that_the_app_closed_is_replaced(site, opened, http):
    http.get(opened.url, headers=opened.cookie)

    async def close_all():
        for connection in list(opened.served._server.server_state.connections):
            connection.transport.abort()

    site.thread.run(close_all())
    assert http.get(opened.url, headers=opened.cookie).status_code == 200


# --- streams -------------------------------------------------------------------------------------


def test_events_arrive_as_the_app_sends_them(site, opened, http):
    with http.stream("GET", opened.url + "gated", headers=opened.cookie) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"data: one\n\n"
        site.set(opened.app.gate)
        assert b"".join(chunks) == b"data: two\n\n"


@pytest.mark.parametrize("length", [None, 1_000_010])
def test_the_app_sees_an_upload_before_its_end(opened, http, length):
    def body():
        yield b"0123456789"
        assert opened.app.first_bytes.wait(15)
        for _ in range(10):
            yield b"x" * 100_000

    more = {"Content-Length": str(length)} if length else {}
    answer = http.post(opened.url + "upload", content=body(), headers=opened.cookie | more)
    assert answer.json() == {"length": 1_000_010}


def test_no_body_is_asked_for_before_admission(site, opened):
    data = (
        f"POST {opened.prefix}echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        "Content-Length: 10\r\nConnection: close\r\n\r\n"
    ).encode()
    assert raw(site, data).startswith(b"HTTP/1.1 401")


def test_a_body_is_asked_for_after_admission(site, opened):
    data = get(opened, opened.prefix + "echo", "Expect: 100-continue", "Content-Length: 3",
               method="POST")  # fmt: skip
    assert raw(site, data, until=b"\r\n\r\n").startswith(b"HTTP/1.1 100")


def test_a_client_that_goes_away_cancels_the_apps_work(site, opened):
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        sock.sendall(get(opened, opened.prefix + "hang"))
        assert opened.app.first_bytes.wait(15)
    assert opened.app.cancelled.wait(15)


def test_a_client_that_goes_away_in_an_upload_cancels_it(site, opened):
    data = get(opened, opened.prefix + "upload", "Content-Length: 1000", method="POST")
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        sock.sendall(data + b"first")
        assert opened.app.first_bytes.wait(15)
    assert opened.app.cancelled.wait(15)


def test_a_slow_reader_makes_the_app_wait(site, opened):
    before = site.resident()
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        sock.sendall(get(opened, opened.prefix + "flood"))
        assert sock.recv(100)
        eventually(stalled(lambda: opened.app.flooded))
        assert opened.app.flooded < 64 * 1024 * 1024
        assert site.resident() - before < 32 * 1024 * 1024
    assert opened.app.cancelled.wait(15)


def stalled(count):
    """Return a condition: the count is above 0 and was the same 30 times in a row."""
    last = [-1, 0]

    def same() -> bool:
        now = count()
        last[:] = [now, last[1] + 1 if now == last[0] else 0]
        return now > 0 and last[1] > 30

    return same


# --- the end of access ---------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["session", "user", "project", "app_id"])
@pytest.mark.row(2)
def test_revocation_ends_a_response_under_way_and_keeps_out(site, opened, http, field):
    value = {
        "session": f"id-{opened.session}",
        "user": opened.owner,
        "project": "work",
        "app_id": opened.app_id,
    }[field]
    with http.stream("GET", opened.url + "gated", headers=opened.cookie) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        site.server.sessions.pop(opened.session)
        site.revoke(field, value)
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)
    assert http.get(opened.url, headers=opened.cookie).status_code == 401


@pytest.mark.row(2)
def test_revocation_ends_a_response_that_is_not_being_read(site, opened):
    with socket.create_connection(("127.0.0.1", site.port), timeout=15) as sock:
        sock.sendall(get(opened, opened.prefix + "flood"))
        assert sock.recv(100)
        eventually(stalled(lambda: opened.app.flooded))
        site.revoke("session", f"id-{opened.session}")
        assert opened.app.cancelled.wait(15)


def test_revocation_of_one_person_leaves_the_others(site, opened, http):
    other = site.open_app()
    http.get(other.url, headers=other.cookie)
    asked = len(site.server.asked)
    site.revoke("user", opened.owner)
    assert http.get(other.url, headers=other.cookie).status_code == 200
    assert len(site.server.asked) == asked


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.row(8)
def test_a_cookie_bomb_gets_a_page_that_clears_it(opened, http):
    bomb = "; ".join(f"c{number}={'x' * 3000}" for number in range(20))
    headers = {"Cookie": f"aen_gateway={opened.session}; {bomb}"}
    answer = http.get(opened.url, headers=headers | PAGE)
    assert answer.status_code == 431
    cleared = answer.headers.get_list("set-cookie")
    assert f"c7=; Max-Age=0; Path={opened.prefix}" in cleared
    assert not any("aen_" in cookie for cookie in cleared)


@pytest.mark.row(8)
@pytest.mark.parametrize("kib", [60, 120])
def test_a_cookie_bomb_of_our_names_is_cleared_too(site, opened, kib):
    bomb = "; ".join(f"aen_x{number}={'x' * 4000}" for number in range(kib // 4))
    lines = [f"GET {opened.prefix} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Cookie: {bomb}"]
    data = "\r\n".join([*lines, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", site.port), 15) as browser:
        with contextlib.suppress(OSError):  # what is too much is not read to its end
            for start in range(0, len(data), 1024):
                browser.sendall(data[start : start + 1024])
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n\r\n" not in answer and (more := browser.recv(65536)):
                answer += more
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"set-cookie: aen_x1=; Max-Age=0; Path=/\r\n" in answer


@pytest.mark.row(8)
def test_session_cookies_for_every_path_do_not_shut_a_person_out(opened, http):
    headers = {"Cookie": "; ".join(["aen_gateway=planted"] * 9)}
    answer = http.get(opened.url, headers=headers | PAGE)
    assert answer.status_code == 431
    cleared = answer.headers.get_list("set-cookie")
    assert f"aen_gateway=; Max-Age=0; Path={opened.prefix}" in cleared
    assert "aen_gateway=; Max-Age=0; Path=/" not in cleared


def test_many_at_once_are_served(opened, site):
    failures = []

    def load():
        with site.client() as client:
            for _ in range(25):
                answer = client.post(opened.url + "echo", content=b"x" * 5000,
                                     headers=opened.cookie)  # fmt: skip
                if answer.json()["length"] != 5000:
                    failures.append(answer)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


# --- names and proxies ---------------------------------------------------------------------------


@pytest.mark.row(6)
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "x y"]
)
def test_a_name_that_is_not_the_gateways_reaches_nothing(site, opened, host):
    """Neither with a session nor with a token, though both are good."""
    for fields in (opened.cookie, opened.bearer):
        lines = [f"{name}: {value}" for name, value in fields.items()]
        head = [f"GET {opened.prefix} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
        answer = raw(site, "\r\n".join([*head, "", ""]).encode())
        assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert opened.app.seen == []


@pytest.mark.row(6)
def test_only_a_trusted_proxy_says_who_the_client_is(own_site):
    site = own_site(public_url="https://apps.example", trusted_proxies=["127.0.0.1"])
    opened = site.open_app()
    said = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7", "X-Forwarded-Host": "apps.example",
            "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6"}  # fmt: skip
    with site.client(headers=opened.bearer | said) as http:
        for _ in range(2):  # asked of the server, then remembered
            assert http.get(opened.url).status_code == 200
        assert http.get(opened.url, headers={"X-Forwarded-Host": "evil.example"}).status_code == 421
    for request in opened.app.seen:
        assert fields(request, "x-forwarded-for") == ["203.0.113.7"]
        assert fields(request, "host") == fields(request, "x-forwarded-host") == ["apps.example"]
        assert fields(request, "forwarded") == []
    eventually(lambda: site.log.read_text().count("203.0.113.7 - ") == 3)
