"""Messages between nodes: each comes back as it was sent, and no damaged bytes do anything but raise MessageError."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.ids import PartitionId, ReplicaId
from keystead_core.replication.messages import (
    EligibilityRequest,
    Message,
    MessageError,
    decode_message,
    encode_message,
)
from tests.formats.strategies import damaged, values_of

KINDS = get_args(Message)
any_message = st.one_of([values_of(kind) for kind in KINDS])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=40)
def test_a_message_comes_back_as_it_was_sent(kind: Any, data: st.DataObject) -> None:
    message = data.draw(values_of(kind))
    assert decode_message(encode_message(message)) == message


def test_the_numbers_of_messages_are_distinct_and_stay() -> None:
    tags = {kind.__name__: kind.__struct_config__.tag for kind in KINDS}
    assert sorted(tags.values()) == list(range(1, 21))
    assert (tags["Append"], tags["Appended"], tags["Support"], tags["Heartbeat"]) == (1, 2, 9, 13)


@given(data=st.data())
@settings(max_examples=400)
def test_damaged_bytes_are_a_message_or_a_message_error(data: st.DataObject) -> None:
    whole = encode_message(data.draw(any_message))
    try:
        found = decode_message(data.draw(damaged(whole)))
    except MessageError:
        return
    assert isinstance(found, KINDS)


@given(st.binary(max_size=200))
def test_bytes_of_any_origin_are_a_message_or_a_message_error(data: bytes) -> None:
    try:
        found = decode_message(data)
    except MessageError:
        return
    assert isinstance(found, KINDS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x91" * 100_000,  # Arrays in arrays.
        b"\x95\x0f\x01\x02\x03\xc3\xa2\xff\xfe",  # A text that is no UTF-8.
        b"\x98\x01\x01\x01\x01\x01\xc0\x01\xc6\xff\xff\xff\xff",  # Four gigabytes that are not there.
        b"\xdd\xff\xff\xff\xff\x01",  # As many elements.
    ],
)
def test_bytes_made_to_hurt_are_a_message_error(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode_message(data)


def test_a_text_that_is_no_utf8_is_a_message_error() -> None:
    whole = encode_message(EligibilityRequest(PartitionId(1), ReplicaId(2), 3, True, "ab"))
    with pytest.raises(MessageError):
        decode_message(whole.replace(b"ab", b"\xff\xfe"))
