"""Logs of the operator: one JSON object a line on standard error. KEYSTEAD_LOG sets the level."""

import logging
import os
import sys

import structlog


def configure_logs() -> None:
    level = getattr(logging, os.environ.get("KEYSTEAD_LOG", "INFO").upper(), logging.INFO)
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr, level=logging.WARNING)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
