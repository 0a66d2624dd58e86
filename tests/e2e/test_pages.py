"""The pages in a browser, with the node's reports written into the table by the test."""

import os
import re
import socket
import time
from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone
from seed import FACTS, PASSWORD, seed

from projects import events
from projects.models import AppInstance, Project

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def server(django_db_setup):
    """The server alone, at an address of its own."""
    from pytest_django.live_server_helper import LiveServer

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    # Playwright's loop in this thread makes Django believe that it is called from async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with override_settings(AEN_PUBLIC_URL=f"http://{address}"):
        running = LiveServer(address)
        yield running.url
        running.stop()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser, server, transactional_db):
    """Mira, signed in, on a site full of life. Paths are enough as addresses."""
    seed()
    context = browser.new_context(base_url=server)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if "Content Security" in m.text else None)
    sign_in(page, "mira")
    yield page
    context.close()
    assert problems == []


FORECAST = "/mira/energy-forecast"


def sign_in(page, name):
    page.goto("/accounts/login/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("button:text-is('Sign in')")
    page.wait_for_url("/")


def eventually(check, seconds=10):
    """Return the first true answer of ``check``; fail when there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)
    return answer


def newest(app):
    project = Project.objects.get(name="energy-forecast")
    return AppInstance.objects.filter(project=project, app=app, user__username="mira").first()


def report(app, event, **fields):
    row = eventually(lambda: newest(app))
    assert events.apply(row, event, revision=row.revision + 1, **fields)


def test_an_app_that_nobody_uses_is_kept_with_one_click(page, settings):
    settings.AEN_IDLE_STOP = 8
    page.goto(FORECAST)
    assert page.locator("#act-terminal-keep").count() == 0
    used = timezone.now() - timedelta(hours=8) + timedelta(minutes=8, seconds=50)
    AppInstance.objects.filter(pk=newest("terminal").pk).update(active_at=used, running_at=used)
    page.wait_for_selector("#tile-terminal:has-text('Stops in 9 min unless it is used')")
    page.click("#act-terminal-keep")
    page.wait_for_selector("#act-terminal-keep", state="detached")
    assert newest("terminal").kept_at is not None


def test_a_start_is_shown_step_by_step_and_opens_in_its_own_tab(page):
    page.goto(FORECAST)
    page.click("#act-notebook-start")
    page.wait_for_selector("#tile-notebook[data-state=requested]")
    row = newest("notebook")
    steps = [{"step": "account", "at": time.time(), "seconds": None, "fact": "mira"}]
    report("notebook", "prepare", progress=steps, log=["account  mira exists"])
    page.wait_for_selector(".aen-step-now:has-text('Account')")
    assert "account  mira exists" in page.inner_text("#log")
    eventually(lambda: "Notebook is starting: account" in page.inner_text("#live"))
    with page.context.expect_page() as opened:
        report(
            "notebook",
            "answer",
            progress=[{"step": s, "at": 0, "seconds": 1, "fact": f} for s, _, f in FACTS],
        )
    assert opened.value.evaluate("window.opener") is None
    assert page.inner_text("#tile-notebook .aen-state").startswith("Running")
    assert page.get_attribute("#act-notebook-open", "href").endswith(
        "/mira/energy-forecast/notebook/"
    )
    assert newest("notebook").pk == row.pk


def test_without_the_tick_nothing_opens_by_itself(page):
    report("lab", "end")
    page.goto(FORECAST)
    page.click("#act-notebook-start")
    page.uncheck("#open-when-ready")
    report("notebook", "prepare")
    page.wait_for_selector("#tile-notebook[data-state=preparing]")
    assert not page.is_checked("#open-when-ready")
    report("notebook", "answer")
    page.wait_for_selector("#tile-notebook[data-state=running]")
    assert len(page.context.pages) == 1
    assert page.inner_text("#open-ready") == "Open Notebook"


def test_a_browser_that_blocks_pop_ups_leaves_a_button(page):
    report("lab", "end")
    page.goto(FORECAST)
    page.evaluate("window.open = () => null")
    page.click("#act-notebook-start")
    page.wait_for_selector("#tile-notebook[data-state=requested]")
    report("notebook", "answer")
    page.wait_for_selector("#open-ready:focus")


def test_looking_again_keeps_focus_and_the_place_in_the_log(page):
    page.goto(FORECAST)
    report("lab", "start", log=[f"line {n}" for n in range(150)])
    page.wait_for_selector("#log :text-is('line 149')")
    assert page.evaluate("log.scrollTop") > 1000
    page.evaluate("log.scrollTop = 200")
    page.focus("#act-lab-start")
    report("lab", "start", log=[f"line {n}" for n in range(160)])
    page.wait_for_selector("#log :text-is('line 159')", state="attached")
    assert page.evaluate("log.scrollTop") == 200
    assert page.evaluate("document.activeElement.id") == "act-lab-start"


def test_a_failure_names_cause_and_mend_and_is_reset(page):
    page.goto(FORECAST)
    report(
        "lab",
        "fail",
        cause="The port is in use. Another process has it.",
        mend="Stop it.",
        log=["<b>x</b>"],
    )
    page.wait_for_selector("#tile-lab[data-state=failed]")
    panel = page.inner_text(".aen-panel")
    assert "JupyterLab did not start" in panel and "Stop it." in panel and "<b>x</b>" in panel
    page.click(".aen-panel button:text-is('Reset')")
    page.wait_for_selector("#tile-lab[data-state=stopped]")


def test_stop_keeps_the_keyboard_at_the_tile(page):
    page.goto(FORECAST)
    page.focus("#act-terminal-stop")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tile-terminal[data-state=stopping]")
    assert page.evaluate("document.activeElement.id") == "tile-terminal"
    report("terminal", "end")
    page.wait_for_selector("#tile-terminal[data-state=stopped]")


def test_a_server_that_is_away_leaves_the_page_as_it_is(page):
    page.goto(FORECAST)
    page.route(re.compile("/workspace"), lambda route: route.abort())
    page.wait_for_selector("#offline:visible", timeout=15000)
    assert page.is_visible("#tile-terminal[data-state=running]")
    page.unroute(re.compile("/workspace"))
    report("lab", "answer")
    page.wait_for_selector("#tile-lab[data-state=running]")
    assert not page.is_visible("#offline")


def test_a_session_that_ended_leads_to_the_sign_in_page(page):
    page.goto(FORECAST)
    page.context.clear_cookies()
    page.wait_for_url(re.compile(r"/accounts/login/\?next=%2Fmira%2Fenergy-forecast"))
    assert "to open mira / energy-forecast" in page.inner_text("main")


def test_a_start_from_the_home_page_opens_its_app_too(page):
    page.goto("/")
    page.click("form[data-project='/mira/meter-quality'] button")
    page.wait_for_url("/mira/meter-quality")
    row = AppInstance.objects.get(project__name="meter-quality")
    with page.context.expect_page():
        events.apply(row, "answer", revision=1)


def test_people_are_found_as_one_types_and_a_role_change_can_be_undone(page):
    page.goto(f"{FORECAST}/settings/team")
    page.type("#id_user", "TOM")
    page.wait_for_selector("#option-1[aria-selected=true]")
    assert page.inner_text("#option-1 .aen-name") == "tomas"
    page.keyboard.press("Enter")
    assert page.input_value("#id_user") == "tomas"
    page.click("button:text-is('Add')")
    page.wait_for_selector("text=tomas is now an editor.")
    page.select_option("select[aria-label='Role of tomas']", "viewer")
    page.click("text=Undo")
    page.wait_for_selector("text=tomas is now an editor.")


def test_two_fields_find_people_each_in_its_own_list(page):
    page.goto(f"{FORECAST}/permissions")
    page.fill("#id_check_user", "")
    page.type("#id_check_user", "tom")
    page.wait_for_selector("#check-people #option-1[aria-selected=true]")
    page.focus("#id_user")
    page.wait_for_selector("#check-people #option-1", state="detached")
    page.type("#id_user", "so")
    page.wait_for_selector("#people #option-1[aria-selected=true]")
    page.keyboard.press("Enter")
    assert page.input_value("#id_user") == "sofia"
    assert page.input_value("#id_check_user") == "tom"


def test_rights_are_set_cleared_and_taken_back_with_the_keyboard(page):
    page.goto(f"{FORECAST}/permissions")
    page.fill("#id_path", "models")
    page.fill("#id_user", "ada")
    page.focus("#id_run")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Set for ada on models: read only.")
    page.focus("button[aria-label='Clear models for ada']")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Cleared for ada on models.")
    page.click(".aen-toast :text-is('Undo')")
    page.wait_for_selector("button[aria-label='Clear models for ada']")


def test_stopping_a_project_begins_at_the_safe_button_and_ends_what_runs(page):
    page.goto(FORECAST)
    page.click("#stop-project a")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.activeElement.textContent") == "Keep running"
    page.click("dialog button:text-is('Stop 4 apps')")
    page.wait_for_selector("#tile-terminal[data-state=stopping]")
    assert page.locator("#stop-project a").count() == 0


def test_removing_a_member_lists_what_ends_and_begins_at_the_safe_button(page):
    page.goto(f"{FORECAST}/settings/team")
    page.focus("a[aria-label='Remove jonas']")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.activeElement.textContent") == "Keep jonas"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert page.evaluate("document.activeElement.ariaLabel") == "Remove jonas"
    page.keyboard.press("Enter")
    page.click("button:text-is('Remove and end 2 apps')")
    page.wait_for_selector("text=jonas is removed.")


def test_keys_work_outside_fields_only_and_can_be_switched_off(page):
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("cg?")
    assert page.input_value("#search") == "cg?"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("/running/")
    page.goto("/accounts/")
    page.uncheck("#keys-on")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("c")
    page.goto("/")
    page.keyboard.press("c")
    assert page.url.endswith("/") and "/new" not in page.url


def test_the_colours_that_one_chose_stay(page):
    page.goto("/")
    page.click("button[aria-label='Use dark colours']")
    assert page.get_attribute("html", "data-bs-theme") == "dark"
    page.reload()
    assert page.get_attribute("html", "data-bs-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 20)"


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_no_page_is_wider_than_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    for path in [
        "/", FORECAST, f"{FORECAST}/settings/team", f"{FORECAST}/permissions", "/manage/",
        "/manage/users", "/manage/audit", "/accounts/", "/new/", "/jonas/grid-losses",
    ]:  # fmt: skip
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_new_persons_home_says_what_a_project_is(page):
    page.goto("/accounts/")
    page.click("summary[aria-label='Account of mira']")
    page.click("button:text-is('Sign out')")
    sign_in(page, "newcomer")
    assert "You have no projects yet" in page.inner_text("main")
    started = timezone.now()
    page.click("text=Start an empty project")
    page.fill("#id_name", "First Try")
    assert page.inner_text("#preview-name") == "First Try"
    page.click("button:text-is('Create project')")
    assert "can’t be used" in page.inner_text("#id_name_error")
    assert page.input_value("#id_name") == "First Try"
    page.fill("#id_name", "first-try")
    page.click("button:text-is('Create project')")
    page.wait_for_url("/newcomer/first-try")
    assert Project.objects.get(name="first-try").created_at > started
