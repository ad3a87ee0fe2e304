"""Splits of a table and of its global index, between any two steps of feeding: nothing is missing, doubled or old.

Each rule of it is taken away in turn, which has to show.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest

from keystead_core.ids import PartitionId
from keystead_core.indexes.feed import decode_row_changed
from keystead_core.items import decode_row
from keystead_node import index_feeder
from keystead_node.storage.row_layout import SplitHere
from keystead_node.storage.row_store import RowStore
from keystead_node.transport import requests as rq
from tests.indexes.feed_world import RULE, World, simulate

SEEDS = range(1, 61)
SEEDS_MAX = 150
"""Within so many a rule that is missing has shown."""


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches and pages, and no pauses: many steps of few changes."""
    for name, value in {
        "BATCH_CHANGES_MAX": 3,
        "PAGE_ROWS_MAX": 2,
        "PAUSE_SECONDS_FIRST": 0,
        "IDLE_SECONDS": 0,
        "FORGET_SECONDS": 0,
    }.items():
        monkeypatch.setattr(index_feeder, name, value)


def test_an_index_is_what_the_rows_make_whenever_both_are_divided() -> None:
    done: Counter[str] = Counter()
    for seed in SEEDS:
        try:
            world = asyncio.run(simulate(seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        done.update(world.done)
        done["halves of halves"] += any(group.base.lsn and group.splits for group in world.groups.values())
    print(dict(done))
    assert all(done[what] > len(SEEDS) for what in ("write", "deliver", "apply", "lead", "make", "report"))
    assert done["halves of halves"] > len(SEEDS) // 2


def entry_of(row_key: bytes, value: bytes) -> bytes | None:
    entry = RULE.entry(row_key, decode_row(value), value)
    return None if entry is None else entry[0]


async def told(low: bytes, high: bytes | None, keys: list[bytes]) -> str:
    """What a partition of an index that was divided at b"\\x80" says to who believes it to have this range."""
    world = World(1)
    try:
        world.begin(filled=True)
        index = world.groups[PartitionId(2)]
        assert index.master is not None
        world.divide_one(index, b"\x80")
        index.master.apply(1)
        changes: list[tuple[bytes, bytes | None]] = [(key, b"") for key in keys]
        request = rq.FeedIndex(index.id, 1, PartitionId(1), 0 if keys else -1, 5, changes, low, high)
        taking = asyncio.ensure_future(index.master.feeds.take(request))
        while not taking.done():
            await asyncio.sleep(0)
            index.master.apply(1)
        return type(taking.exception()).__name__ if taking.exception() else f"up to {taking.result()}"
    finally:
        world.close()


def test_who_thinks_an_index_s_partition_has_what_it_gave_away_learns_nothing_of_its_places() -> None:
    """How far it is with a source says nothing of the other half's entries, which would be thought taken."""
    assert asyncio.run(told(b"", None, [])) == "StaleRange"
    assert asyncio.run(told(b"", b"\x90", [])) == "StaleRange"
    assert asyncio.run(told(b"", b"\x80", [b"\x70", b"\x80"])) == "StaleRange"
    assert asyncio.run(told(b"", b"\x80", [])) == "up to 0"
    assert asyncio.run(told(b"", b"\x80", [b"\x70"])) == "up to 5"


async def late_page() -> bool:
    """Whether a page of the left half's older rows, under way since before the split, is taken when the right half has
    deleted one of them from the index. Nothing else of the left half ever came there."""
    world = World(1)
    try:
        world.begin(filled=False)
        source, index = world.groups[PartitionId(1)], world.groups[PartitionId(2)]
        assert source.master is not None
        while not any(request.changes for request, _ in world.network):
            await world.serve_all()
        pages = list(world.network)
        world.network.clear()
        source.master.close()
        entry = pages[0][0].changes[-1][0]
        (gone,) = (row for row, value in world.truth.items() if entry_of(row, value) == entry)
        world.divide_one(source, gone)
        source.master.apply(1)
        while world.make() or world.report():
            pass
        right = world.groups[PartitionId(3)]
        assert right.master is not None and world.write_row(right, gone, None)
        right.master.version = len(world.maps) - 1
        while not world.is_quiet(right):
            right.master.apply(100)
            await world.serve_all()
        world.network = [(request, asyncio.get_running_loop().create_future()) for request, _ in pages]
        await world.serve_all()
        assert index.master is not None and index.master.stores.store.rows is not None
        return any(key == entry for key, _ in index.master.stores.store.rows.scan_all())
    finally:
        world.close()


def test_a_page_that_comes_late_from_the_left_half_covers_nothing_of_the_right_one() -> None:
    assert not asyncio.run(late_page())


def test_it_would_if_the_left_half_were_not_heard_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _nobody_is_heard_out(monkeypatch)
    assert asyncio.run(late_page())


def _nobody_is_heard_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(index_feeder, "before", lambda source, forebears: [])


def _all_goes_out_in_the_own_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(index_feeder, "source_of", lambda lsn, forebears: None)


def _no_place_is_taken_along(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RowStore, "fed", lambda rows: {})


def _later_changes_of_the_left_half_stay(patch: pytest.MonkeyPatch) -> None:
    begin = RowStore._begin_beside

    def begin_with_all(batch: Any, lsn: int, here: SplitHere) -> None:
        begin(batch, lsn, here)
        batch.gone[:] = [span for span in batch.gone if not span[0].startswith(b"c")]

    patch.setattr(RowStore, "_begin_beside", staticmethod(begin_with_all))


def _only_the_own_half_of_what_is_kept_goes_out(patch: pytest.MonkeyPatch) -> None:
    changes = RowStore.changes

    def own(rows: RowStore, *bounds: int) -> list[tuple[int, bytes]]:
        low, high = rows.row_range() or (b"", None)
        found = [(lsn, data, decode_row_changed(data).row_key) for lsn, data in changes(rows, *bounds)]
        return [(lsn, data) for lsn, data, key in found if low <= key and (high is None or key < high)]

    patch.setattr(RowStore, "changes", own)


PLANTED = [
    _all_goes_out_in_the_own_name,
    _no_place_is_taken_along,
    _later_changes_of_the_left_half_stay,
    _only_the_own_half_of_what_is_kept_goes_out,
]


@pytest.mark.parametrize("rule", PLANTED, ids=lambda rule: rule.__name__.strip("_"))
def test_the_loss_of_a_rule_shows(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rule(monkeypatch)
    for seed in range(1, SEEDS_MAX):
        try:
            asyncio.run(simulate(seed))
        except Exception as error:
            print(f"\nseed {seed}: {type(error).__name__}: {str(error)[:80]}")
            return
    raise AssertionError(f"nothing showed it in {SEEDS_MAX} seeds")
