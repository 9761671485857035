"""The story of `make demo`, chapter by chapter; each chapter goes on where the one before ended."""

from collections.abc import Iterator

import pytest

from tests.cluster.lab import Lab
from tests.e2e.stage import Stage
from tests.e2e.story.chapters import CHAPTERS, NEEDS_HANDS
from tests.e2e.story.measures import limits, show_measures
from tests.e2e.story.narration import Narrator
from tests.e2e.story.opening import opened
from tests.e2e.story.story import Story

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def story(lab: Lab, stage: Stage) -> Iterator[Story]:
    stage.clear()
    with opened(Narrator(), lab) as story:
        yield story


@pytest.mark.parametrize("title", CHAPTERS)
def test_chapter(story: Story, title: str):
    if title in NEEDS_HANDS and not story.lab.hands:
        pytest.skip("needs the lab's hands (cut, kill)")
    if not story.narrator.all_held:
        pytest.fail("an earlier chapter did not hold")
    before = len(story.narrator.shown)
    try:
        CHAPTERS[title](story)
    except BaseException as error:
        story.narrator.show(title, False, str(error))
        raise
    assert [row for row in story.narrator.shown[before:] if not row.held] == []
    assert len(story.narrator.shown) > before


def test_helpers_stay_small(story: Story):
    before = len(story.narrator.shown)
    show_measures(story)
    shown = story.narrator.shown[before:]
    assert [row for row in shown if not row.held] == []
    assert {row.claim for row in shown} == (limits(story.sites) if story.lab.hands else set())
