"""A round of expiry over the rows of one node, with everything around it played."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec

from keystead_core.catalog.commands import ChangeTable
from keystead_core.catalog.table_changes import Expiry as Wish
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import Routes
from keystead_core.ids import PartitionId
from keystead_core.items import encode_row
from keystead_core.row_changes import Decision
from keystead_node.errors import Overloaded
from keystead_node.expiry import PAGE_ROWS_MAX, Expiry
from tests.catalog.cluster import make_catalog

NOW = 1_800_000_000
PARTITION = PartitionId(2)


class Rows:
    """Rows in memory, read page by page as the row store reads them."""

    def __init__(self, times: dict[bytes, int]) -> None:
        self.rows = {key: encode_row({"pk": {"S": "k"}, "until": {"N": str(at)}})[0] for key, at in times.items()}
        self.pages = 0

    def scan(
        self, low: bytes, high: bytes | None, max_rows: int, _bytes: int
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        self.pages += 1
        keys = sorted(key for key in self.rows if key >= low and (high is None or key < high))
        return [(key, self.rows[key]) for key in keys[:max_rows]], len(keys) > max_rows


class World:
    """A node that masters the one partition of a table whose items expire. `refusal`: what deletes fail with."""

    def __init__(self, times: dict[bytes, int]) -> None:
        catalog = make_catalog(3)
        catalog.make_table()
        catalog.accept(ChangeTable("orders", TableChange(expiry=Wish("until", True)), 1.0))
        self.catalog = catalog
        self.rows = Rows(times)
        self.serving = True
        self.written: dict[bytes, bytes | None] = {}
        self.refusal: Exception | None = None
        replicas = {PARTITION: SimpleNamespace(mastership=self)}
        store: Any = SimpleNamespace(rows=self.rows)
        self.shell: Any = SimpleNamespace(
            core=SimpleNamespace(replicas=replicas),
            stores=SimpleNamespace(get=lambda partition: store),
            change=self.change,
        )
        self.keeper: Any = SimpleNamespace(map=catalog.state.map(), routes=Routes(catalog.state.map()))
        self.expiry = Expiry(self.shell, self.keeper, 1, 1_000_000, lambda: NOW)

    async def change(self, partition: PartitionId, key: bytes, decide: Callable[[bytes | None], Decision]) -> bytes:
        """The master judges by `written` what the rows do not show yet."""
        assert partition == PARTITION
        decision = decide(self.written.get(key, self.rows.rows[key]))
        if self.refusal is not None:
            raise self.refusal
        if decision.writes:
            assert decision.value is None
            del self.rows.rows[key]
        return decision.answer

    def sweep(self) -> list[bytes]:
        """One round; the keys that are left."""
        asyncio.run(self.expiry.sweep_all())
        return sorted(self.rows.rows)


def test_expired_items_of_all_pages_are_deleted_and_counted() -> None:
    count = 3 * PAGE_ROWS_MAX
    world = World({b"%06d" % number: NOW - 5 + number % 10 for number in range(count)})
    left = world.sweep()
    assert left == [b"%06d" % number for number in range(count) if number % 10 > 5]
    assert world.expiry.items_expired == count - len(left)
    assert world.expiry.rows_seen == count and world.rows.pages == 3


def test_an_item_that_is_just_being_written_is_judged_by_what_is_written() -> None:
    world = World({b"a": NOW, b"b": NOW, b"c": NOW})
    anew = {
        key: encode_row({"pk": {"S": "k"}, "until": {"N": str(at)}})[0] for key, at in ((b"a", NOW + 9), (b"c", NOW))
    }
    world.written = {**anew, b"b": None}
    assert world.sweep() == [b"a", b"b"]
    assert world.expiry.items_expired == 1


def test_a_node_that_does_not_serve_as_master_deletes_nothing() -> None:
    world = World({b"a": NOW})
    world.serving = False
    assert world.sweep() == [b"a"] and world.rows.pages == 0
    world.shell.core.replicas.clear()
    assert world.sweep() == [b"a"]


def test_a_table_without_a_time_to_live_keeps_its_items() -> None:
    world = World({b"a": NOW})
    world.catalog.accept(ChangeTable("orders", TableChange(expiry=Wish("until", False)), 1.0))
    world.keeper.map = world.catalog.state.map()
    assert world.sweep() == [b"a"]


def test_a_time_to_live_that_ends_during_a_round_ends_the_round() -> None:
    world = World({b"%06d" % number: NOW for number in range(2 * PAGE_ROWS_MAX)})
    tables = world.keeper.map.tables
    scan = world.rows.scan

    def scan_and_end(*arguments: Any) -> Any:
        table = tables["orders"]
        options = msgspec.structs.replace(table.options, expiry_attribute="")
        world.keeper.map = SimpleNamespace(tables={"orders": msgspec.structs.replace(table, options=options)})
        return scan(*arguments)

    world.rows.scan = scan_and_end  # type: ignore[method-assign]
    assert len(world.sweep()) == PAGE_ROWS_MAX


def test_a_refused_delete_lets_the_partition_rest_until_the_next_round() -> None:
    world = World({b"%06d" % number: NOW for number in range(2 * PAGE_ROWS_MAX)})
    world.refusal = Overloaded("overloaded")
    assert len(world.sweep()) == 2 * PAGE_ROWS_MAX and world.rows.pages == 1
    world.refusal = None
    assert world.sweep() == []
