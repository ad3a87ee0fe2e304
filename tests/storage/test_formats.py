"""Decoders of stored bytes return or raise their one error, whatever the bytes; encoders lose nothing."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keystead_core.ids import PartitionId
from keystead_core.log.entries import EMPTY_LOG, AppendEntry, LogPoint, ReplicaState
from keystead_core.log.record import RecordError
from keystead_node.storage.batch import BatchBuilder, RunItem, SnipItem, StateItem, decode_chunk
from keystead_node.storage.block import (
    PAYLOAD_BYTES,
    BlockError,
    BlockHeader,
    Fault,
    Purpose,
    decode_block,
    encode_block,
    payload_of,
)
from keystead_node.storage.cold_segment import ColdError, encode_segment, reader_of
from keystead_node.storage.recovery import recover
from tests.storage.log_model import NODE, chain_of, new_log, record_after, state_of, write_batch

NUMBER = st.integers(0, 2**64 - 1)


def header_of(payload: bytes, *, node: int = 1, place: int = 7) -> BlockHeader:
    return BlockHeader(Purpose.DATA, len(payload), node, 3, place, 4, 3, 2, 1, 0, 1)


@given(st.binary(max_size=PAYLOAD_BYTES), NUMBER, NUMBER)
def test_a_block_comes_back_as_it_was(payload: bytes, node: int, place: int) -> None:
    header = header_of(payload, node=node, place=place)
    data = encode_block(header, payload)
    assert len(data) == 4096
    assert decode_block(data, node, place) == header
    assert payload_of(data, header) == payload


@given(st.binary(max_size=PAYLOAD_BYTES), st.integers(0, 4095), st.integers(0, 7))
@example(b"", 4095, 7)
def test_every_flipped_bit_of_a_block_is_seen(payload: bytes, at: int, bit: int) -> None:
    data = bytearray(encode_block(header_of(payload), payload))
    data[at] ^= 1 << bit
    with pytest.raises(BlockError):
        decode_block(bytes(data), 1, 7)


@given(st.binary(min_size=600, max_size=PAYLOAD_BYTES), st.integers(1, 7))
def test_a_block_torn_between_sectors_is_seen(payload: bytes, sectors: int) -> None:
    new = encode_block(header_of(payload), payload)
    old = encode_block(header_of(b"before"), b"before")
    torn = new[: sectors * 512] + old[sectors * 512 :]
    if torn not in (new, old):
        with pytest.raises(BlockError) as error:
            decode_block(torn, 1, 7)
        assert error.value.fault == Fault.CHECKSUM


def test_a_block_of_another_place_or_node_is_misplaced() -> None:
    data = encode_block(header_of(b"x"), b"x")
    for node, place in ((1, 8), (2, 7)):
        with pytest.raises(BlockError) as error:
            decode_block(data, node, place)
        assert error.value.fault == Fault.MISPLACED


def test_a_block_that_was_never_written_is_empty() -> None:
    with pytest.raises(BlockError) as error:
        decode_block(bytes(4096), 1, 7)
    assert error.value.fault == Fault.EMPTY


@given(st.binary(max_size=5000))
def test_random_bytes_are_no_block(data: bytes) -> None:
    with pytest.raises(BlockError):
        decode_block(data, 1, 7)


def index_of_all_kinds() -> bytes:
    builder = BatchBuilder(5, 4)
    builder.add_records(PartitionId(1), 3, chain_of(1, 3))
    builder.add_snip(PartitionId(2), 9, 4, builder.next_order)
    builder.add_state(PartitionId(3), state_of(7, 2), builder.next_order, 5)
    builder.add_damaged(PartitionId(3), 8, 99, builder.next_order, doubtful=True)
    builder.add_unknown(2, builder.next_order)
    builder.add_rescued(3)
    stream, index_bytes, _ = builder.stream(100)
    return stream[:index_bytes]


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 500))
def test_a_mutated_index_decodes_or_raises_its_error(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(index_of_all_kinds())
    for at, value in changes:
        data[at % len(data)] = value
    try:
        chunk = decode_chunk(bytes(data[: len(data) - cut % 50]))
        items = chunk.items()
    except BlockError:
        return
    assert chunk.end <= len(data)
    assert len(items) <= len(data)


@given(
    st.lists(st.lists(st.integers(0, 9000), min_size=1, max_size=5), max_size=40),
    st.integers(0, 3),
    st.integers(0, 200),
)
def test_an_index_split_over_blocks_says_the_same_as_the_whole(sizes: list[list[int]], states: int, snips: int) -> None:
    builder = BatchBuilder(5, 4)
    for number, bodies in enumerate(sizes):
        previous = EMPTY_LOG
        records = []
        for size in bodies:
            record = record_after(previous, number + 1, bytes(size))
            previous = LogPoint(record.epoch, record.lsn, record.hash)
            records.append(record)
        builder.add_records(PartitionId(number + 1), 1, records)
    for number in range(states):
        builder.add_state(PartitionId(number + 1), state_of(7, number), builder.next_order, 0)
    for number in range(snips):
        builder.add_snip(PartitionId(number + 1), 1, 1, builder.next_order)
    stream, _, blocks = builder.stream(10)
    whole = decode_chunk(stream)
    parts = [decode_chunk(part) for part in builder.split_index(10, blocks)]
    assert [item for part in parts for item in part.items()] == whole.items()
    assert all(len(part) <= PAYLOAD_BYTES for part in builder.split_index(10, blocks))
    assert {(part.count, part.start, part.blocks) for part in parts} == {(len(parts), 10, blocks)}


def test_items_keep_their_meaning_and_their_order() -> None:
    items = decode_chunk(index_of_all_kinds()).items()
    run, snip, state = items[:3]
    assert isinstance(run, RunItem) and [hash_ for hash_, _ in run.pairs] == [r.hash for r in chain_of(1, 3)]
    assert isinstance(snip, SnipItem) and (snip.partition, snip.first_lsn, snip.epoch) == (2, 9, 4)
    assert isinstance(state, StateItem) and (state.state, state.born) == (state_of(7, 2), 5)
    assert [item.order for item in items] == sorted(item.order for item in items)


STATES = st.builds(
    ReplicaState, NUMBER, NUMBER, NUMBER, NUMBER, st.text(max_size=20),
    st.builds(LogPoint, NUMBER, NUMBER, NUMBER), st.binary(max_size=500), st.booleans(),
)  # fmt: skip


@given(STATES)
def test_a_state_comes_back_as_it_was(state: ReplicaState) -> None:
    builder = BatchBuilder(5, 4)
    builder.add_state(PartitionId(3), state, builder.next_order, 0)
    item = decode_chunk(builder.stream(100)[0]).items()[0]
    assert isinstance(item, StateItem) and item.state == state


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_log_with_random_damage_recovers_or_says_why_not(data: st.DataObject) -> None:
    disk, log = new_log()
    records = chain_of(1, 12, body_bytes=700)
    for number in range(0, 12, 2):
        write_batch(disk, log, AppendEntry(PartitionId(1), number, records[number : number + 2]))
    used = 40 * 4096
    for at in data.draw(st.lists(st.integers(0, used), max_size=8)):
        length = data.draw(st.integers(1, 3000))
        disk.visible[at : at + length] = data.draw(st.binary(min_size=1, max_size=1)) * length
    try:
        _, replicas = recover(disk, NODE, {})
    except BlockError:
        return
    for replica in replicas:
        assert all(record.raw == records[record.lsn - 1].raw for record in replica.records)


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=30))
def test_a_segment_comes_back_as_it_was(sizes: list[int]) -> None:
    previous = LogPoint(3, 41, 77)
    records = []
    for size in sizes:
        record = record_after(previous, 1, bytes(range(256)) * (size // 256))
        previous = LogPoint(record.epoch, record.lsn, record.hash)
        records.append(record)
    reader = reader_of(encode_segment(records))
    reader.verify()
    assert [r.raw for r in reader.read_from(42, 1 << 40)] == [r.raw for r in records]
    middle = records[len(records) // 2].lsn
    assert reader.read_from(middle, 1)[0].lsn == middle
    assert (reader.footer.prev_hash, reader.footer.end) == (77, previous)


SEGMENT = encode_segment(chain_of(1, 300, body_bytes=900))


@settings(max_examples=400)
@given(st.integers(0, len(SEGMENT) - 1), st.integers(0, 7), st.booleans())
def test_every_flipped_bit_of_a_segment_is_seen(at: int, bit: int, cut: bool) -> None:
    data = bytearray(SEGMENT)
    data[at] ^= 1 << bit
    with pytest.raises(ColdError):
        reader_of(bytes(data[: at + 1] if cut else data)).verify()


@given(st.binary(max_size=3000))
def test_random_bytes_are_no_segment(data: bytes) -> None:
    with pytest.raises(ColdError):
        reader_of(data).verify()


def test_a_segment_is_not_made_of_records_that_do_not_chain() -> None:
    records = chain_of(1, 5)
    for wrong in ([], [records[0], records[2]], [records[0], chain_of(1, 2, epoch=5)[1]], chain_of(2, 1) + records[1:]):
        with pytest.raises((ColdError, RecordError)):
            encode_segment(wrong)
