"""The hub operator's process: kopf in the main thread, reconciles in threads of their own."""

import os
import sys
import threading
from datetime import UTC, datetime

import kopf
import structlog

from skerry_core.errors import SkerryError
from skerry_operator import log_lines
from skerry_operator.hub import handlers
from skerry_operator.hub.config import HubConfig
from skerry_operator.hub.process import HubProcess
from skerry_operator.kube import connect

_log = structlog.get_logger()
LIVENESS = "http://0.0.0.0:8080/healthz"


def run(config: HubConfig, liveness: str) -> None:
    """Run the hub operator until it is told to stop."""
    process = HubProcess(config, connect.local(), lambda: datetime.now(UTC))
    stop = threading.Event()
    threading.Thread(target=process.run, args=(stop,), name="patrol", daemon=True).start()
    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    handlers.configure(settings)
    handlers.register(registry, process)
    try:
        kopf.run(registry=registry, settings=settings, clusterwide=True, standalone=True, liveness_endpoint=liveness)
    finally:
        stop.set()


def main() -> int:
    """Start from the environment; 1 and a plain sentence if it isn't complete."""
    log_lines.configure()
    try:
        run(HubConfig.from_environment(os.environ), os.environ.get("SKERRY_LIVENESS", LIVENESS))
    except SkerryError as error:
        _log.error("the hub operator can't start", reason=error.reason, message=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
