"""The audit log: one JSON line for each request that its level asks for. Never a part of an item.

    {"log":"audit","time":"2026-01-31T12:00:00.000Z","request":ID,"key":KEYID,"source":ADDRESS,"operation":NAME,
     "tables":[NAME],"result":"ok","bytes_in":N,"bytes_out":N}

`key`: the access key id that the request names, "" if none; known to be its sender's unless `result` says that the
signature was not accepted. `operation`: "" if it is none that there is. `tables`: those that it names. `result`: "ok",
or the error's type. Bytes are those of the bodies as they travelled. Names are cut where they are longer than any real
one. A line `{"log":"audit","time":..,"dropped":N}` says that N lines are missing here (line_file).
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, Metric

from keystead_node.api.permissions import tables_of
from keystead_node.config import AuditLevel
from keystead_node.line_file import LineFile

_DENIALS: Final = frozenset(
    (
        *("AccessDeniedException", "MissingAuthenticationTokenException", "UnrecognizedClientException"),
        *("IncompleteSignatureException", "InvalidSignatureException"),
    )
)
_READS: Final = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "List", "Describe", "Search")
_KEY_ID_LENGTH_MAX: Final = 128
_NAME_LENGTH_MAX: Final = 255


class _Line(msgspec.Struct, frozen=True, gc=False):
    log: str
    time: str
    request: str
    key: str
    source: str
    operation: str
    tables: list[str]
    result: str
    bytes_in: int
    bytes_out: int


class _Missing(msgspec.Struct, frozen=True):
    log: str
    time: str
    dropped: int


class Audit:
    """`put` takes each line with its end. `now`: seconds since 1970."""

    def __init__(self, level: AuditLevel, put: Callable[[bytes], None], now: Callable[[], float] = time.time) -> None:
        self._level = level
        self._put = put
        self._now = now

    def wants(self, operation: str, error_kind: str) -> bool:
        """`error_kind`: "" for a success. An operation that is unknown counts as a write."""
        if self._level == "all" or error_kind in _DENIALS:
            return self._level != "off"
        return self._level == "writes" and not operation.startswith(_READS)

    def record(
        self,
        *,
        request_id: bytes,
        key_id: str,
        source: str,
        operation: str,
        error_kind: str,
        body: bytes,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """`body`: what the request says, not compressed."""
        line = _Line(
            log="audit",
            time=_shown(self._now()),
            request=request_id.decode("ascii"),
            key=key_id[:_KEY_ID_LENGTH_MAX],
            source=source,
            operation=operation,
            tables=[name[:_NAME_LENGTH_MAX] for name in tables_of(operation, body)],
            result=error_kind or "ok",
            bytes_in=bytes_in,
            bytes_out=bytes_out,
        )
        self._put(msgspec.json.encode(line) + b"\n")


def missing_line(count: int) -> bytes:
    """Stands where `count` lines are missing."""
    return msgspec.json.encode(_Missing("audit", _shown(time.time()), count)) + b"\n"


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AuditFigures:
    """A collector for Prometheus."""

    def __init__(self, file: LineFile) -> None:
        self._file = file

    def collect(self) -> Iterable[Metric]:
        file = self._file
        yield CounterMetricFamily("keystead_audit_lines", "Lines of the audit log that were written", file.lines)
        yield CounterMetricFamily("keystead_audit_lines_dropped", "Lines that it could not take", file.dropped)
