"""HTTP/1.1 on the API port: connections, their order, their limits and their end.

`HttpServer(handler)` is the protocol factory for `loop.create_server` (with `ssl=` for TLS). A handler takes a Request
and returns an Answer; what it raises is a bug, logged and answered 500. Requests of one connection are handled one
after the other and answered in their order; answers ready in one turn of the event loop leave in one write.

A handler is started by hand, and gets a task of its own only if it has to wait. Its steps up to its first wait
therefore run outside any task: there, `asyncio.timeout` and `asyncio.current_task` are not to be had.

Bounds. Of memory: while a request waits behind another, or the client does not read its answers, its connection is not
read. Of time: one timer for all connections counts ticks; a connection that is idle, a request that arrives too slowly
and answers that are not taken each have their limit (Limits). What is no request is answered by an error, after the
answers to the requests before it, and the connection ends: not at once, because a close with bytes unread would take
the error away from the client, but when the client has closed too, or has had its time.
"""

import asyncio
import logging
import types
from collections.abc import Callable, Coroutine, Generator
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec

from keystead_node.api.http_requests import (
    BODY_BYTES_MAX,
    CLOSE_LINE,
    HEAD_BYTES_MAX,
    Request,
    RequestParser,
    RequestRefused,
)

_TURN_REQUESTS_MAX: Final = 32
_TURN_BYTES_MAX: Final = 256 * 1024
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_log = logging.getLogger("keystead.api")


class Answer(msgspec.Struct, gc=False):
    """One answer; `headers` are lines, each with its CRLF. The server adds Date, Connection and Content-Length."""

    status: int
    headers: bytes
    body: bytes


Handler = Callable[[Request], Coroutine[Any, Any, Answer]]


class Limits(msgspec.Struct, frozen=True):
    """What a connection may take. Times are seconds, counted in ticks of `tick_seconds`: up to one more may pass."""

    idle_seconds: float = 75.0
    """Without a request."""
    request_seconds: float = 60.0
    """From a request's first line to its last byte."""
    stall_seconds: float = 60.0
    """Without taking a byte of the answers that wait."""
    linger_seconds: float = 5.0
    """For a client that was refused, to read why and close."""
    tick_seconds: float = 1.0
    head_bytes_max: int = HEAD_BYTES_MAX
    body_bytes_max: int = BODY_BYTES_MAX


