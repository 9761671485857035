"""What the demo tells: how long it will still take, what held, and whether all did."""

import io

import pytest
from rich.console import Console

from tests.e2e.story.chapters import CHAPTERS
from tests.e2e.story.narration import Narrator


@pytest.fixture
def narrator():
    return Narrator(Console(file=io.StringIO(), width=120, soft_wrap=True))


def told(narrator):
    return narrator.console.file.getvalue()


@pytest.mark.parametrize(("held", "all_held"), [(True, True), (None, True), (False, False)])
def test_only_what_did_not_hold_fails_the_story(narrator, held, all_held):
    narrator.show("it serves", True)
    narrator.show("it comes back", held, "why")
    narrator.close()
    assert narrator.all_held is all_held
    assert ("NOT everything held" in told(narrator)) is not all_held
    row = next(line for line in told(narrator).splitlines() if line.startswith("│ it comes back"))
    assert {True: "yes", None: "not shown", False: "NO"}[held] in row


def test_every_chapter_leaves_less_to_come(narrator):
    left = []
    for title in ("Kubernetes: a hub", "The platform team installs", *CHAPTERS):
        with narrator.chapter(title):
            left.append(narrator.left)
    assert left == sorted(set(left), reverse=True)
    assert narrator.left == 0
    assert "about 7 min left" in told(narrator)
    assert told(narrator).endswith("about 0 s left\n")


def test_a_chapter_that_breaks_off_is_not_done(narrator):
    with pytest.raises(KeyError), narrator.chapter("1. The first release"):
        raise KeyError
    assert "done" not in told(narrator)
