"""What a node takes in as a copy: whole, its own, and on the disk before the core hears of it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import google_crc32c
import pytest

from keystead_core.copy_pace import CopyLimits
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication import events as ev
from keystead_node.copies import WRITE_OUT_BYTES, Copies
from keystead_node.durable_file import write_out
from keystead_node.heat import Heat
from keystead_node.partition_store import PartitionStores
from keystead_node.shell import Shell
from keystead_node.storage.row_stores import RowStores
from keystead_node.transport import requests as rq

P, R = PartitionId(1), ReplicaId(7)
A, B = NodeId("a"), NodeId("b")


def run(tmp_path: Path, steps: Callable[[Copies, list[Any]], Awaitable[None]]) -> None:
    """`steps` of copies that come to a node which holds the replica; the list has what the core was told."""

    async def body() -> None:
        told: list[Any] = []
        stores = PartitionStores(tmp_path, RowStores(tmp_path))
        core = SimpleNamespace(replicas={P: SimpleNamespace(id=R, staged=0)})
        shell = SimpleNamespace(core=core, stores=stores, post=told.append, heat=Heat())
        copies = Copies(cast(Shell, shell), tmp_path, CopyLimits(share=1.0))
        await steps(copies, told)
        stores.close()

    asyncio.run(body())


def begin(*files: tuple[str, int]) -> rq.CopyBegin:
    return rq.CopyBegin(P, R, 3, LogPoint(3, 9, 0), b"members", list(files))


def chunk(name: str, offset: int, data: bytes) -> rq.CopyChunk:
    return rq.CopyChunk(P, R, name, offset, data, google_crc32c.value(data))


def test_a_copy_is_synced_before_the_core_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log that the copy stands for is forgotten then: with the power gone the rows would be half there."""
    synced: dict[int, int] = {}
    sync, sync_data = os.fsync, os.fdatasync

    def note(descriptor: int, how: Callable[[int], None]) -> None:
        how(descriptor)
        found = os.fstat(descriptor)
        synced[found.st_ino] = found.st_size

    monkeypatch.setattr(os, "fsync", lambda descriptor: note(descriptor, sync))
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: note(descriptor, sync_data))
    size = WRITE_OUT_BYTES + 5

    async def steps(copies: Copies, told: list[Any]) -> None:
        assert (await copies.receive(A, begin(("one.sst", size), ("deep/two", 3)))).status == rq.OK
        for offset in range(0, size, WRITE_OUT_BYTES):
            data = b"x" * min(WRITE_OUT_BYTES, size - offset)
            assert (await copies.receive(A, chunk("one.sst", offset, data))).status == rq.OK
        assert (await copies.receive(A, chunk("deep/two", 0, b"abc"))).status == rq.OK
        assert told == []
        assert (await copies.receive(A, rq.CopyEnd(P, R))).status == rq.OK
        [arrived] = told
        assert isinstance(arrived, ev.CopyArrived) and arrived.base.lsn == 9
        [staged] = (tmp_path / "incoming").iterdir()
        for path in (staged / "one.sst", staged / "deep" / "two"):
            assert synced[path.stat().st_ino] == path.stat().st_size, f"{path.name} is not on the disk"
        for directory in (staged, staged / "deep"):
            assert directory.stat().st_ino in synced, f"the names in {directory.name} are not on the disk"

    run(tmp_path, steps)


def test_what_comes_late_of_an_earlier_copy_is_not_in_the_next_one(tmp_path: Path) -> None:
    """Files of two masters' copies may have the same names, and each chunk's checksum is good."""

    async def steps(copies: Copies, told: list[Any]) -> None:
        await copies.receive(A, begin(("one.sst", 3)))
        await copies.receive(B, begin(("one.sst", 3)))
        assert (await copies.receive(B, chunk("one.sst", 0, b"new"))).status == rq.OK
        assert (await copies.receive(A, chunk("one.sst", 0, b"old"))).status == rq.REFUSED
        assert (await copies.receive(A, rq.CopyEnd(P, R))).status == rq.REFUSED
        late = asyncio.ensure_future(copies.receive(B, chunk("one.sst", 0, b"old")))
        await asyncio.sleep(0)
        again = await copies.receive(B, begin(("one.sst", 3)))
        await late
        assert again.status == rq.OK
        await copies.receive(B, chunk("one.sst", 0, b"new"))
        assert (await copies.receive(B, rq.CopyEnd(P, R))).status == rq.OK
        [staged] = (tmp_path / "incoming").rglob("one.sst")
        assert staged.read_bytes() == b"new" and len(told) == 1

    run(tmp_path, steps)


@pytest.mark.parametrize("name", ["../rows", "/etc/passwd"])
def test_a_file_outside_the_copy_is_refused(tmp_path: Path, name: str) -> None:
    async def steps(copies: Copies, told: list[Any]) -> None:
        assert (await copies.receive(A, begin((name, 3)))).status == rq.REFUSED

    run(tmp_path, steps)


def test_a_copy_that_is_cut_short_or_spoiled_does_not_arrive(tmp_path: Path) -> None:
    async def steps(copies: Copies, told: list[Any]) -> None:
        await copies.receive(A, begin(("one.sst", 6)))
        assert (await copies.receive(A, rq.CopyChunk(P, R, "one.sst", 0, b"abc", 1))).status == rq.REFUSED
        assert (await copies.receive(A, chunk("one.sst", 0, b"abc"))).status == rq.OK
        assert (await copies.receive(A, rq.CopyEnd(P, R))).status == rq.REFUSED
        assert told == []

    run(tmp_path, steps)


def test_what_cannot_be_written_out_is_an_error_of_the_disk() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_out(-1)
