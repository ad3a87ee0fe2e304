"""Each cluster is in the queue once and with one worker at a time."""

import asyncio

import pytest

from keystead_operator.kube.work_queue import WorkQueue

ONE, OTHER = ("shop", "one"), ("shop", "other")


def test_key_added_twice_is_given_once() -> None:
    async def run() -> None:
        queue = WorkQueue()
        queue.add(ONE)
        queue.add(ONE)
        assert await queue.get() == ONE
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.05)

    asyncio.run(run())


def test_key_that_is_worked_on_is_not_given_to_a_second_worker() -> None:
    async def run() -> None:
        queue = WorkQueue()
        queue.add(ONE)
        await queue.get()
        queue.add(ONE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.05)
        queue.done(ONE, None)
        assert await asyncio.wait_for(queue.get(), 5) == ONE

    asyncio.run(run())


def test_other_keys_do_not_wait_for_one_that_is_worked_on() -> None:
    async def run() -> None:
        queue = WorkQueue()
        queue.add(ONE)
        await queue.get()
        queue.add(OTHER)
        assert await asyncio.wait_for(queue.get(), 5) == OTHER

    asyncio.run(run())


def test_event_wakes_a_key_that_was_to_rest() -> None:
    async def run() -> None:
        queue = WorkQueue()
        queue.add(ONE)
        await queue.get()
        queue.done(ONE, 3600.0)
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.add(ONE)
        assert await asyncio.wait_for(waiting, 5) == ONE

    asyncio.run(run())


def test_failures_of_a_key_wait_longer_each_time_until_a_round_succeeds() -> None:
    async def run() -> None:
        queue = WorkQueue()
        waits = []
        for _ in range(4):
            queue.add(ONE)
            waits.append(queue.failed(ONE))
        assert waits == sorted(set(waits))
        queue.done(ONE, None)
        assert queue.failed(ONE) == waits[0]

    asyncio.run(run())
