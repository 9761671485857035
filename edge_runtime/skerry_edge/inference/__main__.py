"""`python -m skerry_edge.inference`: serve this node's models."""

import logging
import os
import sys

import structlog
import uvloop

from skerry_core.errors import SkerryError
from skerry_edge.inference.config import from_environment
from skerry_edge.inference.process import serve
from skerry_edge.telemetry.error_classes import ErrorClasses


def configure_logs(errors: ErrorClasses) -> None:
    """JSON lines on stdout; tracebacks without local variables, which hold what clients sent."""
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            errors,
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )


def main() -> int:
    """Serve until told to stop; 1 if that can't even begin."""
    errors = ErrorClasses()
    configure_logs(errors)
    try:
        uvloop.run(serve(from_environment(os.environ), errors))
    except SkerryError as error:
        structlog.get_logger().error("can't start", reason=error.reason, message=str(error))
        return 1
    except OSError as error:
        structlog.get_logger().error("can't start", reason="SystemError", message=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.exit(main())
