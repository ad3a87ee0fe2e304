"""Connections of the API port, on real sockets and both event loops: order, limits, slow and rude clients, the end."""

import asyncio
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keystead_node.api.http_requests import Request
from keystead_node.api.http_server import Answer, Connection, HttpServer, Limits
from tests.api.test_http import read_answer
from tests.api.test_http_requests import mutated

BIG = b"x" * 1_000_000
HUGE = b"x" * 12_000_000
QUICK = Limits(idle_seconds=1.0, request_seconds=1.0, stall_seconds=1.0, linger_seconds=1.0, tick_seconds=0.02)


class CountingTransport:
    """A real transport that counts its writes."""

    def __init__(self, transport: Any, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class CountingConnection(Connection):
    writes: list[bytes]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(CountingTransport(transport, self.writes))  # type: ignore[arg-type]


class Served:
    """A server in a thread of its own. What a target answers:

    /echo the body; /headers the headers; /wait the body, once `release` was called; /big and /huge 1 and 12 MB; /task
    whether it runs in a task, before and after it waits; /fail and /fail-later nothing: they raise.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self.handled: list[bytes] = []
        self.finished: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.faults: list[dict[str, Any]] = []
        self.writes: list[bytes] = []
        self.loop = loop
        self.server = HttpServer(self.handle, limits)
        self._waiting: list[asyncio.Future[None]] = []
        loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self._thread = threading.Thread(target=loop.run_forever)
        self._thread.start()
        self.port: int = self.run(self._listen(tls))

    def run(self, call: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self.loop).result(10)

    async def _listen(self, tls: ssl.SSLContext | None) -> int:
        def connection() -> Connection:
            made = CountingConnection(self.server)
            made.writes = self.writes
            return made

        self._listener = await self.loop.create_server(connection, "127.0.0.1", 0, ssl=tls)
        return int(self._listener.sockets[0].getsockname()[1])

    async def handle(self, request: Request) -> Answer:
        self.handled.append(request.body)
        body = request.body
        match request.target:
            case b"/headers":
                body = repr(sorted(request.headers.items())).encode()
            case b"/wait":
                await self._wait(body)
            case b"/big":
                body = BIG
            case b"/huge":
                body = HUGE
            case b"/task":
                before = _has_task()
                await asyncio.sleep(0)
                body = f"{before} {_has_task()}".encode()
            case b"/fail":
                raise RuntimeError("planted")
            case b"/fail-later":
                await asyncio.sleep(0.001)
                raise RuntimeError("planted")
        self.finished.append(request.body)
        return Answer(200, b"X-Own: 1\r\n", body)

    async def _wait(self, body: bytes) -> None:
        released = self.loop.create_future()
        self._waiting.append(released)
        try:
            await released
        except asyncio.CancelledError:
            self.cancelled.append(body)
            raise

    def release(self) -> None:
        """Lets the first request that waits go on."""
        until(lambda: self._waiting != [])
        self.loop.call_soon_threadsafe(self._waiting.pop(0).set_result, None)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, data: bytes) -> bytes:
        """Everything that is answered to `data` until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def close(self, seconds: float = 0.0) -> None:
        self._listener.close()
        self.run(self.server.close(seconds))

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._listener.close)
        self.run(self.server.close(0.0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., Served]]:
    """Starts servers, and at the end sees that nothing went wrong in any of them unnoticed."""
    started = []

    def start(limits: Limits | None = None, tls: ssl.SSLContext | None = None) -> Served:
        loop = uvloop.new_event_loop() if request.param == "uvloop" else asyncio.new_event_loop()
        started.append(Served(loop, limits or Limits(), tls))
        return started[-1]

    yield start
    for served in started:
        served.stop()
        assert served.faults == []


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "this does not happen"
        time.sleep(0.005)


def settled(figure: Callable[[], int]) -> int:
    """The figure once it has not changed for half a second."""
    seen = -1
    while seen != (seen := figure()):
        time.sleep(0.5)
    return seen


def _has_task() -> bool:
    return asyncio.current_task() is not None


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def asked(target: str, body: bytes = b"", *lines: str) -> bytes:
    head = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def bodies(stream: Any, count: int) -> list[bytes]:
    return [read_answer(stream)[2] for _ in range(count)]


# -- order ------------------------------------------------------------------------------------------------------------


