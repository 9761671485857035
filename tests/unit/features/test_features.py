"""The thread: it gets over a damaged store, and ends cleanly."""

import time

import pytest

from skerry_edge.features.features import Features
from skerry_edge.features.materializer import Sources, Standing
from skerry_edge.features.needs import Needs
from skerry_edge.features.note import decode_entity, encode_entity
from skerry_edge.features.ports import StoreDamagedError
from skerry_edge.features.store import LmdbStore
from tests.unit.features.fakes import FakeEngine
from tests.unit.features.test_materializer import DIGESTS, ONE, Site, present
from tests.unit.features.test_version import values

DIGEST = DIGESTS[ONE]


def wait_for(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError(condition)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.logs.close()


def start(site, *, begin=True, **options):
    sources = Sources(
        site.path / "log", 1, lambda: Needs(frozenset([DIGEST]), certain=True), lambda _: ONE, lambda _: FakeEngine()
    )
    features = Features(site.path / "features", sources, lambda: None, site.node.clock, **options)
    if begin:
        features.start()
    return features


@pytest.mark.slow
def test_follows_until_it_is_stopped_and_goes_on(site):
    nothing = values(start(site, begin=False).read(DIGEST, ["a"]))
    assert nothing == [("NOT_FOUND", None)] * 2
    site.add(("a", 1))
    for count in (1, 2):
        features = start(site)
        wait_for(lambda features=features: features.standing(DIGEST)[0] is Standing.WARM)
        wait_for(lambda features=features, count=count: values(features.read(DIGEST, ["a"])) == present(count, count))
        features.stop()
        site.add(("a", 1))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["at the start", "in a request"])
def test_a_damaged_store_is_built_again(site, when):
    site.add(("a", 1))
    features = start(site)
    wait_for(lambda: features.standing(DIGEST)[0] is Standing.WARM)
    features.stop()
    if when == "at the start":
        (site.path / "features" / "lmdb" / "data.mdb").write_bytes(b"not LMDB" * 5000)
        features = start(site)
    else:

        class Flipped(LmdbStore):
            def get(self, digest, key):
                data = bytearray(encode_entity(key, super().get(digest, key)))
                data[-1] ^= 1
                try:
                    return decode_entity(key, bytes(data))
                except ValueError as error:
                    raise StoreDamagedError(str(error)) from error

        features = start(site, open_store=Flipped)
        wait_for(lambda: features.find(DIGEST) is not None)
        assert values(features.read(DIGEST, ["a"])) == [("NOT_FOUND", None)] * 2
    wait_for(lambda: features.rebuilt == 1)
    wait_for(lambda: features.standing(DIGEST)[0] is Standing.WARM)
    assert values(features.read(DIGEST, ["a"])) == present(1, 1)
    features.stop()


def test_a_folder_that_can_not_be_opened(site):
    (site.path / "features").write_text("a file")
    features = start(site)
    time.sleep(0.05)
    assert values(features.read(DIGEST, ["a"])) == [("NOT_FOUND", None)] * 2
    assert features.standing(DIGEST)[0] is Standing.NOT_READY
    features.stop()
