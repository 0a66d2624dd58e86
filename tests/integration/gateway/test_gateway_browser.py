"""A hostile app in a real browser, in whose other tabs the person uses an app and the server.

Twice: where all apps share the gateway's address, and where each has a name of its own.
"""

import shutil
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from fake_parts import begin_answer, read_body, send_chunk
from gateway_fakes import Site, eventually
from playwright.sync_api import Error, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.browser


class Pages:
    """An app with a page, a secret, a worker, and cookies that it would set everywhere."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.cookies: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket":
            await receive()
            self.seen.append(("WEBSOCKET", scope["path"]))
            await send({"type": "websocket.accept"})
            await receive()
            return
        name = scope["path"].split("/", 4)[4]
        self.seen.append((scope["method"], name))
        self.cookies += [value.decode() for key, value in scope["headers"] if key == b"cookie"]
        await read_body(receive)
        kind, body, more = getattr(self, f"on_{name}", self.on_page)()
        fields = [(b"content-type", kind), *more]
        await begin_answer(send, 200, fields)
        await send_chunk(send, body, last=True)

    def on_page(self):
        return b"text/html", b"<!doctype html><title>app</title><p>an app</p>", []

    def on_secret(self):
        return b"text/plain", b"the secret", []

    def on_script(self):
        return b"text/javascript", b"window.stolen = 'the secret'", []

    def on_worker(self):
        return b"text/javascript", b"onfetch = () => 0", [(b"service-worker-allowed", b"/")]

    def on_cookies(self):
        lines = ["aen_gateway=planted; Path=/", "__Host-aen_gateway=planted; Path=/; Secure",
                 "theme=a; Path=/; Domain=apps.localhost", "aen_session=planted; Path=/",
                 "=aen_gateway=planted; Path=/"]  # fmt: skip
        return b"text/plain", b"", [(b"set-cookie", line.encode()) for line in lines]


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian’s package is called chromium)")
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield running
        running.close()


@pytest.fixture(scope="module", params=["names", "paths"])
def site(request):
    running = Site(origins=request.param == "names").start()
    running.mode = request.param
    yield running
    running.stop()


@pytest.fixture
def stage(site, chromium):
    """A person's browser: the hostile app's page is open, and somewhere else the app to protect."""
    evil, good = (site.open_app(name, Pages()) for name in ("evil", "lab"))
    site.server.person = good.owner
    site.server.owners[evil.key] = good.owner
    context = chromium.new_context()
    page, other = context.new_page(), context.new_page()
    page.goto(evil.url + "page")
    other.goto(good.url + "page")
    assert (page.url, other.url) == (evil.url + "page", good.url + "page")
    good.app.seen.clear()
    yield SimpleNamespace(site=site, page=page, other=other, evil=evil, good=good, context=context,
                          shared=site.mode == "paths")  # fmt: skip
    context.close()


def tries(stage, script, *arguments):
    """What comes of a function in the hostile page; the error's name if the browser stops it."""
    caught = f"(...all) => (async () => ({script})(...all[0]))().catch(error => error.name)"
    return stage.page.evaluate(caught, list(arguments))


FETCH = "(url, how) => fetch(url, {credentials: 'include', ...how}).then(a => a.text())"


@pytest.mark.row(12)
def test_it_reads_nothing_of_the_other_app(stage):
    got = tries(stage, FETCH, stage.good.url + "secret", {})
    if stage.shared:  # as the manual says of apps that share an address
        assert got == "the secret"
        return
    assert got == "TypeError"
    assert tries(stage, FETCH, stage.good.url + "secret", {"mode": "no-cors"}) != "the secret"
    assert stage.good.app.seen == []


@pytest.mark.row(12)
def test_it_changes_nothing_at_the_other_app(stage):
    if stage.shared:
        pytest.skip("apps that share an address are one origin")
    how = {"method": "POST", "mode": "no-cors", "body": "x"}
    tries(stage, FETCH, stage.good.url + "secret", how)
    form = """url => { const form = document.createElement('form');
        form.method = 'post'; form.action = url; form.target = '_blank';
        document.body.append(form); form.submit(); }"""
    with stage.context.expect_page() as opened:
        stage.page.evaluate(form, stage.good.url + "secret")
    opened.value.wait_for_load_state()
    assert "another site" in opened.value.content()
    assert stage.good.app.seen == []


