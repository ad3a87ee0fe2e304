"""Physical copies: a checkpoint of a replica's rows, streamed to a member that the logs no longer reach.

Every chunk has a checksum and waits for its answer. All copies that a node sends have a few chunks under way at a time,
and so have all that it takes in, with rests between (copy_lane.py): copies let clients' traffic be. What was taken in
is on the disk before the core hears of it: the log that the copy stands for is forgotten then.
"""

import asyncio
import os
from collections import deque
from functools import partial
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import msgspec
import structlog

from keystead_core.copy_pace import CopyLimits
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import encode_membership
from keystead_node.copy_lane import WIDTH, CopyLane
from keystead_node.durable_file import sync_directory, write_out
from keystead_node.errors import NotMaster
from keystead_node.shell import Shell
from keystead_node.transport import requests as rq

log = structlog.get_logger("copies")

CHUNK_SECONDS_MAX = 10.0
WRITE_OUT_BYTES = 4 * 1024 * 1024
"""So much at most is left to the sync at the end: a long one would hold up those of the hot log."""


class CopySent(msgspec.Struct):
    """Of a copy on its way to a node: bytes sent, and all of them."""

    to: NodeId
    sent: int
    total: int


class _Incoming(msgspec.Struct):
    """A copy that is being taken in, in a directory of its own: nothing gets in that comes late of an earlier one."""

    sender: NodeId
    begin: rq.CopyBegin
    sizes: dict[str, int]
    directory: Path


