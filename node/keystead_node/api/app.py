"""The HTTP side of the front: one handler for aiohttp's low-level server.

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
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from keystead_core.items import ItemError
from keystead_node.api.actions import ACTIONS, Action
from keystead_node.api.auth import Authenticator, SignedRequest
from keystead_node.api.backend import Backend
from keystead_node.api.context import Context
from keystead_node.api.errors import ApiError, InternalServerError, UnknownOperation, ValidationException
from keystead_node.api.request_types import parse_body
from keystead_node.api.responses import Answer
from keystead_node.api.service_model import TARGET_PREFIX, service_model

REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024

Handler = Callable[[web.BaseRequest], Awaitable[Answer]]
MetricsHook = Callable[[str, str, float], None]
"""Called after each operation with its name, the error's kind or "", and the seconds it took."""

_AMZ_JSON: Final = "application/x-amz-json-1.0"
_PLAIN_JSON: Final = "application/json"
_UNKNOWN_PAGE: Final = b"<UnknownOperationException/>\n"
_TARGETS: Final[dict[str, tuple[str, Action]]] = {
    TARGET_PREFIX + name: (name, action) for name, action in ACTIONS.items()
}
_log = logging.getLogger("keystead.api")


def make_handler(
    backend: Backend, auth: Authenticator | None = None, metrics_hook: MetricsHook | None = None
) -> Handler:
    """The handler. `auth` None: any credentials, or none, will do."""
    service_model()  # 20 ms: not in the first request that needs it
    context = Context(backend)
    request_ids = _request_ids()

    async def handle(request: web.BaseRequest) -> Answer:
        headers = request.headers
        content_type = headers.get("Content-Type", "")
        if request.method != "POST" or (content_type != _AMZ_JSON and not _is_json(content_type, request)):
            return _page(request, next(request_ids))
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _answer(413, "", next(request_ids), b"")
        started = time.perf_counter()
        status = 200
        error_kind = ""
        operation, action = _TARGETS.get(headers.get("X-Amz-Target", ""), _NO_OPERATION)
        try:
            if auth is not None and operation:
                parse_body(body)
                auth(_signed_request(request, body))
            answer = await action(context, body)
        except ApiError as error:
            answer, status, error_kind = error.body(), error.status, error.kind
        except ItemError as error:
            refusal = ValidationException(str(error))
            answer, status, error_kind = refusal.body(), refusal.status, refusal.kind
        except Exception:
            # The outermost loop of a request: a bug costs this client an error, not every client the node.
            _log.exception("operation %s failed", operation)
            failure = InternalServerError("Internal server error")
            answer, status, error_kind = failure.body(), failure.status, failure.kind
        if metrics_hook is not None:
            metrics_hook(operation, error_kind, time.perf_counter() - started)
        answer_type = _AMZ_JSON if content_type == _AMZ_JSON else _PLAIN_JSON
        return _answer(status, f"Content-Type: {answer_type}\r\n", next(request_ids), answer)

    return handle


def make_server(handler: Handler, **options: Any) -> web.Server:
    """A low-level server that takes requests of up to 16 MB. `options`: those of aiohttp's RequestHandler."""

    def make_request(message: Any, payload: Any, protocol: RequestHandler, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, protocol._loop, client_max_size=REQUEST_BYTES_MAX
        )

    answers_like_a_response = cast(Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], handler)
    return web.Server(answers_like_a_response, request_factory=make_request, access_log=None, **options)


async def _unknown_operation(_context: Context, body: bytes) -> bytes:
    parse_body(body or b"{}")
    raise UnknownOperation


_NO_OPERATION: Final[tuple[str, Action]] = ("", _unknown_operation)


def _is_json(content_type: str, request: web.BaseRequest) -> bool:
    if content_type.partition(";")[0].strip() in (_AMZ_JSON, _PLAIN_JSON):
        return True
    return not request.can_read_body


def _page(request: web.BaseRequest, request_id: str) -> Answer:
    if request.method == "GET":
        text = f"healthy: {request.headers.get('Host', 'keystead')} ".encode()
        status = 200
    else:
        text, status = _UNKNOWN_PAGE, 404
    return _answer(status, "", request_id, text)


def _answer(status: int, headers: str, request_id: str, body: bytes) -> Answer:
    return Answer(status, f"{headers}x-amzn-RequestId: {request_id}\r\nx-amz-crc32: {zlib.crc32(body)}\r\n", body)


def _signed_request(request: web.BaseRequest, body: bytes) -> SignedRequest:
    path, _, query = request.raw_path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return SignedRequest(request.method, path, query, headers, body)


def _request_ids() -> "itertools.chain[str] | map[str]":
    """52 characters each, as the service's: random for the process, then counted."""
    prefix = base64.b32encode(secrets.token_bytes(25)).decode()
    return map((prefix + "%012d").__mod__, itertools.count(1))
