"""Pages that stand in the configuration of what is in front."""

import pytest

from deploy import own_pages


@pytest.mark.parametrize("page", [own_pages.server_away(), own_pages.gateway_away()])
def test_nginx_can_hold_it(page):
    text = own_pages.for_nginx(page, f"https://{'a' * 63}.{'b' * 63}.example.org:65535")
    assert "return 503 '<!doctype html>" in text
    assert 'add_header retry-after "3" always;' in text
    policy = next(line for line in text.splitlines() if "content-security-policy" in line)
    assert policy.count('"') == 2
    # NGINX takes no longer word than that.
    assert max(map(len, text.split("'"))) < 4096
