"""A production site with HAProxy in front: it carries what the gateway has granted, by HTTP/2."""

import pytest
from fronts import BehindHaproxy
from production import (  # noqa: F401
    browser,
    test_by_https_a_dashboard_computes,
    test_by_https_a_notebook_runs_at_a_name_of_its_own,
    test_by_https_a_token_of_the_persons_opens_the_app_for_a_script,
    test_by_https_code_server_opens_a_file,
    test_signing_out_and_a_lock_end_a_kernels_socket_in_the_open_page,
    test_while_a_part_is_away_a_page_says_so_and_tries_again,
)
from test_optional_apps import choose

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def front():
    with BehindHaproxy() as running:
        choose(running, ["streamlit", "panel", "code-server"])
        yield running
