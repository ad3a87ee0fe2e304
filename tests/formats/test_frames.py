"""Frames between nodes: they come back however the bytes are cut, and damaged ones raise FrameError alone."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.replication.messages import Message
from keystead_node.transport import codec
from keystead_node.transport.requests import Answer, Request
from tests.formats.strategies import damaged, values_of

ids = st.integers(0, 2**32 - 1)
hellos = values_of(codec.Hello)
messages = st.one_of([values_of(kind) for kind in get_args(Message)])
requests = st.one_of([values_of(kind) for kind in get_args(Request)])
answers = values_of(Answer)
frames = st.one_of(
    hellos.map(lambda hello: (codec.encode_hello(hello), (codec.HELLO, 0, hello))),
    messages.map(lambda message: (codec.encode_core_message(message), (codec.MESSAGE, 0, message))),
    st.builds(lambda n, body: (codec.encode_request(n, body), (codec.REQUEST, n, body)), ids, requests),
    st.builds(lambda n, body: (codec.encode_answer(n, body), (codec.ANSWER, n, body)), ids, answers),
)


@given(st.lists(frames, max_size=4), st.data())
@settings(max_examples=200)
def test_frames_come_back_however_the_bytes_are_cut(
    several: list[tuple[bytes, codec.Frame]], data: st.DataObject
) -> None:
    blob = b"".join(encoded for encoded, _ in several)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(blob)), max_size=5)))
    reader = codec.FrameReader()
    found = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(blob)], strict=True)
        for frame in reader.feed(blob[start:end])
    ]
    assert found == [frame for _, frame in several]


@given(frames, st.data())
@settings(max_examples=400)
def test_damaged_frames_are_frames_or_a_frame_error(frame: tuple[bytes, codec.Frame], data: st.DataObject) -> None:
    try:
        found = codec.FrameReader().feed(data.draw(damaged(frame[0])))
    except codec.FrameError:
        return
    assert all(kind in (codec.HELLO, codec.MESSAGE, codec.REQUEST, codec.ANSWER) for kind, _, _ in found)


def test_a_frame_too_long_is_refused_before_its_bytes_are_there() -> None:
    with pytest.raises(codec.FrameError):
        codec.FrameReader().feed((codec.FRAME_BYTES_MAX + 1).to_bytes(4, "little") + b"\x02")


def test_a_hello_that_is_no_utf8_is_a_frame_error() -> None:
    whole = codec.encode_hello(codec.Hello("cluster", "node", 1))
    with pytest.raises(codec.FrameError):
        codec.FrameReader().feed(whole.replace(b"node", b"\xff\xfe\xfd\xfc"))
