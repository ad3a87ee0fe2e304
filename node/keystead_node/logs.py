"""Logs: one JSON object a line on standard error. `cause` names the event that the core was carrying out."""

import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

_causes: list[Callable[[], str]] = []


def add_cause(cause: Callable[[], str]) -> None:
    """Every later log line asks this for its cause; '' leaves it out."""
    _causes[:] = [cause]


def _with_cause(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    cause = _causes[0]() if _causes else ""
    if cause:
        line["cause"] = cause
    return line


def configure_logs() -> None:
    """KEYSTEAD_LOG sets the level: debug, info (default), warning, error."""
    level = getattr(logging, os.environ.get("KEYSTEAD_LOG", "INFO").upper(), logging.INFO)
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            _with_cause,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