class HttpServer:
    """All connections of one listening port."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.connections: set[Connection] = set()
        self.is_closing = False
        self.is_draining = False
        """Answers ask their clients to come again over another connection, which may lead elsewhere."""
        self.tick = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heads: dict[int, bytes] = {}
        self._emptied: asyncio.Future[None] | None = None

    def __call__(self) -> "Connection":
        return Connection(self)

    def add(self, connection: "Connection") -> None:
        self.connections.add(connection)
        if self._timer is None:
            self._heads.clear()
            self._start_timer()

    def remove(self, connection: "Connection") -> None:
        self.connections.discard(connection)
        if not self.connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def head(self, status: int) -> bytes:
        """Status line and Date, made once per tick."""
        head = self._heads.get(status)
        if head is None:
            head = self._heads[status] = f"{_STATUS_LINES[status]}Date: {formatdate(usegmt=True)}\r\n".encode()
        return head

    async def close(self, seconds: float) -> None:
        """Ends all connections: idle ones now, others after the requests they have begun, all after `seconds`.

        The listening socket is the caller's, and closed before.
        """
        self.is_closing = True
        for connection in tuple(self.connections):
            connection.end_when_idle()
        if self.connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._emptied,), timeout=seconds)
        for connection in tuple(self.connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()

    def _on_tick(self) -> None:
        self.tick += 1
        self._heads.clear()
        for connection in tuple(self.connections):
            connection.on_tick()
        self._timer = None
        if self.connections:
            self._start_timer()

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.limits.tick_seconds, self._on_tick)


class Connection(asyncio.Protocol):
    """One client. `_since`: the tick of the last event that its present limit of time counts from."""

    __slots__ = (
        "_has_eof",
        "_has_said_close",
        "_is_busy",
        "_is_lingering",
        "_is_reading_paused",
        "_is_writing_paused",
        "_parser",
        "_refusal",
        "_server",
        "_since",
        "_task",
        "_transport",
        "_unsent_bytes",
    )

    _transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        limits = server.limits
        self._server = server
        self._parser = RequestParser(limits.head_bytes_max, limits.body_bytes_max)
        self._is_busy = False  # a request is being handled, or the next turn is already due
        self._is_writing_paused = False
        self._is_reading_paused = False
        self._is_lingering = False
        self._has_eof = False
        self._has_said_close = False
        self._refusal: RequestRefused | None = None
        self._task: asyncio.Task[None] | None = None
        self._since = 0
        self._unsent_bytes = 0

    # -- what the transport calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._parser.source = str(peer[0]) if peer else ""
        self._since = self._server.tick
        self._server.add(self)
        if self._server.is_closing:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        parser = self._parser
        was_reading = parser.is_reading
        try:
            parser.feed(data)
        except RequestRefused as refusal:
            self._refusal = refusal
        if not was_reading and parser.is_reading:
            self._since = self._server.tick
        if self._is_busy or self._is_writing_paused:
            if parser.requests or self._refusal is not None:
                self._pause_reading()
        else:
            self._serve([])

    def eof_received(self) -> bool:
        """True, which keeps our side open, while answers are due. Not over TLS: it has no half-closed connections."""
        self._has_eof = True
        answers_due = self._is_busy or bool(self._parser.requests)
        return answers_due and self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        self._since, self._unsent_bytes = self._server.tick, self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._since = self._server.tick
        if not self._is_busy:
            self._call_next_turn()  # not now: asyncio's transport does not bear a close from in here

    def connection_lost(self, exc: Exception | None) -> None:
        # A request under way goes on: it may be a write that others already count on.
        self._parser.close()
        self._refusal = None
        self._server.remove(self)

    # -- requests -------------------------------------------------------------------------------------------------

    def _serve(self, answers: list[bytes]) -> None:
        """Handles what has been read until a request has to wait or the turn is full, and writes all answers."""
        requests = self._parser.requests
        answers_bytes = 0
        while requests and not self._is_writing_paused:
            if len(answers) >= _TURN_REQUESTS_MAX or answers_bytes >= _TURN_BYTES_MAX:
                self._call_next_turn()
                break
            request = requests.popleft()
            call = self._server.handler(request)
            try:
                waited_for = call.send(None)
            except StopIteration as returned:
                answers.append(self._encode(request, returned.value))
            except Exception:
                # The outermost loop of a request: a bug costs this client an error, not every client the node.
                answers.append(self._encode(request, _failure()))
            else:
                self._is_busy = True
                self._task = asyncio.get_running_loop().create_task(self._finish(request, call, waited_for))
                break
            answers_bytes += len(answers[-1])
        if answers:
            self._since = self._server.tick
            if not self._transport.is_closing():
                self._transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
        if not requests and not self._is_busy:
            self._on_all_answered()

    def _call_next_turn(self) -> None:
        self._is_busy = True
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_busy = False
        self._serve([])

    async def _finish(self, request: Request, call: Coroutine[Any, Any, Answer], waited_for: Any) -> None:
        try:
            answer = await _rest_of(call, waited_for)
        except Exception:
            answer = _failure()
        self._task = None
        encoded = self._encode(request, answer)
        if self._parser.requests:
            # Not from here: the next handler's first step would run inside this one's task.
            asyncio.get_running_loop().call_soon(self._serve_on, encoded)
        else:
            self._serve_on(encoded)

    def _serve_on(self, answer: bytes) -> None:
        self._is_busy = False
        self._serve([answer])

    def _encode(self, request: Request, answer: Answer) -> bytes:
        connection_line = request.connection_line
        server = self._server
        if (server.is_closing or server.is_draining) and not self._parser.requests:
            connection_line = CLOSE_LINE
            self._has_said_close = True
        body = answer.body
        return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (
            self._server.head(answer.status),
            answer.headers,
            connection_line,
            len(body),
            body if request.method != b"HEAD" else b"",
        )

    def _on_all_answered(self) -> None:
        """Nothing is being handled and nothing waits: what else is due?"""
        parser = self._parser
        if self._transport.is_closing():
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif parser.has_ended or self._has_eof or (self._ends_here() and not parser.is_reading):
            self._transport.close()
        else:
            if parser.continue_due:
                parser.continue_due = False
                self._transport.write(_CONTINUE)
            if self._is_reading_paused and not self._is_writing_paused:
                self._resume_reading()

    def _ends_here(self) -> bool:
        return self._has_said_close or self._server.is_closing

    # -- the end --------------------------------------------------------------------------------------------------

    def on_tick(self) -> None:
        """Ends the connection if its time is up."""
        limits = self._server.limits
        seconds = (self._server.tick - self._since) * limits.tick_seconds
        if self._is_writing_paused or self._transport.is_closing():
            unsent_bytes = self._transport.get_write_buffer_size()
            if unsent_bytes < self._unsent_bytes:
                self._since = self._server.tick
            elif seconds > limits.stall_seconds:
                self._transport.abort()
            self._unsent_bytes = unsent_bytes
        elif self._is_lingering:
            if seconds > limits.linger_seconds:
                self._transport.abort()
        elif self._is_busy or self._parser.requests:
            self._since = self._server.tick
        elif self._parser.is_reading:
            if seconds > limits.request_seconds:
                self._refuse(RequestRefused(408, "The request did not arrive in time"))
        elif seconds > limits.idle_seconds:
            self._transport.close()

    def end_when_idle(self) -> None:
        """For the server's end: requests that have begun are answered first."""
        if not self._is_busy and not self._parser.requests:
            self._on_all_answered()

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def _refuse(self, refusal: RequestRefused) -> None:
        """Answers what is no request and stops listening to the client, but lets it read the answer."""
        self._refusal = None
        self._parser.close()
        self._is_lingering = True
        self._since = self._server.tick
        body = f"{refusal.reason}\n".encode()
        head = b"%bContent-Type: text/plain\r\n%bContent-Length: %d\r\n\r\n" % (
            self._server.head(refusal.status),
            CLOSE_LINE,
            len(body),
        )
        self._transport.write(head + body)
        if self._has_eof or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = False
            self._transport.resume_reading()


@types.coroutine
def _rest_of(call: Coroutine[Any, Any, Answer], waited_for: Any) -> Generator[Any, Any, Answer]:
    """The rest of a coroutine that was started by hand and has yielded `waited_for`, for a task to run."""
    while True:
        try:
            yield waited_for
        except BaseException as error:
            # The task is cancelled, or what was waited for is none of asyncio's: the coroutine hears of it.
            try:
                waited_for = call.throw(error)
            except StopIteration as returned:
                return cast(Answer, returned.value)
        else:
            answer: Answer = yield from call
            return answer


def _failure() -> Answer:
    _log.exception("a handler failed")
    return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"", b"")