def test_answers_come_in_order_even_if_the_first_has_to_wait(served: Served) -> None:
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/wait", b"1") + asked("/echo", b"2") + asked("/wait", b"3") + asked("/echo", b"4"))
        served.release()
        assert bodies(stream, 2) == [b"1", b"2"]
        assert served.handled == [b"1", b"2", b"3"]
        served.release()
        assert bodies(stream, 2) == [b"3", b"4"]


def test_a_thousand_pipelined_requests_are_answered(served: Served) -> None:
    numbers = [str(number).encode() for number in range(1000)]
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(b"".join(asked("/echo", number) for number in numbers))
        assert bodies(stream, 1000) == numbers


def test_answers_that_are_ready_together_leave_in_one_write(served: Served) -> None:
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(b"".join(asked("/echo", b"%d" % number) for number in range(8)))
        assert bodies(stream, 8) == [b"%d" % number for number in range(8)]
        assert len(served.writes) == 1
        connection.sendall(asked("/wait", b"8") + asked("/echo", b"9"))
        served.release()
        assert bodies(stream, 2) == [b"8", b"9"]
        assert len(served.writes) == 2


def test_a_request_behind_one_that_waits_is_not_lost_when_it_comes_in_pieces(served: Served) -> None:
    second = asked("/echo", b"second")
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/wait", b"first") + second[:30])
        until(lambda: served.handled == [b"first"])
        connection.sendall(second[30:])
        time.sleep(0.05)
        served.release()
        assert bodies(stream, 2) == [b"first", b"second"]


def test_a_request_gets_a_task_only_once_it_waits(served: Served) -> None:
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/task") * 3)
        assert bodies(stream, 3) == [b"False True"] * 3


@pytest.mark.parametrize("target", ["/fail", "/fail-later"])
def test_a_handler_that_raises_costs_an_error_and_not_the_connection(served: Served, target: str) -> None:
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked(target) + asked("/echo", b"next"))
        assert read_answer(stream)[0] == 500
        assert bodies(stream, 1) == [b"next"]


# -- requests of all kinds --------------------------------------------------------------------------------------------


def test_a_large_body_and_a_chunked_one_arrive_whole(served: Served) -> None:
    body = random.Random(1).randbytes(3_000_000)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (body[:10], body[10:70_000], body[70_000:]))
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/echo", body))
        assert bodies(stream, 1) == [body]
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        )
        assert bodies(stream, 1) == [body]


def test_a_client_that_waits_to_be_told_to_continue_is_told_in_its_turn(served: Served) -> None:
    with served.connect() as connection, connection.makefile("rb") as stream:
        head = asked("/echo", b"late", "Expect: 100-continue")[: -len(b"late")]
        connection.sendall(asked("/wait", b"first") + head)
        served.release()
        assert bodies(stream, 1) == [b"first"]
        assert [stream.readline(), stream.readline()] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
        connection.sendall(b"late")
        assert bodies(stream, 1) == [b"late"]
        connection.sendall(asked("/echo", b"at once", "Expect: 100-continue"))
        assert bodies(stream, 1) == [b"at once"]


def test_a_head_request_is_answered_without_the_body_but_with_its_length(served: Served) -> None:
    answer = served.exchange(b"HEAD /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"\r\nContent-Length: 1000000\r\n" in answer and answer.endswith(b"\r\n\r\n")


def test_an_answer_has_the_date_and_the_handlers_headers(served: Served) -> None:
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/echo"))
        headers = read_answer(stream)[1]
    sent_at = datetime.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - sent_at) < timedelta(seconds=10)
    assert headers["X-Own"] == "1" and "Connection" not in headers


