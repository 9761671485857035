"""Training rows equal what was served, bit for bit: a real log, materializer and binding, real ingest and build."""

import random

import pytest

from skerry_core.features.plan import compile_set
from skerry_edge.features.note import Adopted
from tests.unit.training.world import vectors


def live(world, seed, events=80, presses=4):
    """Events that come in time, late and from the future, with gaps; and requests in between."""
    dice = random.Random(seed)
    for _ in range(events):
        world.passes(dice.choice([0, 0.001, 0.4, 7, 45, 400]))
        data = {
            "rms": dice.choice([0.1, 1 / 3, -0.0, 5, 1e15, 7.25]),
            "cycles": dice.randint(-5, 5),
            "state": dice.choice(["run", "stop", "é"]),
            "open": dice.random() < 0.5,
            "v": [dice.random() for _ in range(3)],
        }
        data = {name: value for name, value in data.items() if dice.random() < 0.8}
        if dice.random() < 0.05:
            data["rms"] = dice.choice(["broken", True, [1], 2**60])
        world.event(data, f"press-{dice.randrange(presses)}", ago=dice.choice([0, 0, 1, 290, 301, 4000, -50]))
        if dice.random() < 0.4:
            world.passes(dice.choice([0, 0.002, 3]))
            world.serve(f"press-{dice.randrange(presses + 1)}")
            # A time names a place in the log only if nothing else comes in at that very time.
            world.passes(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_rows_of_the_prediction_log_equal_what_was_served(world, seed):
    live(world, seed)
    world.ship()
    told, table = world.build("--predictions", "vision/press-health")
    assert told["rows"] == len(world.served)
    assert vectors(table, world.names) == [values for _, _, values, _, _ in world.served]
    assert table["features_defaulted"].to_pylist() == [list(defaulted) for *_, defaulted, _ in world.served]
    assert table["features_rejected"].to_pylist() == [list(rejected) for *_, rejected in world.served]
    assert table["event_timestamp"].cast("int64").to_pylist() == [now for now, *_ in world.served]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_entity_rows_equal_what_was_served(world, seed):
    live(world, 10 + seed)
    world.ship()
    order = list(range(len(world.served)))
    random.Random(seed).shuffle(order)
    asked = [world.served[place][:2] for place in order]
    told, table = world.build("--rows", world.rows_file(asked, label=list(range(len(asked)))))
    assert table["label"].to_pylist() == list(range(len(asked)))
    assert vectors(table, world.names) == [world.served[place][2] for place in order]
    assert (told["rows"], told["rowsAfterHistory"]) == (len(asked), sum(now > last(world) for now, _ in asked))
    assert told["columns"] == sum(feature.width for feature in compile_set(world.document).features)


def last(world):
    return max(row["received"] for row in world.hub.rows("vibration")).timestamp() * 1e6


def test_what_was_made_of_another_nodes_snapshot_is_no_row(world):
    world.event({"rms": 1.0})
    world.serve("press-1")
    world.features.find(world.digest).adopted = Adopted("node-9", "sha256:" + "1" * 64, world.clocks.wall)
    world.passes(1)
    world.serve("press-1")
    world.passes(24 * 3600)
    world.serve("press-1")
    world.passes(0.001)
    world.event({"rms": 1.0})
    world.ship()
    told, table = world.build("--predictions", "vision/press-health")
    assert (told["rows"], told["rowsLeftOut"]["anotherNodesEvents"]) == (2, 1)
    assert vectors(table, world.names) == [world.served[place][2] for place in (0, 2)]