class Copies:
    """Sends and receives copies. Staged ones lie under DATA/incoming/ until the core wants them installed."""

    def __init__(self, shell: Shell, data_dir: Path, limits: CopyLimits) -> None:
        self._shell = shell
        self._incoming = data_dir / "incoming"
        self._outgoing = data_dir / "outgoing"
        self._chunk_bytes = limits.chunk_bytes
        self._sending, self._receiving = (CopyLane(limits, shell.heat.used) for _ in range(2))
        self._begun: dict[tuple[PartitionId, ReplicaId], _Incoming] = {}
        self._staged: dict[int, Path] = {}
        self._token = 0
        self._tasks: set[asyncio.Future[None]] = set()
        self.bytes_copied = 0
        self.under_way: dict[tuple[PartitionId, ReplicaId], CopySent] = {}
        for directory in (self._incoming, self._outgoing):
            shell.stores.waste.throw(directory)
            directory.mkdir(parents=True)
        shell.send_copy = self._send_soon
        shell.install_copy = self.install
        shell.discard_copy = self.discard

    # -- sending --------------------------------------------------------------------------------------------------

    def _send_soon(self, effect: ef.SendCopy) -> None:
        task = asyncio.ensure_future(self._send(effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, effect: ef.SendCopy) -> None:
        directory = self._outgoing / f"{effect.partition}-{effect.peer}"
        ok = False
        try:
            ok = await self._stream(effect, directory)
        except (rq.RequestFailed, OSError, NotMaster) as error:
            log.warning("copy failed", partition=effect.partition, peer=effect.to, error=str(error))
        finally:
            self.under_way.pop((effect.partition, effect.peer), None)
            self._shell.stores.waste.throw(directory)
        self._shell.post(ev.CopyFinished(effect.partition, effect.peer, ok))

    async def _stream(self, effect: ef.SendCopy, directory: Path) -> bool:
        store = self._shell.stores.get(effect.partition)
        rows = await store.open()
        self._shell.stores.waste.throw(directory)
        await self._shell.stores.in_thread(rows.flush)
        # On the loop, so that nothing is applied meanwhile: 4 ms, most of it flushed already.
        rows.checkpoint(directory)
        lsn = store.applied_lsn
        r = self._shell.core.replicas.get(effect.partition)
        point = r.log.point_at(lsn) if r is not None else None
        membership = r.log.membership_at(lsn) if r is not None else None
        if point is None or membership is None:
            return False
        files = [(str(p.relative_to(directory)), p.stat().st_size) for p in sorted(directory.rglob("*")) if p.is_file()]
        begin = rq.CopyBegin(effect.partition, effect.peer, effect.epoch, point, encode_membership(membership), files)
        if (await self._shell.peers.request(effect.to, begin, CHUNK_SECONDS_MAX)).status != rq.OK:
            return False
        progress = CopySent(effect.to, 0, sum(size for _, size in files))
        self.under_way[effect.partition, effect.peer] = progress
        for name, _ in files:
            if not await self._send_file(effect, directory / name, name, progress):
                return False
        end = rq.CopyEnd(effect.partition, effect.peer)
        return (await self._shell.peers.request(effect.to, end, CHUNK_SECONDS_MAX)).status == rq.OK

    async def _send_file(self, effect: ef.SendCopy, path: Path, name: str, progress: CopySent) -> bool:
        size = path.stat().st_size
        under_way: deque[asyncio.Future[bool]] = deque()
        with path.open("rb") as file:
            try:
                for offset in range(0, size, self._chunk_bytes):
                    length = min(self._chunk_bytes, size - offset)
                    send = partial(self._send_chunk, effect, file, name, offset, length, progress)
                    under_way.append(asyncio.ensure_future(self._sending.carry(length, send)))
                    if len(under_way) >= WIDTH and not await under_way.popleft():
                        return False
                return all([await under_way.popleft() for _ in range(len(under_way))])
            finally:
                for rest in under_way:
                    rest.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)

    async def _send_chunk(
        self, effect: ef.SendCopy, file: BinaryIO, name: str, offset: int, length: int, progress: CopySent
    ) -> bool:
        data = await self._shell.stores.in_thread(os.pread, file.fileno(), length, offset)
        if len(data) != length:
            return False
        chunk = rq.CopyChunk(effect.partition, effect.peer, name, offset, data, google_crc32c.value(data))
        if (await self._shell.peers.request(effect.to, chunk, CHUNK_SECONDS_MAX)).status != rq.OK:
            return False
        self.bytes_copied += length
        progress.sent += length
        return True

    # -- receiving ------------------------------------------------------------------------------------------------

    async def receive(self, sender: NodeId, request: rq.CopyBegin | rq.CopyChunk | rq.CopyEnd) -> rq.Answer:
        """One step of a copy that another node sends."""
        try:
            if isinstance(request, rq.CopyBegin):
                return self._begin(sender, request)
            begun = self._begun.get((request.partition, request.replica))
            if begun is None or begun.sender != sender:
                return rq.Answer(rq.REFUSED, reason="no copy was begun")
            if isinstance(request, rq.CopyEnd):
                return await self._end(begun)
            in_thread = self._shell.stores.in_thread
            return await self._receiving.carry(len(request.data), partial(in_thread, _write_chunk, begun, request))
        except OSError as error:
            return rq.Answer(rq.REFUSED, reason=str(error))

    def _begin(self, sender: NodeId, request: rq.CopyBegin) -> rq.Answer:
        r = self._shell.core.replicas.get(request.partition)
        if r is None or r.id != request.replica or r.staged:
            return rq.Answer(rq.REFUSED, reason="no such replica here")
        names = [name for name, _ in request.files]
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
            return rq.Answer(rq.REFUSED, reason="a file outside the copy")
        before = self._begun.pop((request.partition, request.replica), None)
        if before is not None:
            self._shell.stores.waste.throw(before.directory)
        self._token += 1
        directory = self._incoming / f"{request.partition}-{request.replica}-{self._token}"
        for name in names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).touch()
        begun = _Incoming(sender, request, dict(request.files), directory)
        self._begun[request.partition, request.replica] = begun
        return rq.Answer(rq.OK)

    async def _end(self, begun: _Incoming) -> rq.Answer:
        begin = begun.begin
        del self._begun[begin.partition, begin.replica]
        for name, size in begun.sizes.items():
            if (begun.directory / name).stat().st_size != size:
                self._shell.stores.waste.throw(begun.directory)
                return rq.Answer(rq.REFUSED, reason=f"{name} is cut short")
        await self._shell.stores.in_thread(_sync_all, begun.directory)
        self._token += 1
        self._staged[self._token] = begun.directory
        self._shell.post(ev.CopyArrived(begin.partition, self._token, begin.epoch, begin.base, begin.membership))
        return rq.Answer(rq.OK)

    def install(self, effect: ef.InstallCopy) -> None:
        staged = self._staged.pop(effect.token)
        self._shell.stores.replace_rows(effect.partition, staged, effect.base)
        log.info("copy installed", partition=effect.partition, lsn=effect.base.lsn)
        self._shell.post(ev.CopyInstalled(effect.partition, effect.token))

    def discard(self, effect: ef.DiscardCopy) -> None:
        staged = self._staged.pop(effect.token, None)
        if staged is not None:
            self._shell.stores.waste.throw(staged)


def _write_chunk(begun: _Incoming, chunk: rq.CopyChunk) -> rq.Answer:
    """In a thread. Raises OSError."""
    if chunk.file not in begun.sizes:
        return rq.Answer(rq.REFUSED, reason="a file that is not in the copy")
    if google_crc32c.value(chunk.data) != chunk.crc:
        return rq.Answer(rq.REFUSED, reason="checksum of a chunk is wrong")
    with (begun.directory / chunk.file).open("r+b") as file:
        file.seek(chunk.offset)
        file.write(chunk.data)
        file.flush()
        end = chunk.offset + len(chunk.data)
        if end // WRITE_OUT_BYTES > chunk.offset // WRITE_OUT_BYTES:
            write_out(file.fileno())
    return rq.Answer(rq.OK)


def _sync_all(top: Path) -> None:
    """In a thread: the files in it are there for good, with their names. Raises OSError."""
    for path in [top, *top.rglob("*")]:
        if path.is_dir():
            sync_directory(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
