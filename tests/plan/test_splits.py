"""Capacity dial-up: how many partitions, by which splits, in which generations; and the operator's part of it."""

from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_world import ORDERS, World, map_of, settled_world

from keystead_core.cluster_map import IndexSpec, KeyAttribute, PartitionEntry, index_table
from keystead_core.ids import PartitionId
from keystead_core.keyspace import HASH_SPACE, split_ranges
from keystead_core.split.dial_up import PartitionLimits, dial_up, partitions_for
from keystead_operator.plan.actions import Note, PlanSplit
from keystead_operator.plan.planner import plan
from keystead_operator.plan.state import Desired
from keystead_operator.spec.resources import ClusterSpec

CLUSTER = ClusterSpec(name="keystead", nodes=5, zones=("a", "b", "c"))
LIMITS = PartitionLimits()


def entries_of(ranges: list[tuple[bytes, bytes | None]]) -> list[PartitionEntry]:
    return [
        PartitionEntry(
            id=PartitionId(number), table="t", low=low, high=high, generation=1, founders=[], target=[], members=[],
            write_quorum=2, durable_zones=1, epoch=1,
        )
        for number, (low, high) in enumerate(ranges, 2)
    ]  # fmt: skip


def grown(entries: list[PartitionEntry], wanted: int) -> tuple[list[PartitionEntry], int, int]:
    """The partitions when all due splits of all generations are made; how many splits and generations that took."""
    splits = generations = 0
    while True:
        step = dial_up(entries, wanted)
        if not step.cuts:
            return entries, splits, generations
        cuts = {cut.partition: cut.at for cut in step.cuts}
        ranges: list[tuple[bytes, bytes | None]] = []
        for entry in entries:
            at = cuts.get(entry.id)
            ranges += [(entry.low, entry.high)] if at is None else [(entry.low, at), (at, entry.high)]
        splits += len(cuts)
        generations += 1
        entries = entries_of(ranges)


def share(entry: PartitionEntry) -> int:
    low = int.from_bytes(entry.low.ljust(8, b"\x00"), "big")
    return (HASH_SPACE if entry.high is None else int.from_bytes(entry.high.ljust(8, b"\x00"), "big")) - low


@pytest.mark.parametrize(
    ("read", "write", "count"),
    [(0, 0, 1), (3000, 0, 1), (3001, 0, 2), (1500, 500, 1), (1500, 501, 2), (30_000, 6_000, 16), (1, 1, 1)],
)
def test_a_table_needs_as_many_partitions_as_its_units_fill(read: int, write: int, count: int) -> None:
    assert partitions_for(read, write, LIMITS) == count


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(1, 5000), st.integers(1, 5000))
def test_the_partitions_give_the_units_and_one_less_would_not(read: int, write: int, reads: int, writes: int) -> None:
    count = partitions_for(read, write, PartitionLimits(reads, writes))
    assert count == max(1, ceil(read / reads + write / writes - 1e-9))


@given(st.integers(1, 7), st.integers(1, 70))
def test_the_fewest_splits_lead_to_equal_partitions(before: int, wanted: int) -> None:
    ranges = [(low, high) for low, high in split_ranges(before)]
    entries, splits, generations = grown(entries_of(ranges), wanted)
    assert len(entries) == max(before, wanted)
    assert splits == len(entries) - before
    shares = [share(entry) for entry in entries]
    assert max(shares) <= 2.01 * min(shares)
    if wanted % before == 0 or before == 1:
        assert max(shares) <= min(shares) + wanted
    assert (1 << generations) * before >= len(entries) > (1 << generations >> 1) or splits == 0


def test_what_is_on_its_way_is_not_cut_again_and_counts_as_done() -> None:
    world = settled_world(CLUSTER)
    (entry,) = [one for one in map_of(world).partitions.values() if one.table]
    world.execute(PlanSplit(entry.id, b"\x80" + bytes(7), "request"))
    (entry,) = [one for one in map_of(world).partitions.values() if one.table]
    step = dial_up([entry], 4)
    assert (step.splits, step.under_way, step.cuts) == (2, 1, [])


def declared(world: World, **fields: object) -> None:
    table = msgspec.structs.replace(world.desired.tables[0], **fields)
    world.desired = msgspec.structs.replace(world.desired, tables=(table,))


def finish(world: World) -> World:
    """Until nothing is left to do, and nothing is on its way."""
    for _ in range(100):
        world.settle()
        on_its_way = any(entry.split or entry.left for entry in map_of(world).partitions.values())
        if not on_its_way and not plan(world.desired, world.observe()).actions:
            return world
    raise AssertionError("there is no end of it")


