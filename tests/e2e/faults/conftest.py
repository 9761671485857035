"""Faults on real clusters: what each does to releases, and that none does anything to what serves."""

import pytest


@pytest.fixture(autouse=True)
def unharmed(world):
    """Whatever a test does: no request fails, and no pod is replaced or restarted."""
    with world.unharmed():
        yield
