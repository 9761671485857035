"""Rows of what was known of devices equal what was served of them, though the registry has long been another one."""

import json
import random

import pytest

from skerry_edge.ingest.devices import read_devices
from tests.unit.features.sets import feature
from tests.unit.training.world import World, vectors

FIELDS = [
    {
        "name": "rms",
        "path": "data.rms",
        "type": "Float64",
        "toldUnit": {
            "paths": ["data.unit", "device.units.rms"],
            "conversions": [
                {"unit": "mm/s", "factor": 1.0, "offset": 0.0},
                {"unit": "m/s", "factor": 1000.0, "offset": 0.0},
            ],
            "required": True,
        },
    },
    {"name": "model", "path": "device.model", "type": "String", "required": False},
    {"name": "gain", "path": "device.gain", "type": "Float64"},
]
SET = [
    feature("sum", "Sum", "rms * gain"),
    feature("x1", "Mean", filter="model == 'X1'"),
    feature("models", "Distinct", "model"),
    feature("count", "Count", None),
]
VERSIONS = [
    {"gain": 1, "model": "X1", "units": {"rms": "m/s"}},
    {"gain": 1.25, "model": "X2", "units": {"rms": "mm/s"}},
    {"gain": 0.1, "units": {"rms": "m/s", "oil": "bar"}, "new": True},
    {"model": "X1"},
    None,
]


@pytest.fixture
def world(tmp_path, hub):
    made = World(tmp_path, hub, SET, fields=FIELDS, schemaVersion=2)
    yield made
    made.close()


@pytest.mark.slow
def test_rows_equal_what_was_served(world):
    dice = random.Random(7)
    for number in range(120):
        world.passes(dice.choice([0.4, 7, 45]))
        known = VERSIONS[number * len(VERSIONS) // 120 if number % 3 else dice.randrange(len(VERSIONS))]
        more = {}
        if known is not None:
            entry = read_devices(json.dumps({"devices": {"a": known}}).encode()).entries["a"]
            more["device"] = json.loads(entry)
        data = {"rms": dice.choice([0.1, 1 / 3, 5])} | ({"unit": "mm/s"} if dice.random() < 0.3 else {})
        world.event(data, f"press-{dice.randrange(3)}", **more)
        if dice.random() < 0.4:
            world.passes(0.002)
            world.serve(f"press-{dice.randrange(4)}")
            world.passes(0.001)
    world.ship()
    told, table = world.build("--predictions", "vision/press-health")
    assert told["rows"] == len(world.served)
    assert told["events"]["refused"] > 0
    assert vectors(table, world.names) == [values for _, _, values, _, _ in world.served]
    told, table = world.build("--rows", world.rows_file([served[:2] for served in world.served]))
    assert vectors(table, world.names) == [values for _, _, values, _, _ in world.served]