def ranges_of(world: World) -> list[tuple[bytes, bytes | None]]:
    return sorted(((e.low, e.high) for e in map_of(world).partitions.values() if e.table), key=lambda found: found[0])


def test_more_units_are_given_by_splits_that_are_told_before_they_are_made() -> None:
    world = settled_world(CLUSTER)
    declared(world, read_units=12_000, write_units=4_000)
    made = plan(world.desired, world.observe())
    for action in made.actions:
        world.execute(action)
    made = plan(world.desired, world.observe())
    told = [note.message for note in made.notes if note.reason == "Splitting"]
    assert told == ["orders has 1 of 8 partitions: 0 splits under way, 7 splits to go in 3 generations"]
    assert [action for action in made.actions if isinstance(action, PlanSplit)] == [
        PlanSplit(PartitionId(2), b"\x80" + bytes(7), "capacity")
    ]
    finish(world)
    assert ranges_of(world) == [(low, high) for low, high in split_ranges(8)]
    assert not [note for note in plan(world.desired, world.observe()).notes if isinstance(note, Note)]


def test_fewer_units_change_limits_alone() -> None:
    world = finish(settled_world(CLUSTER, msgspec.structs.replace(ORDERS, read_units=6000, write_units=2000)))
    before = ranges_of(world)
    assert len(before) == 4
    declared(world, read_units=10, write_units=10)
    finish(world)
    assert ranges_of(world) == before
    assert map_of(world).tables["orders"].read_units == 10


def test_units_that_are_taken_back_end_a_dial_up_where_it_stands() -> None:
    world = settled_world(CLUSTER)
    declared(world, read_units=48_000, write_units=1)
    for _ in range(3):
        for action in plan(world.desired, world.observe()).actions:
            world.execute(action)
    declared(world, read_units=10)
    finish(world)
    assert 1 < len(ranges_of(world)) < 17
    assert not plan(world.desired, world.observe()).notes


def test_a_table_is_not_split_beyond_what_it_may_have() -> None:
    world = settled_world(CLUSTER, msgspec.structs.replace(ORDERS, partitions_max=3))
    declared(world, read_units=48_000, write_units=1)
    finish(world)
    assert len(ranges_of(world)) == 3


def test_a_higher_count_is_reached_by_splits_and_a_lower_one_is_refused_with_the_reason() -> None:
    world = settled_world(CLUSTER, msgspec.structs.replace(ORDERS, partitions=2, partitions_fixed=True))
    declared(world, partitions=5)
    finish(world)
    assert len(ranges_of(world)) == 5
    declared(world, partitions=4)
    (note,) = plan(world.desired, world.observe()).notes
    assert (note.reason, note.message) == (
        "ChangeNotSupported",
        "it has 5 partitions, and partitions are not merged: 4 are declared at most",
    )


def test_the_whole_cluster_has_a_few_splits_on_their_way_at_once() -> None:
    table = msgspec.structs.replace(ORDERS, partitions=12)
    world = finish(World(Desired(CLUSTER, (table,))))
    declared(world, partitions=24)
    made = plan(world.desired, world.observe())
    assert sum(isinstance(action, PlanSplit) for action in made.actions) == 8
    finish(world)
    assert len(ranges_of(world)) == 24


def test_an_index_gets_the_partitions_that_its_own_units_need() -> None:
    index = IndexSpec(name="by-city", is_global=True, hash=[KeyAttribute("city", "S")], read_units=9000, write_units=1)
    table = msgspec.structs.replace(ORDERS, read_units=100, write_units=10, global_indexes=(index,))
    world = settled_world(CLUSTER, table)
    while any(entry.left for entry in map_of(world).partitions.values()):
        world.settle()  # It ends, too, while a split of the last generation is yet to be settled.
    entries = [entry.table for entry in map_of(world).partitions.values()]
    assert (entries.count("orders"), entries.count(index_table("orders", "by-city"))) == (1, 4)
    assert map_of(world).tables[index_table("orders", "by-city")].index_of == "orders"


def test_an_index_has_no_more_partitions_than_its_table_may_have() -> None:
    index = IndexSpec(name="by-city", is_global=True, hash=[KeyAttribute("city", "S")], read_units=9000, write_units=1)
    table = msgspec.structs.replace(ORDERS, read_units=100, write_units=10, global_indexes=(index,), partitions_max=2)
    world = settled_world(CLUSTER, table)
    entries = [entry.table for entry in map_of(world).partitions.values()]
    assert entries.count(index_table("orders", "by-city")) == 2
