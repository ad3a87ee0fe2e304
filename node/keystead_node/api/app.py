"""The HTTP side of the front: the handler for http_server.

    POST /   X-Amz-Target: DynamoDB_20120810.<operation>   JSON in, JSON out

All else is plain_requests'. Every answer to an operation carries x-amzn-RequestId and x-amz-crc32, which clients check:
it is of the bytes as they travel, compressed ones included. The order of checks is the service's: JSON, operation,
signature, policy, types, limits, tables, keys.
"""

import base64
import itertools
import logging
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from keystead_core.expressions import ExpressionError
from keystead_core.items import ItemError
from keystead_node.api.actions import ACTIONS, Action
from keystead_node.api.audit import Audit
from keystead_node.api.backend import Backend
from keystead_node.api.compression import ANSWER_BYTES_MIN, ENCODING_LINE, folded, is_gzip, takes_gzip, unfolded
from keystead_node.api.context import Context
from keystead_node.api.errors import ApiError, InternalServerError, UnknownOperation, ValidationException
from keystead_node.api.gate import Gate, claimed_by
from keystead_node.api.http_requests import Request
from keystead_node.api.http_server import Answer, Handler
from keystead_node.api.plain_requests import ANSWER_LINES, ORIGIN_LINE, plain_answer
from keystead_node.api.request_types import parse_body
from keystead_node.api.service_model import TARGET_PREFIX, service_model

MetricsHook = Callable[[str, str, float], None]
"""Called after each operation with its name, the error's kind or "", and the seconds it took."""

_AMZ_JSON: Final = b"application/x-amz-json-1.0"
_PLAIN_JSON: Final = b"application/json"
_AMZ_JSON_LINES: Final = b"Content-Type: %b\r\n" % _AMZ_JSON + ANSWER_LINES
_PLAIN_JSON_LINES: Final = b"Content-Type: %b\r\n" % _PLAIN_JSON + ANSWER_LINES
_TARGETS: Final[dict[bytes, tuple[str, Action]]] = {
    (TARGET_PREFIX + name).encode(): (name, action) for name, action in ACTIONS.items()
}
_ASKS_FOR_HOST: Final = "DescribeEndpoints"
_log = logging.getLogger("keystead.api")


def make_handler(
    backend: Backend, gate: Gate | None = None, metrics_hook: MetricsHook | None = None, audit: Audit | None = None
) -> Handler:
    """The handler. `gate` None: anybody may do everything, with any credentials or none."""
    service_model()  # 20 ms: not in the first request that needs it
    shared = Context(backend)
    request_ids = _request_ids()

    async def handle(request: Request) -> Answer:
        headers = request.headers
        content_type = headers.get(b"content-type", b"")
        if request.method != b"POST" or (content_type != _AMZ_JSON and not _is_json(content_type, request)):
            return plain_answer(request, next(request_ids))
        body, key_id = request.body, ""
        started = time.perf_counter()
        status = 200
        error_kind = ""
        context = shared
        operation, action = _TARGETS.get(headers.get(b"x-amz-target", b""), _NO_OPERATION)
        try:
            is_folded = b"content-encoding" in headers and is_gzip(headers[b"content-encoding"])
            if gate is not None and operation:
                key_id, body = gate.admit(request, operation, is_folded)
            elif is_folded:
                body = unfolded(body)
            if operation == _ASKS_FOR_HOST:
                context = Context(backend, headers.get(b"host", b"").decode("ascii", "replace"))
            answer = await action(context, body)
        except ApiError as error:
            answer, status, error_kind = error.body(), error.status, error.kind
        except (ItemError, ExpressionError) as error:
            refusal = ValidationException(str(error))
            answer, status, error_kind = refusal.body(), refusal.status, refusal.kind
        except Exception:
            # The outermost loop of a request: a bug costs this client an error, not every client the node.
            _log.exception("operation %s failed", operation)
            failure = InternalServerError("Internal server error")
            answer, status, error_kind = failure.body(), failure.status, failure.kind
        if metrics_hook is not None:
            metrics_hook(operation, error_kind, time.perf_counter() - started)
        lines = _AMZ_JSON_LINES if content_type == _AMZ_JSON else _PLAIN_JSON_LINES
        if (
            b"accept-encoding" in headers
            and len(answer) >= ANSWER_BYTES_MIN
            and takes_gzip(headers[b"accept-encoding"])
        ):
            answer, lines = await folded(answer), ENCODING_LINE + lines
        if b"origin" in headers:
            lines = ORIGIN_LINE + lines
        request_id = next(request_ids)
        if audit is not None and audit.wants(operation, error_kind):
            audit.record(
                request_id=request_id,
                key_id=key_id or claimed_by(request),
                source=request.source,
                operation=operation,
                error_kind=error_kind,
                body=body,
                bytes_in=len(request.body),
                bytes_out=len(answer),
            )
        return Answer(status, lines % (request_id, zlib.crc32(answer)), answer)

    return handle


async def _unknown_operation(_context: Context, body: bytes) -> bytes:
    parse_body(body or b"{}")
    raise UnknownOperation


_NO_OPERATION: Final[tuple[str, Action]] = ("", _unknown_operation)


def _is_json(content_type: bytes, request: Request) -> bool:
    if content_type.partition(b";")[0].strip() in (_AMZ_JSON, _PLAIN_JSON):
        return True
    return not request.body


def _request_ids() -> Iterator[bytes]:
    """52 characters each, as the service's: random for the process, then counted."""
    prefix = base64.b32encode(secrets.token_bytes(25))
    return map((prefix + b"%012d").__mod__, itertools.count(1))
