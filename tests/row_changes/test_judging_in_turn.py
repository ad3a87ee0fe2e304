"""On which value a change is judged, and when it is answered: a Shell over a played core of one partition."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from keystead_core.ids import PartitionId
from keystead_core.replication import effects as ef
from keystead_node.errors import NotMaster, Overloaded, StaleRange, WriteOutcomeUnknown
from tests.row_changes.world import PARTITION, ROW, World, run, turn


def if_missing(value: bytes | None) -> bytes | None:
    return b"mine" if value is None else None


def one_more(value: bytes | None) -> bytes:
    return b"%d" % (int(value or b"0") + 1)


def stays(_value: bytes | None) -> None:
    return None


def test_of_two_puts_of_a_new_item_at_once_one_is_done() -> None:
    async def scenario(world: World) -> None:
        first, second = world.change(if_missing), world.change(if_missing)
        await turn()
        assert world.seen == [None, b"mine"] and world.log == [(ROW, b"mine")]
        assert not first.done() and not second.done()
        world.commit(1)
        assert (await first, await second) == (b"done", b"saw b'mine'")

    run(scenario)


def test_changes_count_on_those_before_them_committed_or_not() -> None:
    async def scenario(world: World) -> None:
        changes = [world.change(one_more) for _ in range(3)]
        await turn()
        changes += [world.change(one_more) for _ in range(3)]
        await turn()
        world.commit(4)
        changes.append(world.change(one_more))
        await turn()
        world.commit(7)
        await asyncio.gather(*changes)
        assert [value for _, value in world.log] == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]

    run(scenario)


def test_a_delete_under_way_is_seen_too() -> None:
    async def scenario(world: World) -> None:
        world.rows[ROW] = b"old"
        world.write(None)
        change = world.change(if_missing)
        await turn()
        assert world.seen == [None] and world.log == [(ROW, None), (ROW, b"mine")]
        world.commit(2)
        assert await change == b"done"

    run(scenario)


@pytest.mark.parametrize("in_one_turn", [False, True])
def test_a_refused_write_gives_way_to_the_one_before_it(in_one_turn: bool) -> None:
    """That one may be under way still, or have been applied meanwhile."""

    async def scenario(world: World) -> None:
        for commits in (False, True):
            value = b"kept %d" % commits
            world.write(value)
            await turn()
            world.refusal = "overloaded"
            refused = [world.write(b"refused")]
            if not in_one_turn:
                await turn()
            refused.append(world.write(None))
            if commits:
                world.commit(len(world.log))
            await turn()
            assert [type(await_error(one)) for one in refused] == [Overloaded, Overloaded]
            world.refusal = ""
            world.change(stays)
            await turn()
            assert world.seen[-1] == value

    run(scenario)


def await_error(future: "asyncio.Future[Any]") -> BaseException | None:
    return future.exception()


def test_waiting_writes_do_not_hold_on_to_those_before_them() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            world.write(b"x")
            await turn()
        assert [waiter.before for _, waiter in world.shell._waiting[PARTITION]] == [None] * 3

    run(scenario)


def test_what_stays_is_answered_once_what_was_seen_is_committed() -> None:
    async def scenario(world: World) -> None:
        world.write(b"new")
        change = world.change(stays)
        await turn()
        assert world.seen == [b"new"] and not change.done()
        world.commit(1)
        assert await change == b"saw b'new'"

    run(scenario)


def test_what_stays_is_answered_only_under_the_lease() -> None:
    async def scenario(world: World) -> None:
        world.rows[ROW] = b"old"
        world.read_refusal = "the lease has run out"
        with pytest.raises(NotMaster, match="lease"):
            await world.change(stays)
        world.write(b"new")
        change = world.change(stays)
        await turn()
        world.commit(1)
        with pytest.raises(NotMaster, match="lease"):
            await change

    run(scenario)


def test_what_stays_waits_for_a_round_of_heartbeats_where_reads_do() -> None:
    async def scenario(world: World) -> None:
        world.settings.reads = "quorum"
        change = world.change(stays)
        await turn()
        (token,) = world.reads_wanted
        assert not change.done()
        world.shell._execute(ef.ReadReady(PARTITION, [token]))
        assert await change == b"saw None"
        change = world.change(stays)
        await turn()
        world.shell._execute(ef.ReadRefused(PARTITION, world.reads_wanted[1:], "deposed", "n2"))  # type: ignore[arg-type]
        with pytest.raises(NotMaster, match="deposed"):
            await change

    run(scenario)


def test_what_stays_is_not_answered_in_a_later_epoch() -> None:
    """Another master may have written in between, though this one has its lease again."""

    async def scenario(world: World) -> None:
        world.settings.reads = "quorum"
        change = world.change(stays)
        await turn()
        world.epoch = 9
        world.shell._execute(ef.ReadReady(PARTITION, world.reads_wanted))
        with pytest.raises(NotMaster, match="epoch"):
            await change

    run(scenario)


def test_what_stays_is_not_answered_if_what_was_seen_may_be_lost() -> None:
    async def scenario(world: World) -> None:
        write = world.write(b"new")
        await turn()
        change = world.change(stays)
        await turn()
        world.depose()
        with pytest.raises(NotMaster, match="may not have been written"):
            await change
        assert isinstance(write.exception(), WriteOutcomeUnknown)

    run(scenario)


def test_what_was_decided_is_not_proposed_after_a_deposition() -> None:
    """Mastership may come back before the turn ends: what was decided rests on a log that may be lost."""

    async def scenario(world: World) -> None:
        seen_write = world.write(b"5")
        await turn()
        change = world.change(one_more)
        asyncio.get_running_loop().call_soon(world.depose)
        with pytest.raises(NotMaster, match="deposed"):
            await change
        assert world.seen == [b"5"] and world.log == [(ROW, b"5")]
        assert isinstance(seen_write.exception(), WriteOutcomeUnknown)
        world.change(stays)
        await turn()
        assert world.seen[-1] is None

    run(scenario)


def test_nor_if_the_proposals_of_another_partition_bring_the_deposition() -> None:
    async def scenario(world: World) -> None:
        asyncio.get_running_loop().call_soon(world.shell.write, PartitionId(1), ROW, b"elsewhere", False)
        with pytest.raises(NotMaster, match="deposed"):
            await world.change(one_more)
        assert world.log == []

    run(scenario)


@pytest.mark.parametrize(
    ("refusal", "error"), [("the new master is not ready yet", NotMaster), ("overloaded", Overloaded)]
)
def test_nothing_is_judged_where_nothing_may_be_proposed(refusal: str, error: type[Exception]) -> None:
    async def scenario(world: World) -> None:
        world.refusal = refusal
        with pytest.raises(error):
            await world.change(one_more)
        assert world.seen == [] and world.log == []

    run(scenario)


def test_what_deciding_raises_leaves_nothing_behind() -> None:
    async def scenario(world: World) -> None:
        def fails(_value: bytes | None) -> bytes:
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            await world.change(fails)
        world.rows[ROW] = b"old"
        assert await world.change(stays) == b"saw b'old'"
        assert world.log == []

    run(scenario)


def test_rows_that_are_not_open_are_opened_and_those_judged_are_the_partitions_present_ones() -> None:
    async def scenario(world: World) -> None:
        replaced = SimpleNamespace(rows={ROW: b"present"})
        closed: Any = SimpleNamespace(rows=None)

        async def open_and_be_replaced() -> dict[bytes, bytes]:
            world.store = replaced
            return {ROW: b"outdated"}

        closed.open = open_and_be_replaced
        world.store = closed
        assert await world.change(stays) == b"saw b'present'"

    run(scenario)


def test_a_row_that_a_split_gave_away_meanwhile_is_not_answered_for() -> None:
    async def scenario(world: World) -> None:
        world.rows[ROW] = b"present"
        before = world.write(b"next")
        await turn()
        waits = world.change(lambda _: None)
        await turn()
        world.is_read_here = False
        world.commit(1)
        await asyncio.wait([before])
        with pytest.raises(StaleRange):
            await waits
        with pytest.raises(StaleRange):
            await world.change(lambda _: b"more")
        assert len(world.log) == 1

    run(scenario)
