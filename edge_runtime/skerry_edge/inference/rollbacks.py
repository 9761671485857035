"""What the node tells of releases that it puts aside: the stream `rollbacks`."""

import time

import msgspec
import structlog

from skerry_edge.events.bodies import Rollback
from skerry_edge.events.log import StreamLog
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import LogFailedError, LogFullError
from skerry_edge.inference.activation.state import BadRelease, ModelKey
from skerry_edge.inference.metrics import Metrics

_log = structlog.get_logger(__name__)


class RollbackLog:
    """Records and counts them; a disk that refuses costs the record, never the rollback."""

    def __init__(self, log: StreamLog, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._encoder = msgspec.json.Encoder()

    def put_aside(self, key: ModelKey, entry: BadRelease) -> None:
        """Record that `entry` is never tried again for a model here."""
        self._metrics.put_aside(key, entry)
        metric = entry.failed_metric
        body = self._encoder.encode(
            Rollback(
                namespace=key.namespace,
                model=key.name,
                digest=entry.digest,
                version=entry.version,
                reason=entry.reason,
                metric=metric.name,
                observed=metric.observed,
                limit=metric.limit,
                message=metric.message,
            )
        )
        at, received = int(entry.at.timestamp() * 1_000_000), time.time_ns() // 1000
        try:
            self._log.append((NewRecord(body, at, received),))
        except (LogFullError, LogFailedError) as error:
            _log.warning("rollback not logged", model=str(key), digest=entry.digest, error=str(error))
