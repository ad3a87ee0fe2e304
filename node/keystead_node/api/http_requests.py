"""Requests out of bytes: what HTTP/1.1 says of framing, without a socket (llhttp through httptools does the parsing).

Bytes go in by `RequestParser.feed`; whole requests come out in `requests`, in order. Bounded: a head (and a chunked
body's trailer) has at most `head_bytes_max` bytes, a body at most `body_bytes_max`, and what is being read holds no
more memory than those and one read from the socket. Anything that is no request, or is over a limit, raises
RequestRefused, after which the parser takes nothing more; the requests before it stand. An upgrade that a client offers
is not taken up: its request is served as if it had not been offered.
"""

from collections import deque
from typing import Final

import httptools
import msgspec

HEAD_BYTES_MAX: Final = 32 * 1024
BODY_BYTES_MAX: Final = 16 * 1024 * 1024

CLOSE_LINE: Final = b"Connection: close\r\n"
KEEP_ALIVE_LINE: Final = b"Connection: keep-alive\r\n"


class Request(msgspec.Struct, gc=False):
    """One request. `headers`: by name in lower case; of a header sent twice the last. `target` is as sent.

    `connection_line` is the line that the answer owes to what the client said of the connection, if any. `source`: the
    address at the other end of the connection.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    connection_line: bytes
    source: str = ""


class RequestRefused(Exception):
    """The bytes are no request that is served here: `status` answers them and the connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestParser:
    """The reading half of one connection.

    `is_reading`: a request has begun and is not complete. `continue_due`: its client waits for `100 Continue`.
    `has_ended`: the client said that the last request is its last; what follows is ignored. `source`: what its requests
    have as theirs.
    """

    __slots__ = (
        "_body",
        "_body_bytes_max",
        "_fed_bytes",
        "_head_bytes",
        "_head_bytes_max",
        "_headers",
        "_in_head",
        "_parser",
        "_progress",
        "_refusal",
        "_target",
        "continue_due",
        "has_ended",
        "is_reading",
        "requests",
        "source",
    )

    def __init__(self, head_bytes_max: int = HEAD_BYTES_MAX, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self.requests: deque[Request] = deque()
        self.is_reading = False
        self.continue_due = False
        self.has_ended = False
        self.source = ""
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max
        self._in_head = False
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._head_bytes = 0
        self._progress = 0
        self._fed_bytes = 0
        self._refusal: RequestRefused | None = None  # of a callback: the parser hides what its callbacks raise
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Takes what came from the client. Raises RequestRefused."""
        if self._parser is None or self.has_ended:
            return
        progress = self._progress
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrades(data, upgrade.args[0])
        except httptools.HttpParserError as error:
            self._raise_refusal(error)
        if self.is_reading and self._progress == progress:
            # Neither a new request nor a piece of a body: a head, a trailer or a chunk's extension that goes on.
            self._fed_bytes += len(data)
            if self._fed_bytes > self._head_bytes_max:
                raise self._head_too_large()
        else:
            self._fed_bytes = 0

    def close(self) -> None:
        """Gives up what is being read, and the tie between this object and the parser's callbacks."""
        self.requests.clear()
        self.is_reading = self.continue_due = False
        self._body = b""
        self._parser = None

    # -- what the parser calls ------------------------------------------------------------------------------------

    def on_url(self, piece: bytes) -> None:
        if self.is_reading:
            self._target += piece
        else:
            self.is_reading = self._in_head = True
            self._target = piece
            self._headers = {}
            self._head_bytes = 0
            self._progress += 1
        self._head_bytes += len(piece)
        if self._head_bytes > self._head_bytes_max:
            raise self._head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._head_bytes_max:
            raise self._head_too_large()
        if self._in_head:  # A trailer is read over: it may not change what the head said.
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._in_head = False
        headers = self._headers
        if int(headers.get(b"content-length", b"0")) > self._body_bytes_max:
            raise self._body_too_large()
        assert self._parser is not None, "called by the parser"
        if b"host" not in headers and self._parser.get_http_version() == "1.1":
            raise self._refuse(400, "A request of HTTP/1.1 has a Host header")
        if b"expect" in headers:
            self.continue_due = headers[b"expect"].lower() == b"100-continue"

    def on_body(self, piece: bytes) -> None:
        self._progress += 1
        self.continue_due = False
        body = self._body
        if not body:
            self._body = piece
        else:
            if isinstance(body, bytes):
                body = self._body = bytearray(body)
            body += piece
        if len(self._body) > self._body_bytes_max:
            raise self._body_too_large()

    def on_message_complete(self) -> None:
        parser, headers, body = self._parser, self._headers, self._body
        assert parser is not None, "called by the parser"
        keep_alive = parser.should_keep_alive()
        connection_line = b""
        if not keep_alive:
            connection_line = CLOSE_LINE
            self.has_ended = True
        elif b"connection" in headers and parser.get_http_version() == "1.0":
            connection_line = KEEP_ALIVE_LINE
        self._body = b""
        self.is_reading = self.continue_due = False
        body = body if isinstance(body, bytes) else bytes(body)
        request = Request(parser.get_method(), self._target, headers, body, keep_alive, connection_line, self.source)
        self.requests.append(request)

    # -- exceptions to the rule -----------------------------------------------------------------------------------

    def _decline_upgrades(self, data: bytes, offset: int) -> None:
        """The parser takes a request that offers an upgrade for one without a body: read again, without the offer."""
        rest = memoryview(data)
        while True:
            rest = rest[offset:]
            request = self.requests.pop()
            if request.method == b"CONNECT":
                raise RequestRefused(501, "CONNECT is not served")
            lines = [b"%b %b HTTP/1.1" % (request.method, request.target)]
            lines += [b"%b: %b" % header for header in request.headers.items() if header[0] != b"upgrade"]
            self.has_ended = False
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n")
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                offset = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._raise_refusal(error)
                return

    def _raise_refusal(self, error: httptools.HttpParserError) -> None:
        """Raises RequestRefused, unless all that is wrong is that bytes follow a client's last request."""
        if self._refusal is not None:
            raise self._refusal from None
        if isinstance(error, httptools.HttpParserCallbackError):
            raise error
        if not self.has_ended:
            raise RequestRefused(400, str(error)) from None

    def _refuse(self, status: int, reason: str) -> RequestRefused:
        self._refusal = RequestRefused(status, reason)
        return self._refusal

    def _head_too_large(self) -> RequestRefused:
        return self._refuse(431, f"The head of a request may have {self._head_bytes_max} bytes")

    def _body_too_large(self) -> RequestRefused:
        return self._refuse(413, f"A request may have {self._body_bytes_max} bytes")