@pytest.mark.row(1)
@pytest.mark.row(12)
def test_it_opens_no_websocket_of_the_other_app(stage):
    if stage.shared:
        pytest.skip("apps that share an address are one origin")
    script = """url => new Promise((done, failed) => { const ws = new WebSocket(url);
        ws.onopen = () => done('open'); ws.onerror = () => done('refused'); })"""
    assert tries(stage, script, stage.good.ws + "socket") == "refused"
    assert tries(stage, script, stage.evil.ws + "socket") == "open"
    assert stage.good.app.seen == []


@pytest.mark.row(12)
def test_it_loads_no_script_of_the_other_app(stage):
    if stage.shared:
        pytest.skip("apps that share an address are one origin")
    script = """url => new Promise(done => { const tag = document.createElement('script');
        tag.src = url; tag.onload = tag.onerror = event => done(event.type);
        document.body.append(tag); })"""
    assert tries(stage, script, stage.good.url + "script") == "error"
    assert stage.page.evaluate("window.stolen") is None
    assert stage.good.app.seen == []


FRAME = """url => new Promise(done => { const frame = document.createElement('iframe');
    frame.src = url; document.body.append(frame);
    frame.onload = () => { try { done(frame.contentDocument.body.innerText) }
                           catch (error) { done(error.name) } } })"""


@pytest.mark.row(12)
def test_it_frames_nothing_of_the_other_app(stage):
    got = tries(stage, FRAME, stage.good.url + "page")
    if stage.shared:
        assert "an app" in got
    else:
        assert "an app" not in got
        assert stage.good.app.seen == []
    assert "an app" in tries(stage, FRAME, stage.evil.url + "page"), "an app may frame itself"


@pytest.mark.row(12)
def test_it_gets_no_hold_of_a_window_of_the_other_app(stage):
    if stage.shared:
        pytest.skip("apps that share an address are one origin")
    with stage.context.expect_page() as opened:
        stage.page.evaluate("url => { window.opened = window.open(url) }", stage.good.url + "page")
    opened.value.wait_for_load_state()
    assert opened.value.url == stage.good.url + "page", "a link is all right"
    stage.page.wait_for_function("window.opened.closed")  # for it, by Cross-Origin-Opener-Policy
    assert opened.value.evaluate("window.opener") is None


@pytest.mark.row(12)
@pytest.mark.parametrize("scope", ["/", "GOOD", "/-/", "PARENT"])
def test_no_service_worker_gets_between_a_person_and_another_app(stage, scope):
    prefix = stage.evil.prefix
    scope = {"GOOD": stage.good.prefix, "PARENT": prefix.rsplit("/", 2)[0] + "/"}.get(scope, scope)
    script = (
        "(url, scope) => navigator.serviceWorker.register(url, {scope}).then(() => 'registered')"
    )
    assert tries(stage, script, stage.evil.url + "worker", scope) == "SecurityError"
    assert tries(stage, script, stage.good.url + "worker", stage.good.prefix) in (
        ("registered",) if stage.shared else ("SecurityError", "TypeError")
    )
    assert tries(stage, script, stage.evil.url + "worker", prefix) == "registered"


def sessions(stage, url):
    """The gateway's cookies that the browser would send there."""
    return [one["value"] for one in stage.context.cookies(url) if one["name"] == "aen_gateway"]


@pytest.mark.row(7)
def test_cookies_that_an_app_sends_reach_no_other_host_and_no_other_path(stage):
    before = sessions(stage, stage.good.url), sessions(stage, stage.evil.url)
    stage.page.goto(stage.evil.url + "cookies")
    assert (sessions(stage, stage.good.url), sessions(stage, stage.evil.url)) == before
    everywhere = (stage.good.url, stage.site.own_url, stage.site.server_url)
    planted = stage.context.cookies([*everywhere])
    assert not [one for one in planted if one["value"] in ("planted", "a")]
    stage.other.goto(stage.good.url + "page")
    stage.page.goto(stage.evil.url + "page")
    assert stage.good.app.seen[-1] == ("GET", "page")
    assert stage.evil.app.cookies == ["theme=a"], "its own, for its own path"
    assert stage.good.app.cookies == []


