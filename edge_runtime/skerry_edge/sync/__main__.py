"""`python -m skerry_edge.sync`: the sync container's process."""

import logging
import os
import signal
import sys
import threading

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from skerry_core.errors import SkerryError, UserMustActError
from skerry_edge.sync.process import run
from skerry_edge.sync.settings import Settings
from skerry_edge.telemetry.error_classes import ErrorClasses


def configure_logs(errors: ErrorClasses) -> None:
    """Log JSON lines to stdout, and count what is wrong. Tracebacks come without variables: those hold secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            errors,
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def main() -> int:
    """Run until SIGTERM or SIGINT; 2 if the environment is incomplete or the disk refuses."""
    errors = ErrorClasses()
    configure_logs(errors)
    log = structlog.get_logger()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = Settings.from_environment(os.environ)
    except UserMustActError as error:
        log.error("can't start", reason=error.reason, message=str(error))  # noqa: TRY400 - a message, no trace
        return 2
    log.info("started", site=settings.site, node=settings.node)
    try:
        run(settings, stop, errors)
    except (SkerryError, OSError) as error:
        log.error("can't start", reason=getattr(error, "reason", "DiskFault"), message=str(error))  # noqa: TRY400
        return 2
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
