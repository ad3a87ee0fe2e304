"""Rows that are written together: one record, one word for all, and each is under way like any other write."""

import asyncio
from typing import Any

import pytest

from keystead_node.errors import NotMaster, Overloaded, WriteOutcomeUnknown
from keystead_node.shell import RECORD_BYTES_MAX
from tests.row_changes.world import PARTITION, ROW, World, run, turn

LARGE = b"x" * (RECORD_BYTES_MAX - 10)


def write_rows(world: World, *changes: tuple[bytes, bytes | None]) -> "asyncio.Task[None]":
    return asyncio.ensure_future(world.shell.write_rows(PARTITION, list(changes)))


def stays(_value: bytes | None) -> None:
    return None


def test_a_change_counts_on_rows_that_are_written_together() -> None:
    async def scenario(world: World) -> None:
        world.rows[ROW] = world.rows[b"other"] = b"old"
        together = write_rows(world, (b"other", b"new"), (ROW, b"together"))
        await turn()
        change = world.change(lambda value: (value or b"") + b"!")
        await turn()
        assert world.seen == [b"together"] and not together.done()
        world.commit(2)
        await together
        assert not change.done()
        world.commit(3)
        assert await change == b"done"
        assert world.rows == {b"other": b"new", ROW: b"together!"}
        assert not world.shell._latest[PARTITION]

    run(scenario)


def test_a_delete_among_them_is_seen_too() -> None:
    async def scenario(world: World) -> None:
        world.rows[ROW] = b"old"
        write_rows(world, (b"other", b"new"), (ROW, None))
        change = world.change(lambda value: b"mine" if value is None else None)
        await turn()
        world.commit(3)
        assert await change == b"done"

    run(scenario)


def test_what_stays_is_answered_once_the_rows_are_committed() -> None:
    async def scenario(world: World) -> None:
        write_rows(world, (ROW, b"new"), (b"other", b"new"))
        await turn()
        change = world.change(stays)
        await turn()
        assert not change.done()
        world.commit(2)
        assert await change == b"saw b'new'"

    run(scenario)


def test_refused_rows_give_way_to_those_before_them() -> None:
    async def scenario(world: World) -> None:
        world.write(b"kept")
        await turn()
        world.refusal = "overloaded"
        together = write_rows(world, (ROW, b"refused"), (b"other", b"refused"))
        await turn()
        with pytest.raises(Overloaded):
            await together
        world.refusal = ""
        world.change(stays)
        await turn()
        assert world.seen == [b"kept"] and list(world.shell._latest[PARTITION]) == [ROW]

    run(scenario)


def test_rows_that_wait_do_not_hold_on_to_those_before_them() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            write_rows(world, (ROW, b"x"), (b"other", b"x"))
            await turn()
        waiters = [waiter for _, waiter in world.shell._waiting[PARTITION]]
        assert [row.before for waiter in waiters for row in waiter.rows] == [None] * 6

    run(scenario)


def records(world: World) -> int:
    return len(world.shell._waiting[PARTITION])


def test_more_bytes_than_a_record_takes_are_several_records() -> None:
    async def scenario(world: World) -> None:
        rows: Any = [(b"%d" % number, LARGE if number in (1, 4) else b"small") for number in range(6)]
        together = write_rows(world, *rows)
        await turn()
        assert world.log == rows and records(world) == 5
        world.commit(3)
        await turn()
        assert not together.done()
        world.commit(6)
        await together

    run(scenario)


def test_rows_of_which_some_are_committed_when_the_master_goes_are_of_unknown_outcome() -> None:
    async def scenario(world: World) -> None:
        together = write_rows(world, (b"a", LARGE), (b"b", LARGE), (b"c", LARGE))
        await turn()
        world.commit(1)
        world.depose()
        with pytest.raises(WriteOutcomeUnknown):
            await together

    run(scenario)


def test_rows_that_were_not_proposed_when_the_master_goes_are_not_written() -> None:
    async def scenario(world: World) -> None:
        together = write_rows(world, (b"a", LARGE), (b"b", LARGE))
        await asyncio.sleep(0)
        world.depose()
        with pytest.raises(NotMaster):
            await together
        assert world.log == []

    run(scenario)
