"""What is answered to requests that are no operation: load balancers, browsers that ask first (CORS), and lost ones.

    GET, HEAD *               200 healthy: <host>
    OPTIONS * with an Origin  200, whatever origin, method and headers the browser asks for
    else                      404

A browser may read any answer: what guards the API is the signature, which a page of another origin cannot make.
"""

import zlib
from typing import Final

from keystead_node.api.http_requests import Request
from keystead_node.api.http_server import Answer

ORIGIN_LINE: Final = b"Access-Control-Allow-Origin: *\r\n"
ANSWER_LINES: Final = b"x-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\n"
_ID_LINE: Final = b"x-amzn-RequestId: %b\r\n"
_PREFLIGHT: Final = (
    (b"access-control-request-headers", b"Access-Control-Allow-Headers: %b\r\n"),
    (b"access-control-request-method", b"Access-Control-Allow-Methods: %b\r\n"),
)
_REMEMBERED_LINE: Final = b"Access-Control-Max-Age: 172800\r\n"
_UNKNOWN_PAGE: Final = b"<UnknownOperationException/>\n"


def plain_answer(request: Request, request_id: bytes) -> Answer:
    headers = request.headers
    origin_line = ORIGIN_LINE if b"origin" in headers else b""
    if request.method == b"OPTIONS" and origin_line:
        asked = [line % headers[name] for name, line in _PREFLIGHT if headers.get(name)]
        return Answer(200, b"".join((_ID_LINE % request_id, origin_line, *asked, _REMEMBERED_LINE)), b"")
    if request.method in (b"GET", b"HEAD"):
        body, status = b"healthy: %b " % headers.get(b"host", b"keystead"), 200
    else:
        body, status = _UNKNOWN_PAGE, 404
    return Answer(status, origin_line + ANSWER_LINES % (request_id, zlib.crc32(body)), body)
