"""A Shell over a played core of one partition, for tests of what is under way."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from keystead_core.ids import PartitionId
from keystead_core.log.ops import decode_changes
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.row_changes import Decision
from keystead_node.shell import Shell

PARTITION = PartitionId(2)
ROW = b"row"


class World:
    """A master whose proposals commit when the test says so. `refusal`: of proposals; `read_refusal`: of reads."""

    def __init__(self) -> None:
        self.refusal = ""
        self.read_refusal = ""
        self.epoch = 7
        self.is_read_here = True
        self.log: list[tuple[bytes, bytes | None]] = []
        self.rows: dict[bytes, bytes | None] = {}
        self.seen: list[bytes | None] = []
        self.reads_wanted: list[int] = []
        self.settings = SimpleNamespace(reads="lease")
        self.store: Any = SimpleNamespace(rows=self.rows)
        core: Any = SimpleNamespace(
            step=self._step,
            deadline=lambda: None,
            settings=self.settings,
            replicas={},
            proposal_refusal=lambda partition: self.refusal,
            read_refusal=lambda partition, now: self.read_refusal,
            mastered_epoch=lambda partition: self.epoch,
            is_read_here=lambda partition, row_key: self.is_read_here,
        )
        stores: Any = SimpleNamespace(get=lambda partition: self.store, ranges={}, is_in_range=lambda *_: True)
        self.shell = Shell(core, SimpleNamespace(), stores)  # type: ignore[arg-type]

    def _step(self, event: ev.Event, _now: int) -> list[ef.Effect]:
        match event:
            case ev.Propose() if event.partition != PARTITION:
                tokens = [token for token, _, _ in event.proposals]
                return [ef.Proposed(event.partition, 1, 1, tokens), ef.Deposed(PARTITION, self.epoch)]
            case ev.Propose():
                tokens = [token for token, _, _ in event.proposals]
                if self.refusal:
                    return [ef.ProposalRefused(PARTITION, tokens, self.refusal, "n2")]  # type: ignore[arg-type]
                first = len(self.log) + 1
                self.log += [change for _, _, body in event.proposals for change in decode_changes(body)]
                return [ef.Proposed(PARTITION, self.epoch, first, tokens)]
            case ev.ReadWanted():
                self.reads_wanted.append(event.token)
            case ev.Tick():
                return [ef.Deposed(PARTITION, self.epoch)]
        return []

    def commit(self, lsn: int) -> None:
        for key, value in self.log[:lsn]:
            self.rows[key] = value
        self.shell.applied(PARTITION, lsn)

    def depose(self) -> None:
        """The log keeps what it has: some of it may commit under the next master."""
        self.shell.post(ev.Tick())

    def write(self, value: bytes | None) -> "asyncio.Future[bytes | None]":
        return self.shell.write(PARTITION, ROW, value, False)

    def change(self, become: Callable[[bytes | None], bytes | None]) -> "asyncio.Task[bytes]":
        """The row becomes `become(value)`; None: it stays, and the answer is what was seen."""

        def decide(value: bytes | None) -> Decision:
            self.seen.append(value)
            new = become(value)
            return Decision(new is not None, new, b"done" if new is not None else b"saw %a" % value)

        return asyncio.ensure_future(self.shell.change(PARTITION, ROW, decide))


Scenario = Callable[[World], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def with_world() -> None:
        await scenario(World())

    asyncio.run(with_world())


async def turn() -> None:
    """What is ready runs, and what that made ready too."""
    for _ in range(4):
        await asyncio.sleep(0)
