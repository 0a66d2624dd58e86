"""What the page of a running app tries against AEN's own pages, in the browser of its person.

The same with a name for each app, by https, is in ``production``.
"""

import pytest
from test_main_job import create_project, open_app

pytestmark = [pytest.mark.browser, pytest.mark.row(12)]

FETCH = "(url, how) => fetch(url, {credentials: 'include', ...how}).then(answer => answer.text())"
FRAME = """url => new Promise(done => { const frame = document.createElement('iframe');
    frame.onload = () => { try { done(frame.contentDocument.title) }
                           catch (error) { done(error.name) } };
    frame.src = url; document.body.append(frame) })"""
WINDOW = "async url => window.open(url).document.title"
FORM = """async url => { const form = document.createElement('form');
    form.method = 'post'; form.action = url; form.target = '_blank';
    const token = document.createElement('input');
    token.name = 'csrfmiddlewaretoken'; token.value = 'a'.repeat(64);
    form.append(token); document.body.append(form); form.submit() }"""


def tries(tab, script, *rest):
    """What comes of a function in the app's page; the error's name if the browser stops it."""
    caught = f"async all => {{ try {{ return await ({script})(...all) }} "
    caught += "catch (error) { return error.name } }"
    return tab.evaluate(caught, list(rest))


def attack(tab, site):
    """Read, frame, hold and change the server's pages from an app's page; nothing comes of it."""
    assert tries(tab, FETCH, f"{site.url}/api/v1/projects", {}) == "TypeError"
    assert tries(tab, FETCH, f"{site.url}/", {}) == "TypeError"
    for path in ("/accounts/sign-out-everywhere", "/api/v1/projects"):
        how = {"method": "POST", "mode": "no-cors", "body": "x"}
        tries(tab, FETCH, site.url + path, how)
    assert tries(tab, FRAME, f"{site.url}/") in ("SecurityError", "TypeError", "")
    tab.wait_for_timeout(0)
    assert not [frame for frame in tab.frames if frame.url.startswith(site.url)]
    with tab.context.expect_page() as opened:
        tries(tab, WINDOW, f"{site.url}/")
    opened.value.close()
    assert tries(tab, "async () => navigator.serviceWorker.register('/worker.js', {scope: '/'})"
                      ".then(() => 'registered')") != "registered"  # fmt: skip
    with tab.context.expect_page() as answer:
        tries(tab, FORM, f"{site.url}/accounts/sign-out-everywhere")
    answer.value.wait_for_load_state()
    assert "Sign in" not in answer.value.title()
    answer.value.close()


def still_signed_in(page, site):
    page.goto(f"{site.url}/")
    return page.url == f"{site.url}/"


def test_below_one_address_an_apps_page_gets_nothing_of_the_servers(visit, site):
    page = visit("mira")
    create_project(page, site, "hostile")
    attack(open_app(page, "JupyterLab"), site)
    assert still_signed_in(page, site)
