"""Tiles of apps that a node describes in its own way."""

import pytest

from datacenters.models import Node

pytestmark = pytest.mark.django_db


def offer(**fields):
    node = Node.objects.get()
    plain = {"name": "dash", "title": "Dash", "icon": "bars", "landing": ""}
    node.status = node.status | {"apps": [plain | fields]}
    node.save()


def test_a_tile_tells_the_kind_of_app(project, browse):
    offer(category="Dashboards")
    assert '<span class="aen-glyph" title="Dashboards">' in page(browse)


def test_a_node_of_before_that_tells_no_kind_is_shown(project, browse):
    offer()
    assert '<span class="aen-glyph"><svg' in page(browse)


def test_an_icon_that_there_is_not_is_drawn_as_a_window(project, browse):
    offer(icon="app")
    window = page(browse)
    offer(icon='"><script>')
    assert page(browse).count("<svg") == window.count("<svg")
    assert '"><script>' not in page(browse)


def page(browse):
    return browse("mira").get("/mira/forecast").content.decode()
