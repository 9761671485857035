"""How the operators log: one JSON object a line, as the node's processes do."""

import logging

import structlog


def configure() -> None:
    """Set up structlog; tracebacks come without local variables, which hold keys and grants."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
