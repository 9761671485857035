from collections.abc import Iterator

import pytest

from tests.cluster.lab import Lab
from tests.e2e.faults.world import World, installed


@pytest.fixture(scope="package")
def world(lab: Lab) -> Iterator[World]:
    if not lab.hands:
        pytest.skip("faults need the lab's hands: clusters of your own are left alone")
    with installed(lab) as world:
        yield world


@pytest.fixture(autouse=True)
def unharmed(world):
    """Whatever a test does: no request fails, and no pod is replaced or restarted."""
    with world.unharmed():
        yield
