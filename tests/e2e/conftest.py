from collections.abc import Iterator

import pytest

from tests.cluster.lab import Lab
from tests.e2e.faults.world import World
from tests.e2e.stage import Stage


@pytest.fixture(scope="session")
def stage(lab: Lab) -> Iterator[Stage]:
    stage = Stage(lab)
    yield stage
    stage.clear()


@pytest.fixture(scope="module")
def world(lab: Lab, stage: Stage) -> World:
    if not lab.hands:
        pytest.skip("needs the lab's hands: clusters of your own are left alone")
    return stage.world()
