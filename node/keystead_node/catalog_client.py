"""Commands to the catalog from any node: to its own replica where that is the master, else over to the master."""

import asyncio

import structlog

from keystead_core.catalog.commands import Command, LockRequest, TakeLocks, encode_command
from keystead_core.catalog.results import CatalogReply, decode_reply
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from keystead_core.log.record import Kind
from keystead_core.replication.events import LockTaken
from keystead_node.catalog_locks import CatalogLock, LockUnavailable
from keystead_node.errors import NotMaster, Overloaded, WriteOutcomeUnknown
from keystead_node.shell import Shell
from keystead_node.transport.requests import NOT_MASTER, OK, Answer, RequestFailed, RunCommand

log = structlog.get_logger("catalog")

ATTEMPT_SECONDS = 2.0
PAUSE_SECONDS = 0.02


class CatalogUnavailable(Exception):
    """No master of the catalog could be reached in time; the command was not carried out."""


class CatalogClient:
    """`members()` names the catalog's nodes, the most likely master first."""

    def __init__(self, shell: Shell, lock: CatalogLock | None) -> None:
        self._shell = shell
        self._lock = lock
        self._locks: dict[PartitionId, int] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self.members: list[NodeId] = []
        self.hint = NodeId("")

    async def run(self, command: Command, seconds: float = 5.0, repeat: bool = True) -> CatalogReply:
        """Has the catalog carry out a command. `repeat`: it may be said again when the outcome is unknown.

        Raises CatalogUnavailable, or WriteOutcomeUnknown if not `repeat`.
        """
        body = encode_command(command)
        deadline = asyncio.get_running_loop().time() + seconds
        turn = 0
        while True:
            try:
                reply = await self._attempt(body, turn)
                if reply is not None:
                    return reply
            except WriteOutcomeUnknown:
                if not repeat:
                    raise
            turn += 1
            if asyncio.get_running_loop().time() > deadline:
                raise CatalogUnavailable("no master of the catalog answers")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _attempt(self, body: bytes, turn: int) -> CatalogReply | None:
        core = self._shell.core
        known = self._shell.master_of(CATALOG_PARTITION)
        if known == core.id:
            answer = await self.run_here(body)
            return decode_reply(answer.value or b"") if answer.status == OK else None
        peers = self._shell.peers
        others = [n for n in self.members if n != core.id and peers.is_connected(n)]
        others = [n for n in others if n not in peers.silent] or others
        choice = known or self.hint
        if choice not in others:
            choice = others[turn % len(others)] if others else NodeId("")
        if not choice:
            return None
        try:
            answer = await peers.request(choice, RunCommand(body), ATTEMPT_SECONDS)
        except RequestFailed as failure:
            self.hint = NodeId("")
            if failure.sent:
                raise WriteOutcomeUnknown(str(failure)) from failure
            return None
        self.hint = NodeId(answer.hint)
        if answer.status == NOT_MASTER:
            return None
        if answer.status != OK:
            raise WriteOutcomeUnknown(answer.reason)
        self.hint = choice
        return decode_reply(answer.value or b"")

    async def run_here(self, body: bytes) -> Answer:
        """Proposes a command to the replica here. Raises WriteOutcomeUnknown."""
        try:
            value = await self._shell.propose(CATALOG_PARTITION, Kind.CATALOG, body)
        except (NotMaster, Overloaded) as refusal:
            return Answer(NOT_MASTER, hint=getattr(refusal, "hint", ""), reason=str(refusal))
        return Answer(OK, value=value)

    # -- locks ----------------------------------------------------------------------------------------------------

    def take_lock(self, partition: PartitionId, at_least: int) -> None:
        """Asks for a group's lock; LockTaken follows if that succeeds. A node's candidacies travel together."""
        if partition == CATALOG_PARTITION:
            self._spawn(self._take_catalog_lock(at_least))
            return
        if not self._locks:
            asyncio.get_running_loop().call_soon(lambda: self._spawn(self._take_gathered()))
        self._locks[partition] = at_least

    def _spawn(self, work) -> None:  # type: ignore[no-untyped-def]
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_gathered(self) -> None:
        locks, self._locks = self._locks, {}
        requests = [LockRequest(partition, at_least) for partition, at_least in locks.items()]
        core = self._shell.core
        try:
            reply = await self.run(TakeLocks(core.id, core.boot, requests), seconds=1.0)
        except CatalogUnavailable:
            return
        for request, counter in zip(requests, reply.counters, strict=False):
            if counter:
                self._shell.post(LockTaken(request.partition, counter))

    async def _take_catalog_lock(self, at_least: int) -> None:
        if self._lock is None:
            return
        try:
            counter = await self._lock.take(at_least, self._shell.core.id)
        except LockUnavailable as error:
            log.warning("the catalog's lock is not taken", error=str(error))
            return
        self._shell.post(LockTaken(CATALOG_PARTITION, counter))