@pytest.mark.row(7)
def test_cookies_that_a_page_plants_are_not_believed(stage):
    plant = """(names, domain) => names.forEach(name => {
        document.cookie = `${name}=planted; path=/; domain=${domain}`;
        document.cookie = `${name}=planted; path=/`;
        document.cookie = `${name}=planted`; })"""
    names = ["aen_gateway", "__Host-aen_gateway", "aen_entry_x", "aen_signin_x"]
    stage.page.evaluate(f"all => ({plant})(...all)", [names, "apps.localhost"])
    stage.good.app.seen.clear()
    stage.other.goto(stage.good.url + "secret")
    assert stage.other.content().count("the secret") == 1
    assert stage.good.app.seen == [("GET", "secret")]
    assert not any("planted" in one for one in stage.good.app.cookies + stage.evil.app.cookies)
    # Beside a planted one, which plain http cannot keep away, the person's own still counts.
    stage.context.new_page().goto(stage.site.own_url + "/-/signout")
    stage.site.server.person = ""
    stage.other.goto(stage.good.url + "page")
    assert stage.other.url.startswith(stage.site.server_url + "/oauth/authorize")


@pytest.mark.row(12)
def test_it_reads_nothing_at_the_gateway_and_the_server(stage):
    own, server = stage.site.own_url, stage.site.server_url
    assert tries(stage, FETCH, server + "/", {}) == "TypeError"
    if stage.shared:
        return
    for path in ("/-/health", "/-/signout", stage.good.prefix):
        assert tries(stage, FETCH, own + path, {}) == "TypeError"
    begin = "/-/enter?place=" + stage.good.prefix + "&state=" + "s" * 43 + "&challenge=" + "c" * 43
    assert tries(stage, FETCH, own + begin, {}) == "TypeError"


@pytest.mark.row(12)
def test_it_sees_no_code_go_by(stage):
    """It opens a window that fetches a code for its own host, with a challenge of its making."""
    if stage.shared:
        pytest.skip("there are no codes where apps share the gateway’s session")
    asked = f"place={stage.evil.prefix}&state={'s' * 43}&challenge={'c' * 43}"
    begin = f"{stage.site.own_url}/-/enter?{asked}"
    watch = """url => new Promise(done => { const seen = new Set(), opened = window.open(url);
        const timer = setInterval(() => { try { if (opened.location.href != 'about:blank') {
            seen.add(opened.location.href);
            for (const one of opened.performance.getEntries()) seen.add(one.name);
            if (opened.document.querySelector('h1')) { clearInterval(timer); done([...seen]) } } }
            catch { } }, 1) })"""
    seen = stage.page.evaluate(watch, begin)
    assert any(urlsplit(one).path == "/-/entered" for one in seen), "it did come back"
    assert not any("code=" in one for one in seen)


@pytest.mark.row(2)
def test_signing_out_at_the_gateway_ends_what_is_open_in_other_tabs(stage):
    script = """url => new Promise(done => { window.ws = new WebSocket(url);
        ws.onopen = () => done('open'); ws.onclose = event => { window.ended = event.code } })"""
    assert stage.other.evaluate(script, stage.good.ws + "socket") == "open"
    gateway = stage.context.new_page()
    gateway.goto(stage.site.own_url + "/-/signout")
    stage.other.wait_for_function("window.ended == 3003")
    stage.site.server.person = ""
    stage.page.goto(stage.evil.url + "page")
    assert stage.page.url.startswith(stage.site.server_url + "/oauth/authorize")


def test_the_stage_is_set(stage):
    """Else all of the above would pass for want of a session."""
    stage.page.goto(stage.good.url + "secret")
    eventually(lambda: ("GET", "secret") in stage.good.app.seen)
    with pytest.raises(Error):
        stage.page.goto(f"http://127.0.0.1:1{stage.good.prefix}")