def test_the_last_request_of_a_client_is_answered_and_the_connection_closed(served: Served) -> None:
    answer = served.exchange(asked("/echo", b"1") + asked("/echo", b"2", "Connection: close") + asked("/echo", b"3"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.endswith(b"2")
    assert answer.count(b"Connection: close") == 1
    assert served.handled == [b"1", b"2"]


@pytest.mark.parametrize("more", [b"", asked("/echo", b"2")])
def test_a_client_that_has_closed_its_side_is_still_answered(served: Served, more: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(asked("/wait", b"1") + more)
        until(lambda: served.handled == [b"1"])
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        served.release()
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 1 + bool(more)


def test_an_offered_upgrade_is_not_taken_up_and_its_request_is_served(served: Served) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/echo", b"1", *offer) * 2 + asked("/echo", b"2"))
        assert bodies(stream, 3) == [b"1", b"1", b"2"]


def test_a_request_under_way_goes_on_when_its_client_leaves(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(asked("/wait", b"1") + asked("/echo", b"2"))
        until(lambda: served.handled == [b"1"])
    with closing(served.connect()) as other, other.makefile("rb") as stream:
        served.release()
        other.sendall(asked("/echo", b"3"))
        assert bodies(stream, 1) == [b"3"]
    until(lambda: b"1" in served.finished)
    until(lambda: not served.server.connections)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_what_is_no_request_is_answered_after_the_requests_before_it(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(asked("/wait", b"1") + b"nonsense\r\n\r\n")
        served.release()
        answer = read_all(connection)
    first, _, second = answer.partition(b"\r\n\r\n1")
    assert first.startswith(b"HTTP/1.1 200 OK") and second.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"Connection: close" in second


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000, b"431 Request Header Fields Too Large"),
        (b"POST / HTTP/1.1\r\nContent-Length: 16777217\r\n\r\n", b"413 Request Entity Too Large"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 16777217\r\nExpect: 100-continue\r\n\r\n",
            b"413 Request Entity Too Large",
        ),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", b"501 Not Implemented"),
    ],
)
def test_a_refused_client_is_told_why_and_the_connection_ends(served: Served, data: bytes, status: bytes) -> None:
    answer = served.exchange(data)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert served.handled == []


def test_a_client_that_goes_on_sending_a_body_that_is_too_large_can_read_why_it_was_refused(serve: Any) -> None:
    served = serve(Limits(body_bytes_max=1000))
    with served.connect() as connection:
        connection.sendall(asked("/echo", b"x" * 2_000_000))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_a_refused_client_that_never_closes_is_dropped(serve: Any) -> None:
    served = serve(QUICK)
    with served.connect() as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
        until(lambda: not served.server.connections)


# -- time -------------------------------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_but_not_one_that_is_used(serve: Any) -> None:
    served = serve(QUICK)
    with served.connect() as idle, served.connect() as used, used.makefile("rb") as stream:
        deadline = time.monotonic() + 1.8
        while time.monotonic() < deadline:
            used.sendall(asked("/echo", b"1"))
            assert bodies(stream, 1) == [b"1"]
            time.sleep(0.05)
        assert read_all(idle) == b""
        assert len(served.server.connections) == 1


def test_empty_lines_do_not_keep_a_connection_open(serve: Any) -> None:
    served = serve(QUICK)
    with served.connect() as connection:
        deadline = time.monotonic() + 5
        while served.server.connections or not served.server.tick:
            assert time.monotonic() < deadline
            try:
                connection.sendall(b"\r\n")
            except ConnectionError:
                break
            time.sleep(0.02)
    until(lambda: not served.server.connections)


@pytest.mark.parametrize(
    "sent", [b"POST /echo HTTP/1.1\r\nA: ", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"]
)
def test_a_request_that_trickles_in_is_given_up(serve: Any, sent: bytes) -> None:
    served = serve(QUICK)
    with served.connect() as connection:
        connection.sendall(sent)
        deadline = time.monotonic() + 5
        connection.settimeout(0.02)
        answer = b""
        while not answer:
            assert time.monotonic() < deadline
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")


def test_a_request_that_waits_for_long_is_not_given_up(serve: Any) -> None:
    served = serve(QUICK)
    with served.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/wait", b"1") + b"POST")
        time.sleep(1.5)
        served.release()
        assert bodies(stream, 1) == [b"1"]


# -- clients that do not read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_client_that_does_not_read_is_not_read_and_gets_everything_once_it_does(served: Served, size: int) -> None:
    count = 60
    with served.connect() as connection, connection.makefile("rb") as stream:
        sender = threading.Thread(target=connection.sendall, args=(asked("/big", b"y" * size) * count,))
        sender.start()
        until(lambda: len(served.handled) > 0)
        assert settled(lambda: len(served.handled)) < count // 2
        assert all(len(body) == len(BIG) for body in bodies(stream, count))
        sender.join(10)


def test_no_more_is_read_while_requests_wait_behind_another(served: Served) -> None:
    count = 1000
    with served.connect() as connection, connection.makefile("rb") as stream:
        sent = asked("/wait", b"1") + asked("/echo", b"y" * 50_000) * count
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()
        until(lambda: served.handled == [b"1"])
        (held,) = served.server.connections
        assert settled(lambda: len(held._parser.requests)) < count // 10
        served.release()
        assert bodies(stream, count + 1) == [b"1"] + [b"y" * 50_000] * count
        sender.join(10)


def test_a_client_that_takes_nothing_is_dropped(serve: Any) -> None:
    served = serve(QUICK)
    with served.connect() as connection:
        connection.sendall(asked("/big") * 20)
        until(lambda: len(served.handled) > 0)
        until(lambda: not served.server.connections)


def test_a_client_that_reads_slowly_is_not_dropped(serve: Any) -> None:
    served = serve(QUICK)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(asked("/huge", b"", "Connection: close"))
        received = 0
        while piece := connection.recv(100_000):
            received += len(piece)
            time.sleep(0.02)
    assert received > len(HUGE)


# -- the end ----------------------------------------------------------------------------------------------------------


def test_at_the_end_idle_connections_close_at_once_and_requests_under_way_are_finished(served: Served) -> None:
    with served.connect() as idle, served.connect() as busy, served.connect() as half:
        busy.sendall(asked("/wait", b"1") + asked("/echo", b"2"))
        half.sendall(asked("/echo", b"3")[:-1])
        until(lambda: served.handled == [b"1"] and len(served.server.connections) == 3)
        until(lambda: sum(connection._parser.is_reading for connection in served.server.connections) == 1)
        ending = threading.Thread(target=served.close, args=(10.0,))
        ending.start()
        assert read_all(idle) == b""
        half.sendall(b"3")
        assert read_all(half).endswith(b"\r\n\r\n3")
        served.release()
        answer = read_all(busy)
        ending.join(10)
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.endswith(b"2")
    assert answer.count(b"Connection: close") == 1
    assert not served.server.connections


def test_before_the_end_clients_are_asked_to_come_again_but_nobody_is_turned_away(served: Served) -> None:
    with served.connect() as before, served.connect() as idle:
        before.sendall(asked("/echo", b"1"))
        with before.makefile("rb") as stream:
            assert read_answer(stream)[2] == b"1"
            served.server.is_draining = True
            before.sendall(asked("/echo", b"2") + asked("/echo", b"3"))
            rest = stream.read()
        assert rest.count(b"HTTP/1.1 200 OK") == 2 and rest.endswith(b"3")
        assert rest.count(b"Connection: close") == 1
        with served.connect() as new:
            new.sendall(asked("/echo", b"4"))
            assert read_all(new).endswith(b"4")
        idle.sendall(asked("/echo", b"5"))
        assert read_all(idle).endswith(b"5")


def test_the_end_does_not_wait_for_longer_than_it_is_told(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(asked("/wait", b"1"))
        until(lambda: served.handled == [b"1"])
        served.close(0.05)
        assert read_until_gone(connection) == b""
    until(lambda: served.cancelled == [b"1"])


def read_until_gone(connection: socket.socket) -> bytes:
    try:
        return read_all(connection)
    except ConnectionResetError:
        return b""


# -- TLS --------------------------------------------------------------------------------------------------------------


def certificate(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_the_same_server_speaks_tls(serve: Any, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    served = serve(tls=context)
    client = ssl.create_default_context(cafile=str(file))
    connection = client.wrap_socket(served.connect(), server_hostname="localhost")
    with connection, connection.makefile("rb") as stream:
        connection.sendall(asked("/echo", b"1") * 3 + asked("/big"))
        assert [len(body) for body in bodies(stream, 4)] == [1, 1, 1, len(BIG)]
        connection.sendall(b"nonsense\r\n\r\n")
        assert read_answer(stream)[0] == 400


# -- anything at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_mutated_bytes_neither_hang_nor_break_the_server(serve: Any, seed: int) -> None:
    served = serve()
    generator = random.Random(seed)
    for _ in range(60):
        data = mutated(generator)
        with served.connect() as connection:
            cut = generator.randrange(len(data))
            try:
                connection.sendall(data[:cut])
                connection.sendall(data[cut:])
                connection.shutdown(socket.SHUT_WR)
            except OSError:  # refused and closed meanwhile
                pass
            answer = read_until_gone(connection)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), data
    assert b"200 OK" in served.exchange(asked("/echo", b"still here", "Connection: close"))
    until(lambda: not served.server.connections)
