"""Physical copies: a checkpoint of a replica's rows, streamed to a member that the logs no longer reach.

Every chunk has a checksum and waits for its answer, so a copy never has more than a few chunks under way; a pause
between chunks keeps it to `bytes_per_second`, so that it does not slow client writes by more than that share.
"""

import asyncio
import shutil
from pathlib import Path

import google_crc32c
import msgspec
import structlog

from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import LogPoint
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import encode_membership
from keystead_node.errors import NotMaster
from keystead_node.shell import Shell
from keystead_node.transport import requests as rq

log = structlog.get_logger("copies")

CHUNK_BYTES = 256 * 1024
CHUNK_SECONDS_MAX = 10.0


class CopySent(msgspec.Struct):
    """Of a copy on its way to a node: bytes sent, and all of them."""

    to: NodeId
    sent: int
    total: int


class Copies:
    """Sends and receives copies. Staged ones lie under DATA/incoming/ until the core wants them installed."""

    def __init__(self, shell: Shell, data_dir: Path, bytes_per_second: int) -> None:
        self._shell = shell
        self._incoming = data_dir / "incoming"
        self._outgoing = data_dir / "outgoing"
        self._bytes_per_second = bytes_per_second
        self._begun: dict[tuple[PartitionId, ReplicaId], rq.CopyBegin] = {}
        self._staged: dict[int, Path] = {}
        self._token = 0
        self._tasks: set[asyncio.Future[None]] = set()
        self.bytes_copied = 0
        self.under_way: dict[tuple[PartitionId, ReplicaId], CopySent] = {}
        for directory in (self._incoming, self._outgoing):
            shutil.rmtree(directory, ignore_errors=True)
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
            shutil.rmtree(directory, ignore_errors=True)
        self._shell.post(ev.CopyFinished(effect.partition, effect.peer, ok))

    async def _stream(self, effect: ef.SendCopy, directory: Path) -> bool:
        store = self._shell.stores.get(effect.partition)
        rows = await store.open()
        shutil.rmtree(directory, ignore_errors=True)
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
        with path.open("rb") as file:
            offset = 0
            while offset < size:
                data = await self._shell.stores.in_thread(file.read, CHUNK_BYTES)
                if not data:
                    return False
                crc = google_crc32c.value(data)
                chunk = rq.CopyChunk(effect.partition, effect.peer, name, offset, data, crc)
                answer = await self._shell.peers.request(effect.to, chunk, CHUNK_SECONDS_MAX)
                if answer.status != rq.OK:
                    return False
                offset += len(data)
                self.bytes_copied += len(data)
                progress.sent += len(data)
                await asyncio.sleep(len(data) / self._bytes_per_second)
        return True

    # -- receiving ------------------------------------------------------------------------------------------------

    async def receive(self, sender: NodeId, request: rq.CopyBegin | rq.CopyChunk | rq.CopyEnd) -> rq.Answer:
        """One step of a copy that another node sends."""
        try:
            match request:
                case rq.CopyBegin():
                    return self._begin(request)
                case rq.CopyChunk():
                    answer: rq.Answer = await self._shell.stores.in_thread(self._write_chunk, request)
                    return answer
                case rq.CopyEnd():
                    return self._end(request)
        except OSError as error:
            return rq.Answer(rq.REFUSED, reason=str(error))

    def _directory(self, partition: PartitionId, replica: ReplicaId) -> Path:
        return self._incoming / f"{partition}-{replica}"

    def _begin(self, request: rq.CopyBegin) -> rq.Answer:
        r = self._shell.core.replicas.get(request.partition)
        if r is None or r.id != request.replica or r.staged:
            return rq.Answer(rq.REFUSED, reason="no such replica here")
        names = [name for name, _ in request.files]
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
            return rq.Answer(rq.REFUSED, reason="a file outside the copy")
        directory = self._directory(request.partition, request.replica)
        shutil.rmtree(directory, ignore_errors=True)
        for name in names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).touch()
        self._begun[request.partition, request.replica] = request
        return rq.Answer(rq.OK)

    def _write_chunk(self, request: rq.CopyChunk) -> rq.Answer:
        begun = self._begun.get((request.partition, request.replica))
        if begun is None or request.file not in [name for name, _ in begun.files]:
            return rq.Answer(rq.REFUSED, reason="no copy was begun")
        if google_crc32c.value(request.data) != request.crc:
            return rq.Answer(rq.REFUSED, reason="checksum of a chunk is wrong")
        path = self._directory(request.partition, request.replica) / request.file
        with path.open("r+b") as file:
            file.seek(request.offset)
            file.write(request.data)
        return rq.Answer(rq.OK)

    def _end(self, request: rq.CopyEnd) -> rq.Answer:
        begun = self._begun.pop((request.partition, request.replica), None)
        if begun is None:
            return rq.Answer(rq.REFUSED, reason="no copy was begun")
        directory = self._directory(request.partition, request.replica)
        for name, size in begun.files:
            if (directory / name).stat().st_size != size:
                return rq.Answer(rq.REFUSED, reason=f"{name} is cut short")
        self._token += 1
        staged = self._incoming / f"staged-{self._token}"
        directory.rename(staged)
        self._staged[self._token] = staged
        base: LogPoint = begun.base
        self._shell.post(ev.CopyArrived(request.partition, self._token, begun.epoch, base, begun.membership))
        return rq.Answer(rq.OK)

    def install(self, effect: ef.InstallCopy) -> None:
        staged = self._staged.pop(effect.token)
        self._shell.stores.replace_rows(effect.partition, staged, effect.base)
        log.info("copy installed", partition=effect.partition, lsn=effect.base.lsn)
        self._shell.post(ev.CopyInstalled(effect.partition, effect.token))

    def discard(self, effect: ef.DiscardCopy) -> None:
        staged = self._staged.pop(effect.token, None)
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
