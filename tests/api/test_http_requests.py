"""Requests out of bytes: however they are cut, and whatever is wrong with them."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_node.api.http_requests import Request, RequestParser, RequestRefused

PLAIN = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: T\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Amz-Target: T\r\n\r\n"
)
PAGE = b"GET /page?q=1 HTTP/1.1\r\nHost:\r\n\r\n"
OFFER = (
    b"POST /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    b"Content-Length: 3\r\n\r\nabc"
)
STREAM = PLAIN + CHUNKED + PAGE + OFFER + PLAIN + OFFER


def parsed(pieces: list[bytes], parser: RequestParser | None = None) -> list[Request]:
    parser = parser or RequestParser()
    for piece in pieces:
        parser.feed(piece)
    assert not parser.is_reading
    return list(parser.requests)


def refusal_of(pieces: list[bytes], parser: RequestParser | None = None) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        parsed(pieces, parser)
    return refused.value


@settings(max_examples=200, deadline=None)
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_requests_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    requests = parsed(pieces)
    assert requests == parsed([STREAM])
    assert [(request.target, request.body) for request in requests] == [
        (b"/", b"hello"),
        (b"/c", b"abcde"),
        (b"/page?q=1", b""),
        (b"/u", b"abc"),
        (b"/", b"hello"),
        (b"/u", b"abc"),
    ]


def test_requests_are_the_same_byte_by_byte() -> None:
    assert parsed([bytes([byte]) for byte in STREAM]) == parsed([STREAM])


def test_header_names_are_in_lower_case_and_may_have_no_value() -> None:
    (request,) = parsed([b"GET / HTTP/1.1\r\nHost: x\r\nEMPTY:\r\nX-AMZ-Target: a:b c\r\n\r\n"])
    assert request.headers == {b"host": b"x", b"empty": b"", b"x-amz-target": b"a:b c"}


def test_a_trailer_does_not_change_the_headers_of_its_request_or_of_the_next() -> None:
    first, second = parsed([CHUNKED + PAGE])
    assert first.headers == {b"host": b"x", b"transfer-encoding": b"chunked"}
    assert second.headers == {b"host": b""}


@pytest.mark.parametrize(
    ("line", "keep_alive", "answered"),
    [
        ("HTTP/1.1\r\n", True, b""),
        ("HTTP/1.1\r\nConnection: keep-alive\r\n", True, b""),
        ("HTTP/1.1\r\nConnection: Close\r\n", False, b"Connection: close\r\n"),
        ("HTTP/1.0\r\n", False, b"Connection: close\r\n"),
        ("HTTP/1.0\r\nConnection: Keep-Alive\r\n", True, b"Connection: keep-alive\r\n"),
    ],
)
def test_the_client_says_whether_the_connection_goes_on(line: str, keep_alive: bool, answered: bytes) -> None:
    (request,) = parsed([f"GET / {line}Host: x\r\n\r\n".encode()])
    assert (request.keep_alive, request.connection_line) == (keep_alive, answered)


@pytest.mark.parametrize("together", [True, False])
def test_what_follows_a_clients_last_request_is_ignored(together: bool) -> None:
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    pieces = [last + PLAIN] if together else [last, PLAIN]
    assert len(parsed(pieces)) == 1


def test_an_upgrade_that_is_offered_with_the_last_request_does_not_hide_the_end() -> None:
    last = OFFER.replace(b"Connection: Upgrade", b"Connection: close, Upgrade")
    for pieces in ([last + PLAIN], [last[:-1], last[-1:] + PLAIN]):
        (request,) = parsed(pieces)
        assert (request.body, request.keep_alive) == (b"abc", False)


@pytest.mark.parametrize(
    "wrong",
    [
        b"hello\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_the_requests_before_it_stand(wrong: bytes) -> None:
    parser = RequestParser()
    refusal = refusal_of([PLAIN + wrong], parser)
    assert (refusal.status, len(parser.requests)) == (400, 1)
    assert refusal.reason


def test_a_tunnel_is_refused() -> None:
    assert refusal_of([b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"]).status == 501


HUGE_HEADS = {
    "one header": [b"GET / HTTP/1.1\r\nA: " + b"x" * 2000 + b"\r\n\r\n"],
    "many headers": [b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 400 + b"\r\n"],
    "a long target": [b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n"],
    "a header without end": [b"GET / HTTP/1.1\r\nA: ", *[b"x" * 100] * 20],
    "headers without end": [b"GET / HTTP/1.1\r\n", *[b"A: b\r\n"] * 400],
    "a target without end": [b"GET /", *[b"x" * 100] * 20],
    "a trailer without end": [CHUNKED[:-2], *[b"A: b\r\n"] * 400],
    "a trailer's line without end": [CHUNKED[:-2] + b"A: ", *[b"x" * 100] * 20],
    "a chunk's extension without end": [CHUNKED[: CHUNKED.index(b"=b")], *[b"x" * 100] * 20],
}


@pytest.mark.parametrize("pieces", HUGE_HEADS.values(), ids=HUGE_HEADS)
def test_a_head_or_trailer_over_the_limit_is_refused(pieces: list[bytes]) -> None:
    assert refusal_of(pieces, RequestParser(head_bytes_max=1000)).status == 431


def test_a_head_at_the_limit_and_many_small_pieces_of_a_body_are_taken() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nA: " + b"x" * 900 + b"\r\n\r\n"
    pieces = [head] + [b"1\r\n", b"x\r\n"] * 1000 + [b"0\r\n\r\n"]
    (request,) = parsed(pieces, RequestParser(head_bytes_max=1000))
    assert request.body == b"x" * 1000


def test_a_body_over_the_limit_is_refused_at_its_head_or_at_the_chunk_that_is_too_much() -> None:
    announced = b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n"
    assert refusal_of([announced], RequestParser(body_bytes_max=100)).status == 413
    chunks = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"14\r\n" + b"x" * 20 + b"\r\n"
    more = b"14\r\n" + b"x" * 20 + b"\r\n"
    assert refusal_of([chunks] + [more] * 5, RequestParser(body_bytes_max=100)).status == 413
    (request,) = parsed([chunks] + [more] * 4 + [b"0\r\n\r\n"], RequestParser(body_bytes_max=100))
    assert len(request.body) == 100


def test_only_an_announced_body_that_has_not_come_is_waited_for() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    parser = RequestParser()
    parser.feed(head)
    assert parser.continue_due
    parser.feed(b"a")
    assert not parser.continue_due
    parser.feed(b"b" + head + b"a")
    assert not parser.continue_due and parser.is_reading


def mutated(generator: random.Random) -> bytes:
    """The stream of requests with bytes changed, cut out, doubled and put in."""
    data = bytearray(STREAM)
    for _ in range(generator.choice((1, 1, 2, 5, 20))):
        at = generator.randrange(len(data))
        match generator.randrange(5):
            case 0:
                data[at] = generator.randrange(256)
            case 1:
                del data[at : at + generator.randrange(1, 30)]
            case 2:
                data[at:at] = data[at : at + generator.randrange(1, 60)]
            case 3:
                data[at:at] = generator.randbytes(generator.randrange(1, 10))
            case 4:
                data[at:at] = generator.choice((b"\r\n", b"\r\n\r\n", b":", b"0\r\n\r\n", b"Upgrade: x\r\n", b" "))
        data = data or bytearray(b"G")
    return bytes(data)


@pytest.mark.parametrize("seed", range(20))
def test_mutated_bytes_are_parsed_or_refused_alike_however_they_are_cut(seed: int) -> None:
    generator = random.Random(seed)
    outcomes = set()
    for _ in range(100):
        data = mutated(generator)
        cut = generator.randrange(len(data))
        results = []
        for pieces in ([data], [data[:cut], data[cut:]]):
            parser, status = RequestParser(), 0
            try:
                for piece in pieces:
                    parser.feed(piece)
            except RequestRefused as refusal:
                status = refusal.status
            results.append((status, list(parser.requests)))
        assert results[0] == results[1], data
        outcomes.add(results[0][0])
    assert {0, 400} <= outcomes
