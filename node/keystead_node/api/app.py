"""The HTTP side of the front: the handler for http_server.

    POST /   X-Amz-Target: DynamoDB_20120810.<operation>   JSON in, JSON out
    GET  *   healthy: <host>                                for load balancers

Everything else is 404. Every answer to an operation carries x-amzn-RequestId and x-amz-crc32, which clients check. The
order of checks is the service's: JSON, operation, signature, types, limits, tables, keys.
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
from keystead_node.api.auth import Authenticator, SignedRequest
from keystead_node.api.backend import Backend
from keystead_node.api.context import Context
from keystead_node.api.errors import ApiError, InternalServerError, UnknownOperation, ValidationException
from keystead_node.api.http_requests import Request
from keystead_node.api.http_server import Answer, Handler
from keystead_node.api.request_types import parse_body
from keystead_node.api.service_model import TARGET_PREFIX, service_model

MetricsHook = Callable[[str, str, float], None]
"""Called after each operation with its name, the error's kind or "", and the seconds it took."""

_AMZ_JSON: Final = b"application/x-amz-json-1.0"
_PLAIN_JSON: Final = b"application/json"
_ANSWER_LINES: Final = b"x-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\n"
_AMZ_JSON_LINES: Final = b"Content-Type: %b\r\n" % _AMZ_JSON + _ANSWER_LINES
_PLAIN_JSON_LINES: Final = b"Content-Type: %b\r\n" % _PLAIN_JSON + _ANSWER_LINES
_UNKNOWN_PAGE: Final = b"<UnknownOperationException/>\n"
_TARGETS: Final[dict[bytes, tuple[str, Action]]] = {
    (TARGET_PREFIX + name).encode(): (name, action) for name, action in ACTIONS.items()
}
_ASKS_FOR_HOST: Final = "DescribeEndpoints"
_log = logging.getLogger("keystead.api")


def make_handler(
    backend: Backend, auth: Authenticator | None = None, metrics_hook: MetricsHook | None = None
) -> Handler:
    """The handler. `auth` None: any credentials, or none, will do."""
    service_model()  # 20 ms: not in the first request that needs it
    shared = Context(backend)
    request_ids = _request_ids()

    async def handle(request: Request) -> Answer:
        headers = request.headers
        content_type = headers.get(b"content-type", b"")
        if request.method != b"POST" or (content_type != _AMZ_JSON and not _is_json(content_type, request)):
            return _page(request, next(request_ids))
        body = request.body
        started = time.perf_counter()
        status = 200
        error_kind = ""
        context = shared
        operation, action = _TARGETS.get(headers.get(b"x-amz-target", b""), _NO_OPERATION)
        try:
            if auth is not None and operation:
                parse_body(body)
                auth(_signed_request(request))
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
        return Answer(status, lines % (next(request_ids), zlib.crc32(answer)), answer)

    return handle


async def _unknown_operation(_context: Context, body: bytes) -> bytes:
    parse_body(body or b"{}")
    raise UnknownOperation


_NO_OPERATION: Final[tuple[str, Action]] = ("", _unknown_operation)


def _is_json(content_type: bytes, request: Request) -> bool:
    if content_type.partition(b";")[0].strip() in (_AMZ_JSON, _PLAIN_JSON):
        return True
    return not request.body


def _page(request: Request, request_id: bytes) -> Answer:
    if request.method == b"GET":
        body, status = b"healthy: %b " % request.headers.get(b"host", b"keystead"), 200
    else:
        body, status = _UNKNOWN_PAGE, 404
    return Answer(status, _ANSWER_LINES % (request_id, zlib.crc32(body)), body)


def _signed_request(request: Request) -> SignedRequest:
    path, _, query = request.target.decode("ascii").partition("?")
    headers = {name.decode("ascii"): value.decode("utf-8", "replace") for name, value in request.headers.items()}
    return SignedRequest(request.method.decode("ascii"), path, query, headers, request.body)


def _request_ids() -> Iterator[bytes]:
    """52 characters each, as the service's: random for the process, then counted."""
    prefix = base64.b32encode(secrets.token_bytes(25))
    return map((prefix + b"%012d").__mod__, itertools.count(1))
