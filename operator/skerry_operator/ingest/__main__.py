"""The ingest process: `python -m skerry_operator.ingest`."""

import os
import signal
import sys
import threading

import structlog

from skerry_core.errors import SkerryError
from skerry_operator import log_lines
from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.health import HealthServer
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.process import IngestProcess

_log = structlog.get_logger()


def main() -> int:
    """Run until told to stop; 1 and a plain sentence if the environment isn't complete."""
    log_lines.configure()
    try:
        config = IngestConfig.from_environment(os.environ)
    except SkerryError as error:
        _log.error("ingest can't start", reason=error.reason, message=str(error))
        return 1
    metrics = Metrics()
    process = IngestProcess(config, metrics)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    health = HealthServer(config.port, process.alive, metrics.registry)
    health.start()
    process.run(stop)
    health.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
