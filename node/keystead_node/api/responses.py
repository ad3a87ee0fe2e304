"""An answer on the wire: head and body in one write, without aiohttp's header objects.

aiohttp's low-level server asks three things of what a handler returns: `prepare`, `write_eof` and `keep_alive`. Its own
Response spends about 25 us on them for a message whose head is the same in every answer but for a few fields.
"""

from http import HTTPStatus
from typing import Final

from aiohttp import ClientConnectionResetError, HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_JOINED_BYTES_MAX: Final = 64 * 1024


class Answer:
    """One answer; `headers` are lines, each with its CRLF. Content-Length and Date are added here."""

    __slots__ = ("_body", "_headers", "_request", "keep_alive", "status")

    def __init__(self, status: int, headers: str, body: bytes) -> None:
        self.status = status
        self.keep_alive = False
        self._headers = headers
        self._body = body
        self._request: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> None:
        """Writes head and body. Raises ConnectionError if the client is gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("the client has closed the connection")
        self._request = request
        self.keep_alive = request.keep_alive
        connection = ""
        if not self.keep_alive:
            connection = "Connection: close\r\n"
        elif request.version < HttpVersion11:
            connection = "Connection: keep-alive\r\n"
        body = self._body
        head = (
            f"{_STATUS_LINES[self.status]}\r\n{self._headers}{connection}"
            f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
        ).encode("latin-1")
        if request.method == "HEAD":
            transport.write(head)
        elif len(body) <= _JOINED_BYTES_MAX:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    async def write_eof(self) -> None:
        """Waits while the client is slower than we are, so that answers do not pile up behind it."""
        if self._request is not None:
            await self._request.writer.drain()
