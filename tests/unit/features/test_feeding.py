"""A node tells of versions that no event will count in: by standing, metric and log, until the policy is mended."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_edge.features.engine import compiled
from skerry_edge.features.features import Features
from skerry_edge.features.feeding import Feeding
from skerry_edge.features.materializer import Sources, Standing
from skerry_edge.features.metrics import FeatureCollector
from skerry_edge.features.needs import Needs
from tests.unit.features.sets import document
from tests.unit.features.test_features import site, wait_for
from tests.unit.ingest.worlds import policy, stream_policy

__all__ = ["site"]

SET = document()
DATA = canonical_json(SET)
DIGEST = digests.of_bytes(DATA)


def test_a_change_is_logged_once():
    told = [policy()]
    feeding = Feeding(lambda: told[0])
    with capture_logs() as logs:
        feeding.look([SET])
        feeding.look([SET])
        told[0] = policy(stream_policy("vibration"))
        feeding.look([SET])
        feeding.look([SET])
        told[0] = policy()
        feeding.look([])
    assert [(log["log_level"], log["feature_set"]) for log in logs] == [
        ("warning", "plant/presses 1.0.0"),
        ("info", "plant/presses 1.0.0"),
    ]
    assert logs[0]["reason"] == "StreamNotDeclared"
    assert "add vibration to spec.streams" in logs[0]["message"]


@pytest.fixture
def features(site):
    told = [policy()]
    sources = Sources(site.path / "log", 1, lambda: Needs(frozenset([DIGEST]), certain=True), lambda _: DATA, compiled)
    made = Features(site.path / "features", sources, lambda: None, site.node.clock, feeding=Feeding(lambda: told[0]))
    made.start()
    yield made, told
    made.stop()


def test_a_version_without_events_is_never_warm(site, features):
    made, told = features
    registry = CollectorRegistry()
    registry.register(FeatureCollector(made, site.node.clock))
    wait_for(lambda: made.find(DIGEST) is not None)
    labels = {"set": "plant/presses", "version": "1.0.0", "reason": "StreamNotDeclared"}
    assert registry.get_sample_value("skerry_feature_unfed", labels) == 1
    standing, why = made.standing(DIGEST)
    assert standing is Standing.STREAM_NOT_DECLARED
    assert "vibration" in why
    assert made.warm() == frozenset()
    told[0] = policy(stream_policy("vibration"))
    wait_for(lambda: made.standing(DIGEST)[0] is Standing.WARM)
    assert made.warm() == {DIGEST}
    assert registry.get_sample_value("skerry_feature_unfed", labels) is None
