"""What made a fleet's answers bad: staged with the real parts from sensors to tables, and told by the commands."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.inference import models
from tests.integration.lineage.fleet import FLEETING, LASTING, STREAM, Fleet, FleetNode
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow

# A model for each case, so that each has a fleet of its own.
STALE, ROLLOUT, CACHE = MODELS = ("stale", "rollout", "cache")
PRESS, SILENT = "press-1", "press-2"
# Each press was shaken once and runs quietly since. The sum of it all tells that: a model without it says class 0.
SHAKEN, QUIET = (10.0, 10.0, 10.0), 1.0
RIGHT = 1
COUNT = 30
WHAT = ("node", "release", "stale", "damaged", "answers", "bad", "wrong")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, sigstore) -> Iterator[Fleet]:  # noqa: F811
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), sigstore, MODELS)
    try:
        for model in MODELS:
            of = FLEETING if model == STALE else LASTING
            fleet.first[model] = fleet.release(model, "1.0.0", models.good(), of)
        for model, release in fleet.first.items():
            fleet.roll_out(model, release, *fleet.nodes)
        for node in fleet.nodes.values():
            node.start()
        for name, node in fleet.nodes.items():
            for model, release in fleet.first.items():
                node.wait(lambda node=node, model=model, release=release: node.serves(model, release.digest))
            for press in (PRESS, SILENT):
                node.measure(press, *SHAKEN)
            for model in (ROLLOUT, CACHE):
                fleet.ask(model, name, PRESS, COUNT, truth=RIGHT)
        yield fleet
    finally:
        fleet.close()


def explained(fleet: Fleet, model: str) -> tuple[dict, list[dict]]:
    """The one cause that `skerry explain` finds, and what `skerry query` has of alike answers."""
    fleet.sync()
    told = json.loads(fleet.run("explain", "--fleet", f"team/{model}", "--json"))
    (finding,) = told["findings"]
    assert (finding["through"], told["reason"]) == (None, "")
    sql = f"SELECT {', '.join(WHAT)} FROM bad_answers WHERE model = '{model}'"
    return finding["likely"], [json.loads(line) for line in fleet.run("query", sql, "--json").splitlines()]


def test_devices_that_fall_silent(fleet):
    for name, node in fleet.nodes.items():
        for _ in range(COUNT // 5):
            node.measure(PRESS, QUIET, feature_set=FLEETING)
            fleet.ask(STALE, name, PRESS, 5, truth=RIGHT)
    for name, node in fleet.nodes.items():
        node.wait(lambda node=node: node.statuses(FLEETING, SILENT) == {"OUTSIDE_MAX_AGE"})
        fleet.ask(STALE, name, SILENT, COUNT, truth=RIGHT)
    likely, alike = explained(fleet, STALE)
    assert likely["cause"] == "StaleFeatures"
    assert likely["exposedBad"] >= COUNT * len(fleet.nodes)
    assert {(each["node"], each["stale"]) for each in alike if each["bad"]} == {(name, True) for name in fleet.nodes}


def test_a_worse_release_from_a_moment_on(fleet):
    worse = fleet.release(ROLLOUT, "1.1.0", models.shifted())
    reached = ("n1", "n3")
    fleet.roll_out(ROLLOUT, worse, *reached)

    def promoted(name: str) -> bool:
        fleet.ask(ROLLOUT, name, PRESS, 10, truth=RIGHT)
        return fleet.nodes[name].serves(ROLLOUT, worse.digest)

    for name in reached:
        fleet.nodes[name].wait(lambda name=name: promoted(name))
    for name in fleet.nodes:
        fleet.ask(ROLLOUT, name, PRESS, COUNT, truth=RIGHT)
    likely, alike = explained(fleet, ROLLOUT)
    assert (likely["cause"], likely["subject"]) == ("Rollout", worse.digest)
    assert {(each["node"], each["release"]) for each in alike if each["bad"]} == {
        (name, worse.digest) for name in reached
    }


def test_a_disk_that_spoils_what_a_node_knows(fleet):
    fleet.sync()
    node = fleet.nodes["n2"]
    node.kill()
    spoil(node)
    node.start()
    node.wait(lambda: node.serves(CACHE, fleet.first[CACHE].digest))
    for name, each in fleet.nodes.items():
        each.measure(PRESS, QUIET)
        fleet.ask(CACHE, name, PRESS, COUNT, truth=RIGHT)
    likely, alike = explained(fleet, CACHE)
    told = fleet.run("query", "SELECT node FROM node_health WHERE rebuilt_features = 1 AND damaged_bytes > 0", "--json")
    assert json.loads(told) == {"node": "n2"}
    assert (likely["cause"], likely["subject"], likely["exposedBad"]) == ("CorruptCache", "berlin/n2", COUNT)
    # The values are fresh, and of what is left.
    assert [(each["node"], each["stale"], each["damaged"]) for each in alike if each["bad"]] == [("n2", False, True)]


def spoil(node: FleetNode) -> None:
    """Bad blocks below the feature store, and below the log that it could be built of again; their heads are whole."""
    segment = min((node.state / "log" / STREAM).glob("*.seg"))
    for path, head in ((node.state / "features" / "lmdb" / "data.mdb", 8192), (segment, 200)):
        data = path.read_bytes()
        path.write_bytes(data[:head] + b"\xa5" * (len(data) - head))
