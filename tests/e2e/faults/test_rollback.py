"""`kubectl skerry rollback` takes releases back; the exit code of `kubectl skerry watch` says what became of them."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.lab import LabError
from tests.cluster.lab.waiting import wait_for
from tests.e2e.faults.world import HEALED_WITHIN, SITE, TOLD_WITHIN, trouble
from tests.e2e.story.hub_view import release_name
from tests.e2e.story.platform import MODEL, NAMESPACE

pytestmark = [pytest.mark.lab, pytest.mark.long]

WHY = "scores of the night shift look wrong"


def test_the_release_that_serves_is_rolled_back_to_the_one_before(world):
    before, bundle = world.champion, world.bundle()
    version = world.apply(bundle)
    _watch(world, version)  # exit code 0: approved
    world.wait_healed(version)

    said = _roll_back(world, f"--to={before}")
    world.story.wait_answers(SITE, before, HEALED_WITHIN)
    world.champion = before
    _wait_rolled_back(world, version)
    with pytest.raises(LabError, match="exit 1:"):
        _watch(world, version)
    spec = json.loads(world.hub.kubectl("get", said.strip(), "--output=json").stdout)["spec"]
    assert (spec["digest"], spec["reason"]["message"]) == (bundle.digest, WHY)
    assert world.release_status(version)["failedMetric"]["name"] == "Manual"
    world.story.hub.wait_serving(SITE, before, TOLD_WITHIN)


def test_a_release_that_goes_out_is_rolled_back_before_its_site_returns(world):
    bundle, site = world.bundle(), world.site
    site.cut()
    try:
        version = world.apply(bundle)
        world.story.hub.wait_phase(version, "Progressing", TOLD_WITHIN)
        with ThreadPoolExecutor(1) as aside:
            watched = aside.submit(_watch, world, version)
            _roll_back(world)
            with pytest.raises(LabError, match="exit 1:"):
                watched.result()
    finally:
        site.join()
    _wait_rolled_back(world, version)
    world.story.hub.wait_serving(SITE, world.champion, TOLD_WITHIN)


def _watch(world, version):
    return world.story.hub.plugin("watch", release_name(version), f"--namespace={NAMESPACE}", "--timeout=50s")


def _roll_back(world, *arguments):
    return world.story.hub.plugin(
        "rollback", MODEL, "--yes", f"--message={WHY}", f"--namespace={NAMESPACE}", *arguments
    )


def _wait_rolled_back(world, version):
    """Wait until the release is rolled back and the node content with its champion."""
    hub = world.story.hub
    wait_for("it is rolled back", lambda: hub.phase(version) == "RolledBack", seconds=TOLD_WITHIN, every=0.5)
    wait_for("the node has settled", lambda: not any(trouble(world.node_status())), seconds=TOLD_WITHIN, every=0.5)
    world.wait_champion()
