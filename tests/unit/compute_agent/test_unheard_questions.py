"""A question to a node that nobody will hear the answer of."""

from compute_agent.config import Config
from compute_agent.protocol import Explain, ProjectSpec
from compute_agent.questions import Questions
from compute_agent.registry import Registry


class People:
    """The node's people, who count how often somebody looked for an account."""

    def __init__(self):
        self.looked = 0

    def account_if_there(self, name, project):
        self.looked += 1


async def test_it_is_dropped_without_looking(tmp_path):
    question = Explain("0" * 32, ProjectSpec("mira", "lake", "mira"), "mira")
    people, registry = People(), Registry(tmp_path)
    questions = Questions(Config(), people, registry)
    await questions.answer(question)
    assert people.looked == 0
    with registry.subscribed():
        await questions.answer(question)
    assert people.looked == 1
    questions.release()
