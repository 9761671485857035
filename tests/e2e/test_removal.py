"""A model's removal on real clusters: asked for while the site is cut off, done when the link is back, and undone."""

import json

import pytest

from tests.cluster.lab.waiting import wait_for
from tests.e2e.faults.world import HEALED_WITHIN, SITE, conditions
from tests.e2e.story.platform import MODEL, NAMESPACE

pytestmark = [pytest.mark.lab, pytest.mark.long]


def removed(world):
    """Status, reason and message of the Model's condition."""
    got = world.hub.kubectl("get", "model", MODEL, f"--namespace={NAMESPACE}", "--output=json")
    found = conditions(json.loads(got.stdout)["status"]).get("Removed", {})
    return found.get("status"), found.get("reason"), found.get("message")


def refused(world):
    """Whether the site answers its newest request with 404."""
    answered = world.story.traffic[SITE].entries()
    return bool(answered) and (answered[-1].failure or "").startswith("status 404")


def test_a_model_is_removed_from_a_site_that_was_away_and_comes_back(world):
    pods = world.pods()
    world.site.cut()
    try:
        world.patch_model({"removeFrom": {"matchLabels": {"ring": "internal"}}})
        said = ("False", "StillHeld", f"1 of 1 sites still have it: {SITE}")
        wait_for("the Model says who has it", lambda: removed(world) == said, seconds=HEALED_WITHIN, every=0.5)
        world.wait_champion()
    finally:
        world.site.join()
    try:
        wait_for("the site refuses its requests", lambda: refused(world), seconds=HEALED_WITHIN, every=0.5)
        gone = ("True", "Gone", "none of 1 sites has it")
        wait_for("the Model is gone", lambda: removed(world) == gone, seconds=HEALED_WITHIN, every=0.5)
    finally:
        world.patch_model({"removeFrom": None})
    world.story.wait_answers(SITE, world.champion, HEALED_WITHIN)
    assert world.pods() == pods
