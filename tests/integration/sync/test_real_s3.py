"""Sync against a real S3 server, by grants that the hub's own code signs."""

from datetime import UTC, datetime, timedelta

import pytest

from skerry_core import digest
from skerry_core.store.blobs import put_bytes
from skerry_core.store.grant import S3GrantIssuer
from tests.integration.store.conftest import bucket, s3_server, store  # noqa: F401 - fixtures
from tests.integration.sync.node import encoded
from tests.unit.delivery.worlds import POLICY, Release, assignment
from tests.unit.sync.logs import Log, stored

pytestmark = pytest.mark.lab

RELEASE = Release("1.0.0", (bytes(5_000_000), b"labels"))
BLOBS = {digest.of_bytes(POLICY): POLICY, **RELEASE.blobs}


@pytest.fixture
def world(node, kube, store):  # noqa: F811 - a fixture
    for blob in BLOBS.values():
        put_bytes(store, blob)
    kube.assign(node.seal(assignment(RELEASE)))
    return node


def grant(store, now: datetime | None = None, lifetime: timedelta = timedelta(hours=1)):  # noqa: F811
    return S3GrantIssuer(store, lifetime=lifetime).issue("site-a", BLOBS, now or datetime.now(UTC))


def test_blobs_come_and_the_log_goes(world, kube, store):  # noqa: F811
    log = Log(world.root)
    log.append(1200)
    kube.grant(encoded(grant(store)))
    world.start_here()
    world.wait("all blobs", lambda: world.has(*BLOBS))
    prefix = f"sites/site-a/events/node-1/predictions/{log.epoch}/"

    def there():
        return stored({info.key: b"".join(store.get(info.key)) for info in store.list(prefix)})

    world.wait("all records", lambda: there() == log.appended)
    log.close()


def test_an_expired_grant_is_told_and_the_next_one_heals(world, kube, store):  # noqa: F811
    yesterday = datetime.now(UTC) - timedelta(days=1)
    kube.grant(encoded(grant(store, yesterday)))
    world.start_here()
    world.wait("GrantExpired", lambda: "GrantExpired" in world.downloads().values())
    kube.grant(encoded(grant(store)))
    world.wait("all blobs", lambda: world.has(*BLOBS))


def test_a_store_that_goes_down_and_comes_back_is_waited_for(world, kube, store, s3_server):  # noqa: F811
    kube.grant(encoded(grant(store)))
    s3_server.stop()
    try:
        world.start_here()
        world.wait("StoreUnavailable", lambda: "StoreUnavailable" in world.downloads().values())
    finally:
        s3_server.start()
    world.wait("all blobs", lambda: world.has(*BLOBS))
