"""Log records and row changes: what is encoded is decoded, chains hold, and damage never passes for a record."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.ids import PartitionId
from keystead_core.log.ops import ChangesError, decode_changes, encode_change, split_changes
from keystead_core.log.record import HEADER_BYTES, Kind, Record, RecordError, decode_record, decode_records, make_record
from tests.formats.strategies import damaged

u64 = st.integers(0, 2**64 - 1)
kinds = st.sampled_from(list(Kind))
bodies = st.binary(max_size=100)
keys = st.binary(max_size=50)
changes = st.lists(st.tuples(keys, st.none() | st.binary(max_size=60)), max_size=6)


@st.composite
def records(draw: st.DrawFn) -> Record:
    partition = PartitionId(draw(u64))
    version = draw(st.integers(0, 2**32 - 1))
    return make_record(partition, draw(u64), draw(u64), draw(kinds), version, draw(u64), draw(u64), draw(bodies))


def fields(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in Record.__slots__)


@given(records())
def test_a_record_comes_back_with_every_field(record: Record) -> None:
    assert fields(decode_record(record.raw)) == fields(record)
    assert len(record.raw) == HEADER_BYTES + len(record.body)


@given(st.lists(records(), max_size=5), st.binary(max_size=10))
def test_records_end_to_end_come_back_in_order(several: list[Record], prefix: bytes) -> None:
    blob = b"".join(record.raw for record in several)
    assert [fields(r) for r in decode_records(blob)] == [fields(r) for r in several]
    if several:
        assert fields(decode_record(prefix + blob, len(prefix))) == fields(several[0])


@given(records(), st.data())
@settings(max_examples=300)
def test_a_damaged_record_is_a_record_error(record: Record, data: st.DataObject) -> None:
    bad = data.draw(damaged(record.raw))
    if bad[: len(record.raw)] == record.raw:
        return  # Only something behind it has changed.
    with pytest.raises(RecordError):
        decode_record(bad)


@given(records(), st.data())
def test_each_flipped_bit_is_noticed(record: Record, data: st.DataObject) -> None:
    bad = bytearray(record.raw)
    bad[data.draw(st.integers(0, len(bad) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RecordError):
        decode_record(bytes(bad))


@given(st.binary(max_size=300))
def test_bytes_of_any_origin_are_no_records(data: bytes) -> None:
    if data:
        with pytest.raises(RecordError):
            decode_records(data)


@given(changes)
def test_row_changes_come_back_in_order(several: list[tuple[bytes, bytes | None]]) -> None:
    blob = b"".join(encode_change(key, value) for key, value in several)
    assert decode_changes(blob) == several
    assert decode_changes(b"head" + blob, 4) == several


@given(changes, st.integers(1, 2000))
def test_rows_that_are_written_together_fill_records_up_to_their_bound(
    several: list[tuple[bytes, bytes | None]], bytes_max: int
) -> None:
    bodies = list(split_changes(several, bytes_max))
    assert [change for _, part in bodies for change in part] == several
    for number, (body, part) in enumerate(bodies):
        assert decode_changes(body) == part
        assert len(body) <= bytes_max or len(part) == 1
        if number:
            assert len(bodies[number - 1][0]) + len(encode_change(*part[0])) > bytes_max, "none could have taken more"


@given(changes, st.data())
@settings(max_examples=300)
def test_damaged_row_changes_are_changes_or_a_changes_error(
    several: list[tuple[bytes, bytes | None]], data: st.DataObject
) -> None:
    bad = data.draw(damaged(b"".join(encode_change(key, value) for key, value in several)))
    try:
        found = decode_changes(bad)
    except ChangesError:
        return
    assert b"".join(encode_change(key, value) for key, value in found) == bad
