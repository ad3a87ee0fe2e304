"""The proxies between nodes pass, hold, delay and break what goes through them, each direction by itself."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.links import Links

ANSWER_SECONDS_MAX = 20.0
SILENCE_SECONDS = 0.5


class Echo(threading.Thread):
    """A server that answers each line with itself, and counts what it got."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.received = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        while data := connection.recv(4096):
            self.received += len(data)
            connection.sendall(data)


@pytest.fixture
def links() -> Iterator[Links]:
    found = Links()
    found.resolve = lambda port: "b"
    yield found
    found.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    server.start()
    yield server
    server.listener.close()


def dial(links: Links, port: int) -> socket.socket:
    host, _, control_port = links.address.rpartition(":")
    with socket.create_connection((host, int(control_port))) as control:
        control.sendall(f"a {port}\n".encode())
        way = int(control.makefile().readline())
    connection = socket.create_connection(("127.0.0.1", way))
    connection.settimeout(ANSWER_SECONDS_MAX)
    return connection


def ask(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(100)


def ask_in_vain(connection: socket.socket, text: bytes) -> None:
    """What is said is not answered."""
    connection.settimeout(SILENCE_SECONDS)
    with pytest.raises(TimeoutError):
        ask(connection, text)
    connection.settimeout(ANSWER_SECONDS_MAX)


def test_bytes_pass_while_nothing_is_cut(links: Links, echo: Echo) -> None:
    assert ask(dial(links, echo.port), b"hello") == b"hello"


def test_a_cut_holds_what_is_said_until_it_is_healed(links: Links, echo: Echo) -> None:
    connection = dial(links, echo.port)
    assert ask(connection, b"one") == b"one"
    links.cut("a", "b")
    ask_in_vain(connection, b"two")
    assert echo.received == 3
    links.heal()
    assert connection.recv(100) == b"two"
    assert links.bytes_held == 3


def test_a_one_way_cut_lets_the_other_way_pass(links: Links, echo: Echo) -> None:
    connection = dial(links, echo.port)
    assert ask(connection, b"one") == b"one"
    links.cut_one_way("b", "a")
    ask_in_vain(connection, b"two")
    assert echo.received == 6
    links.heal()
    assert connection.recv(100) == b"two"


def test_a_cut_with_reset_breaks_the_connections_of_the_link(links: Links, echo: Echo) -> None:
    connection = dial(links, echo.port)
    assert ask(connection, b"one") == b"one"
    links.cut("a", "b", reset=True)
    with pytest.raises(ConnectionError):
        assert connection.recv(100) == b""
        raise ConnectionError


def test_a_slow_link_delays_each_way(links: Links, echo: Echo) -> None:
    connection = dial(links, echo.port)
    assert ask(connection, b"one") == b"one"
    links.slow("a", "b", delay_ms=100)
    started = time.monotonic()
    assert ask(connection, b"two") == b"two"
    assert time.monotonic() - started >= 0.2
