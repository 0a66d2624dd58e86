"""What people do at a site as in production, the same whatever is in front of it.

A file of tests imports these, and says by its fixture ``front`` which site it is.
"""

import re

import pytest
from chromium import CHROMIUM, QUIET, started
from playwright.sync_api import expect
from running_site import until
from test_hostile_app import attack, still_signed_in
from test_main_job import LAUNCH, Notebook, create_project, open_app
from test_optional_apps import (
    PANEL,
    STREAMLIT,
    doubled,
    opened,
    opened_code_server,
    opens_readme,
)

#: The page notes of each WebSocket how and when it ended, in seconds since 1970.
RECORDER = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    const seen = {url: this.url, open: false, ended: null};
    window.sockets.push(seen);
    this.addEventListener('open', () => { seen.open = true });
    this.addEventListener('close', () => { seen.open = false; seen.ended = Date.now() / 1000 });
  }
};"""
PROTOCOLS = """() => [...new Set(
    [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .filter(entry => entry.name.startsWith(location.origin + '/') && entry.nextHopProtocol)
    .map(entry => entry.nextHopProtocol))]"""


@pytest.fixture(scope="module")
def browser(front):
    """Chromium, which trusts the site's certificate by its authority and by nothing else."""

    def launch(chromium):
        options = front.options()
        options["args"] += QUIET
        return chromium.launch(executable_path=CHROMIUM, **options)

    with started(launch) as running:
        yield running


def kernels(tab):
    """Return what the page noted of WebSockets to kernels."""
    return [seen for seen in tab.evaluate("window.sockets") if "/channels" in seen["url"]]


def opened_lab(page, front, project):
    """Return JupyterLab's tab and a notebook in it, its kernel being connected."""
    page.context.add_init_script(RECORDER)
    create_project(page, front, project)
    tab = open_app(page, "JupyterLab")
    notebook = Notebook(tab)
    return tab, notebook


def ends_kernels(tab, front, deed, verb, capfd):
    """Do what ends somebody's access, and wait until the page has lost its kernel for good."""
    assert any(seen["open"] for seen in kernels(tab))
    number = len(tab.evaluate("window.sockets"))
    deed()
    until(lambda: not any(seen["open"] for seen in kernels(tab)), "the kernel's socket to end")
    ended = max(seen["ended"] for seen in kernels(tab) if seen["ended"])
    with capfd.disabled():
        seconds = ended - front.audited(verb)
        print(f"\nthe page saw its kernel's socket end {seconds:.3f} s after {verb} was written")
    shown = tab.get_by_text(re.compile(r"default \(.*\) \| (Connecting|Disconnected|Unknown)"))
    expect(shown.first).to_be_visible(timeout=LAUNCH)
    until(
        lambda: tab.evaluate("fetch(location.href).then(r => r.redirected || r.status)") != 200,
        "the app to refuse",
    )
    assert not any(seen["open"] for seen in tab.evaluate("window.sockets")[number:])


def path_of(address):
    return "/" + address.split("/", 3)[3]


def sign_out(page):
    page.get_by_role("button", name=re.compile("Account")).click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/accounts/"))


def test_by_https_a_notebook_runs_at_a_name_of_its_own(front, visit_at):
    page = visit_at(front, "mira")
    tab, notebook = opened_lab(page, front, "forecast")
    address = front.address("mira", "forecast", "lab")
    assert tab.url.startswith(address)
    assert notebook.run("print(6 * 7)") == "42"
    assert any(seen["open"] and seen["url"].startswith("wss:") for seen in kernels(tab))
    assert page.evaluate(PROTOCOLS) == [front.protocol]
    assert tab.evaluate(PROTOCOLS) == [front.protocol]

    cookies = [each for each in page.context.cookies() if "aen_" in each["name"]]
    sessions = {"__Host-aen_session", "__Host-aen_csrf", "__Host-aen_gateway"}
    assert sessions <= {each["name"] for each in cookies}
    for each in cookies:
        assert each["name"].startswith("__Host-"), each
        assert (each["secure"], each["path"]) == (True, "/"), each
        assert not each["domain"].startswith("."), each
    assert all(each["httpOnly"] for each in cookies)
    assert "aen_" not in tab.evaluate("document.cookie")

    until(lambda: front.carried(f"{path_of(address)}api/"), "the notebook's requests in the log")
    assert "token=" not in front.log.read_text()
    assert front.is_ready()
    attack(tab, front)
    assert still_signed_in(page, front)


def test_by_https_a_token_of_the_persons_opens_the_app_for_a_script(front):
    address = f"{front.address('mira', 'forecast', 'lab')}api/status"
    shown = f"Bearer {front.token('mira', 'apps')}"
    answers = [front.get(address, Authorization=shown) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize("part", ["server", "gateway"])
def test_while_a_part_is_away_a_page_says_so_and_tries_again(front, browser, part):
    page = browser.new_page()
    address = front.url if part == "server" else front.gateway
    front.supervisorctl("stop", part)
    try:
        assert page.goto(address).status == 503
        assert page.get_by_role("heading").inner_text() == f"The {part} is away"
    finally:
        front.supervisorctl("start", part)
    until(front.is_ready, "the site to be well again")
    expect(page.get_by_text(f"The {part} is away")).to_have_count(0, timeout=LAUNCH)
    page.close()


def test_signing_out_and_a_lock_end_a_kernels_socket_in_the_open_page(front, visit_at, capfd):
    page = visit_at(front, "vera")
    tab, _ = opened_lab(page, front, "leaving")
    ends_kernels(tab, front, lambda: sign_out(page), "account.sign_out", capfd)

    again = visit_at(front, "vera")
    again.context.add_init_script(RECORDER)
    tab = again.context.new_page()
    tab.goto(front.address("vera", "leaving", "lab"))
    tab.get_by_text(re.compile(r"default \(.*\) \| Idle")).wait_for(timeout=LAUNCH)

    def lock():
        front.manage("aen_user", "lock", front.person("vera"))

    ends_kernels(tab, front, lock, "account.lock", capfd)


@pytest.mark.parametrize(
    ("app", "title", "text"), [("streamlit", "Streamlit", STREAMLIT), ("panel", "Panel", PANEL)]
)
def test_by_https_a_dashboard_computes(front, visit_at, app, title, text):
    page = visit_at(front, "mira")
    tab = opened(front, page, app, title, file=f"{app}_app.py", text=text)
    doubled(tab, "Hours")
    assert_carried(front, tab, f"with-{app}", app)


def test_by_https_code_server_opens_a_file(front, visit_at):
    tab = opened_code_server(front, visit_at(front, "mira"))
    opens_readme(tab)
    assert_carried(front, tab, "coded", "code-server")


def assert_carried(front, tab, project, app):
    """The tab is at the app's own name, and its pages and WebSockets went the way they were to."""
    address = front.address("mira", project, app)
    assert tab.url.startswith(address)
    place = path_of(address)
    until(lambda: any('" 200 ' in line for line in front.carried(place)), "a page in the log")
    tab.close()  # a WebSocket's line is written at the end
    until(lambda: any('" 101 ' in line for line in front.carried(place)), "a WebSocket in the log")
