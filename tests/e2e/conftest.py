"""One site for all tests here, and a browser."""

import functools
from pathlib import Path

import pytest
from chromium import CHROMIUM, QUIET, started
from running_site import Site, until

# Tests that several files share.
pytest.register_assert_rewrite("production")


@pytest.fixture(scope="session")
def site():
    with Site() as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with started(lambda chromium: chromium.launch(executable_path=CHROMIUM, args=QUIET)) as running:
        yield running


#: What every tab showed when a test failed. Not kept in git.
SHOTS = Path(__file__).parent / "shots"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.failed = report.failed
    return report


@pytest.fixture
def visit(visit_at, site):
    """Open a browser of somebody's own, signed in: ``visit("mira")`` returns its page."""
    return functools.partial(visit_at, site)


@pytest.fixture
def visit_at(browser, request):
    """The same at a site of the test's: ``visit_at(site, "mira")``."""
    opened = []

    def _visit(at, name):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        opened.append(context)
        page = context.new_page()
        sign_in(page, at, at.person(name))
        return page

    yield _visit
    for number, context in enumerate(opened):
        if getattr(request.node, "failed", False):
            _take_shots(context, f"{request.node.name}-{number}")
        context.close()


def _take_shots(context, name):
    SHOTS.mkdir(exist_ok=True)
    for number, page in enumerate(context.pages):
        page.screenshot(path=SHOTS / f"{name}-{number}.png")


def sign_in(page, site, username, password=None):
    page.goto(site.url)
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password", exact=True).fill(password or site.password_of(username))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.url}/")


@pytest.fixture
def wait():
    return until
