"""A node that answers, for tests that have no wire."""

import pytest

from compute_agent.protocol import (
    EnvironmentInfo,
    EnvironmentsFound,
    Explanation,
    FindEnvironments,
    Look,
    PackageInfo,
)


class AnsweringNode:
    """Takes questions as the wire would carry them, and answers while somebody waits."""

    def __init__(self, center):
        self.center = center
        self.asked = []
        self.says = {"kind": "directory", "access": "r-x", "cause": "So it is."}
        self.finds = {
            "environments": (EnvironmentInfo("default", "uv", "3.11", "", 2, 400_000_000, 9_000_000),),
            "packages": (
                PackageInfo("numpy", "2.1.0", "pip"), PackageInfo("pandas", "2.2.0", "pip"),
            ),
            "export": "numpy==2.1.0\npandas==2.2.0\n",
            "makers": ("uv",),
        }  # fmt: skip
        self.silent = False

    def look(self, seconds=0):
        from projects import questions

        for node, _, command in questions.due(self.center.row.pk):
            self.asked.append(command)
            if not self.silent:
                questions.take(node, self.answer(command))

    def answer(self, command):
        if isinstance(command, FindEnvironments):
            return EnvironmentsFound(command.question_id, **self.finds)
        return self.explanation(command)

    def explanation(self, command):
        looks = (Look("", f"user:{command.account}:", "rwx", "rwx"),)
        return Explanation(command.question_id, **({"looks": looks} | self.says))


@pytest.fixture
def answering(project, center, monkeypatch):
    """The node of the project, which was started once."""
    from datacenters.wake import ThreadSleeper
    from projects.models import Project

    Project.objects.filter(pk=project.pk).update(node=center.node)
    project.refresh_from_db()
    node = AnsweringNode(center)
    monkeypatch.setattr(ThreadSleeper, "wait", lambda sleeper, seconds: node.look())
    return node
