"""Browsers without JavaScript: Django's test client, signed in as somebody of the cast."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client


@pytest.fixture
def browse(cast):
    """Return a client signed in as a person of the cast: ``browse("mira")``."""

    def _browse(name):
        client = Client()
        client.force_login(getattr(cast, name))
        return client

    return _browse


@pytest.fixture
def run(project, cast):
    """Add a run of an app as its node would have reported it: ``run("mira", "lab", "failed")``."""
    from projects.models import AppInstance, Project

    def _run(name, app, state, **fields):
        from datacenters.models import Node

        Project.objects.filter(pk=project.pk).update(node=Node.objects.get())
        project.refresh_from_db()
        person = getattr(cast, name)
        row = AppInstance(
            project=project, user=person, app=app, node=project.node, state=state, **fields
        )
        ended = state in ("stopped", "failed")
        row.slot = row.pk.hex if ended else AppInstance.slot_of(project, person, app)
        row.save()
        return row

    return _run


class _Reader(HTMLParser):
    """Collects what the rules for pages speak of."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.forms, self.scripts = [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "form":
            self.forms.append({"attrs": attrs, "fields": {}, "buttons": 0})
        if tag in ("input", "select") and self.forms:
            self.forms[-1]["fields"][attrs.get("name")] = attrs.get("value", "")
        if tag == "button" and self.forms:
            self.forms[-1]["buttons"] += 1

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.scripts.append(data)


@pytest.fixture
def read():
    """Return what stands in a page: its ``tags`` with attributes, ``forms`` and inline ``scripts``."""

    def _read(response):
        reader = _Reader()
        reader.feed(response.content.decode())
        return reader

    return _read


@pytest.fixture
def text():
    """Return the words of a page, without tags and with single spaces."""

    def _text(response):
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))

    return _text
