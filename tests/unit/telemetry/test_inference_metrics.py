"""The serving process's own metrics, as summaries read them."""

from datetime import UTC, datetime

import pytest

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.inference.activation.state import BadRelease, ModelKey
from skerry_edge.inference.metrics import Metrics
from skerry_edge.inference.process import _settings
from skerry_edge.inference.rollbacks import RollbackLog
from skerry_edge.telemetry.error_classes import ErrorClasses
from skerry_edge.telemetry.exposition import measure, parse

BAD = BadRelease(
    digest=f"sha256:{'a' * 64}",
    version="1.2.0",
    reason="CanaryFailed",
    failed_metric=FailedMetric(name="disagreement", observed=0.4, limit=0.1, message="differs on 4 of 10 rows"),
    at=datetime(2026, 11, 18, tzinfo=UTC),
)


@pytest.fixture
def logs(tmp_path):
    return EventLogs(tmp_path, Owner("site-a", "node-1", "boot-1"))


def test_a_rollback_is_counted_beside_its_record(logs):
    errors = ErrorClasses()
    metrics = Metrics(logs, errors)
    log = logs.open(_settings("rollbacks"))
    RollbackLog(log, metrics).put_aside(ModelKey("shop", "vision"), BAD)
    errors.count("loader", "DigestMismatch")
    metrics.refused(503)
    measures = measure(parse(metrics.exposition().decode()))
    assert measures.counts["rollbacks", "shop/vision", "1.2.0", "CanaryFailed"] == 1
    assert measures.counts["errors", "loader", "DigestMismatch"] == 1
    assert measures.counts["failedRequests", "503"] == 1
    assert measures.epochs == {"rollbacks": log.epoch}
    assert measures.tiers == {"rollbacks": 0}
    assert measures.levels["logLimit", "rollbacks"] == 64 << 20


def test_a_log_that_cannot_be_looked_at_is_left_out(logs, tmp_path):
    log = logs.open(_settings("rollbacks"))
    metrics = Metrics(logs, ErrorClasses())
    for path in log.directory.iterdir():
        path.unlink()
    log.directory.rmdir()
    measures = measure(parse(metrics.exposition().decode()))
    assert not measures.epochs
    assert measures.run
