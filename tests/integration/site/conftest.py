import secrets

import pytest

from tests.integration.site.hubside import HubSide, admin, install_hub_side


@pytest.fixture(scope="module")
def hub_ready(spare):
    """A cluster with the hub's roles; nothing of the hub runs there."""
    return install_hub_side(spare)


@pytest.fixture
def hub_side(hub_ready):
    """A place at the hub for a site that nobody else has."""
    side = HubSide(admin(hub_ready), hub_ready, f"t{secrets.token_hex(4)}")
    side.make_room()
    yield side
    side.leave()
