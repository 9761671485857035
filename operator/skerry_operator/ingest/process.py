"""The loop around passes: soon again after work, slower after failures, and a sign of life for probes."""

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from skerry_core import backoff
from skerry_core.errors import SkerryError, UserMustActError
from skerry_operator.ingest.conditional import check_conditional_put
from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.ingester import Ingester
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.workers import ThisProcess, Workers

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger()
_LONGEST = timedelta(minutes=1)
# A pass over a large backlog takes long; one that takes this long hangs.
_HANGS_SECONDS = 1800.0


class IngestProcess:
    """Passes until told to stop. Whatever fails is logged and tried again: nothing is held in memory that matters."""

    def __init__(self, config: IngestConfig, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._beat = time.monotonic()

    def alive(self) -> bool:
        """Whether passes still end, well or not."""
        return time.monotonic() - self._beat < _HANGS_SECONDS

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        failures = 0
        ingester: Ingester | None = None
        while not stop.is_set():
            well = False
            try:
                ingester = ingester or self._start()
                well = ingester.run_once()
            except SkerryError as error:
                self._metrics.failed("", error.reason)
                told = _log.error if isinstance(error, UserMustActError) else _log.warning
                told("a pass failed and is tried again", reason=error.reason, message=str(error))
            except Exception:  # noqa: BLE001
                # A fault of ours must not end the loop for good; what it knew may be wrong, so it starts anew.
                self._metrics.failed("", "Unexpected")
                _log.exception("a pass failed unexpectedly")
                ingester = None
            self._beat = time.monotonic()
            failures = 0 if well else failures + 1
            pause = self._config.poll if well else backoff.delay(failures, random.random(), _LONGEST)  # noqa: S311
            stop.wait(pause.total_seconds())

    def _start(self) -> Ingester:
        config = self._config
        config.lake.trust_own_authority()
        check_conditional_put(config.lake)
        now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
        return Ingester(config.lake, config, _workers(config), self._metrics, now)


def _workers(config: IngestConfig) -> Workers:
    if not config.scheduler:
        return ThisProcess()
    try:
        from skerry_operator.ingest.dask_workers import DaskWorkers  # noqa: PLC0415 - an extra of its own
    except ImportError as error:
        raise UserMustActError(
            "DaskMissing", f"a Dask scheduler is set, but {error.name} is missing: pip install 'skerry[distributed]'"
        ) from error
    return DaskWorkers(config.scheduler)
