"""A node that takes in events, computes features and serves; and the hub that gets its logs."""

import pytest

from tests.unit.lake.conftest import hub  # noqa: F401 - a fixture
from tests.unit.training.world import World


@pytest.fixture
def world(tmp_path, hub):  # noqa: F811
    world = World(tmp_path, hub)
    yield world
    world.close()
