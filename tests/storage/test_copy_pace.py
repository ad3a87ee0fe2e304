"""Copies take their share of the way and no more: pure rests, and the lane that keeps them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.copy_pace import REST_SECONDS_MAX, CopyLimits, CopyPace
from keystead_node import copy_lane
from keystead_node.copy_lane import HELD_SECONDS_MAX, CopyLane


class UsedPace(CopyPace):
    """The pace of a node that clients use all the while."""

    def __init__(self, limits: CopyLimits) -> None:
        super().__init__(limits)
        self.note_use(0.0, 0.0)

    def note(self, size: int, began: float, now: float) -> None:
        self.note_use(now + 1, now)
        super().note(size, began, now)


@given(st.floats(0.05, 1.0), st.lists(st.floats(0.0001, 0.1), min_size=2, max_size=50))
def test_copies_are_under_way_for_their_share_of_the_time(share: float, chunks: list[float]) -> None:
    pace, now = UsedPace(CopyLimits(share=share)), 0.0
    for seconds in chunks:
        now += pace.wait(now)
        pace.note(1, now, now + seconds)
        now += seconds
    now += pace.wait(now)
    assert sum(chunks) / now == pytest.approx(share)


def test_a_slower_way_makes_longer_rests_up_to_a_limit() -> None:
    pace = UsedPace(CopyLimits(share=0.25))
    pace.note(1, 0.0, 0.1)
    assert pace.wait(0.1) == pytest.approx(0.3)
    pace.note(1, 1.0, 5.0)
    assert pace.wait(5.0) == pytest.approx(REST_SECONDS_MAX)


def test_a_node_that_nobody_uses_copies_without_rests_until_somebody_does() -> None:
    pace = CopyPace(CopyLimits(share=0.5))
    pace.note_use(0.0, 0.0)
    pace.note(1, 0.0, 1.0)
    assert pace.wait(1.0) == 0.0
    pace.note_use(3.0, 2.0)
    pace.note(1, 1.0, 2.0)
    assert pace.wait(2.0) == pytest.approx(1.0)
    pace.note_use(3.0, 4.0)
    pace.note(1, 3.0, 4.0)
    assert pace.wait(4.0) == 0.0


def test_what_clients_did_before_a_copy_began_makes_no_rests() -> None:
    pace = CopyPace(CopyLimits(share=0.5))
    pace.note_use(1000.0, 50.0)
    pace.note(1, 49.0, 50.0)
    assert pace.wait(50.0) == 0.0
    pace.note_use(2000.0, 90.0)
    pace.note(1, 89.0, 90.0)
    assert pace.wait(90.0) == 0.0
    pace.note_use(2001.0, 91.0)
    pace.note(1, 90.0, 91.0)
    assert pace.wait(91.0) == pytest.approx(1.0)


def test_clients_are_noticed_behind_the_longest_rest() -> None:
    pace = CopyPace(CopyLimits(share=0.5))
    pace.note_use(0.0, 0.0)
    later = REST_SECONDS_MAX + HELD_SECONDS_MAX
    pace.note_use(1.0, later)
    pace.note(1, 0.0, later)
    assert pace.wait(later) == REST_SECONDS_MAX


def test_time_that_chunks_share_counts_once() -> None:
    pace = UsedPace(CopyLimits(share=0.5))
    for _ in range(4):
        pace.note(1, 0.0, 2.0)
    assert pace.wait(2.0) == pytest.approx(2.0)
    pace.note(1, 1.0, 3.0)
    assert pace.wait(3.0) == pytest.approx(2.0), "one more second was busy"


def test_the_rate_is_kept_over_all_chunks_and_idle_time_is_not_saved_up() -> None:
    pace, now = UsedPace(CopyLimits(share=1.0, bytes_per_second=1000)), 0.0
    for _ in range(10):
        now += pace.wait(now)
        pace.note(100, now, now)
    assert now == pytest.approx(0.9)
    now += 60.0
    assert pace.wait(now) == 0.0
    pace.note(100, now, now)
    assert pace.wait(now) == pytest.approx(0.1)


def test_chunks_are_small_where_the_rate_is_low() -> None:
    assert CopyLimits().chunk_bytes == 512 << 10
    assert CopyLimits(bytes_per_second=100 << 20).chunk_bytes == 512 << 10
    assert CopyLimits(bytes_per_second=1 << 20).chunk_bytes == 128 << 10
    assert CopyLimits(bytes_per_second=1).chunk_bytes == 64 << 10


def test_chunks_of_one_node_go_one_after_the_other_in_the_order_in_which_they_came() -> None:
    async def run() -> list[str]:
        lane, said = CopyLane(CopyLimits(share=1.0), lambda: 0.0, width=1), []

        async def work(name: str) -> None:
            said.append(f"{name} begins")
            await asyncio.sleep(0)
            said.append(f"{name} ends")

        await asyncio.gather(*(lane.carry(1, lambda name=name: work(name)) for name in "abc"))
        return said

    assert asyncio.run(run()) == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


def test_a_chunk_that_nobody_answers_does_not_hold_up_other_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_lane, "HELD_SECONDS_MAX", 0.01)

    async def run() -> tuple[str, str]:
        lane = CopyLane(CopyLimits(share=1.0), lambda: 0.0, width=1)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def at_once() -> str:
            return "second"

        first = asyncio.ensure_future(lane.carry(1, lambda: answer))
        second = await lane.carry(1, at_once)
        answer.set_result("first")
        return await first, second

    assert asyncio.run(run()) == ("first", "second")


def test_what_a_chunk_fails_with_reaches_its_copy_and_the_lane_goes_on() -> None:
    async def run() -> str:
        lane = CopyLane(CopyLimits(), lambda: 0.0)

        async def fail() -> str:
            raise OSError("gone")

        async def work() -> str:
            return "next"

        with pytest.raises(OSError, match="gone"):
            await lane.carry(1, fail)
        return await lane.carry(1, work)

    assert asyncio.run(run()) == "next"
