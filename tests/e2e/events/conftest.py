from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.events.hub import EventsHub
from tests.e2e.events.outage import Outage, happened
from tests.e2e.events.site import EventsSite
from tests.e2e.faults.world import TOLD_WITHIN, World


@pytest.fixture(scope="module")
def hub(world: World) -> EventsHub:
    return EventsHub(world)


@pytest.fixture(scope="module")
def site(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventsSite]:
    site = EventsSite(world, tmp_path_factory.mktemp("events"))
    yield site
    site.stop_devices()


@pytest.fixture(scope="module")
def policy(hub: EventsHub, site: EventsSite) -> None:
    """The platform team's SyncPolicy, in force on the site's node."""
    hub.world.story.hub.apply((Path(__file__).parent / "policy.yaml").read_text())
    site.wait_stream("readings", TOLD_WITHIN)


@pytest.fixture(scope="module")
def outage(hub: EventsHub, site: EventsSite, policy: None) -> Outage:
    return happened(site, hub)
