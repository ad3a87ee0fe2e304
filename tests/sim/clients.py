"""Clients: each has a request under way, or a burst of them, follows hints to the master, and notes what it saw.

The history is judged twice: against the order of the committed log while the run goes on (checker.py), and at its end
by a checker that knows nothing of logs (tests/histories).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from keystead_core.ids import Lsn, Micros, NodeId, PartitionId
from tests.histories.operations import Operation
from tests.sim.rows import Key, Value

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster

TRIES = 6


class Request:
    """One operation of one client, with all its tries."""

    __slots__ = ("attempt", "consistent", "done", "floor", "invoked", "key", "partition", "table", "tries", "value")

    def __init__(self, table: PartitionId, key: Key, value: Value | None, consistent: bool, now: Micros) -> None:
        self.table = table
        self.partition = table
        self.key = key
        self.value = value
        self.consistent = consistent
        self.invoked = now
        self.floor: Lsn = 0
        self.tries = 0
        self.attempt = 0
        self.done = False


class Client:
    """`writes`: the share of its operations that are writes; some only read and some only write."""

    def __init__(self, cluster: Cluster, name: str, random: Random) -> None:
        self.cluster = cluster
        self.name = name
        self.random = random
        self.hints: dict[PartitionId, NodeId] = {}
        self.routes: dict[tuple[PartitionId, Key], PartitionId] = {}
        self.pause = cluster.scenario.settings.lease // self.random.choice((2, 8, 20, 50))
        self.writes = self.random.choice((0.0, 0.5, 0.5, 1.0))
        self.streams = cluster.scenario.burst if self.writes else 1

    def begin(self) -> None:
        for _ in range(self.streams):
            self.cluster.timeline.after(self.random.randrange(self.pause), self._next)

    def _next(self) -> None:
        cluster = self.cluster
        if cluster.clients_stopped:
            return
        if cluster.is_healed and self.streams > 1:
            self.streams -= 1  # Progress is demanded under a load that a member which lags behind can catch up with.
            return
        scenario = cluster.scenario
        table = PartitionId(1 + self.random.randrange(scenario.partitions))
        key = scenario.first_key + self.random.randrange(scenario.keys)
        value = cluster.next_value() if self.random.random() < self.writes else None
        request = Request(table, key, value, value is not None or self.random.random() < 0.8, cluster.timeline.now)
        request.floor = cluster.checker.told.get((table, key), 0)
        cluster.timeline.after(scenario.settings.lease * 3 // 2, self._give_up, request)
        self._try(request)

    def _try(self, request: Request) -> None:
        if request.done:
            return
        cluster = self.cluster
        request.tries += 1
        request.attempt += 1
        where = (request.table, request.key)
        if where not in self.routes:
            self.routes[where] = cluster.catalog.route(*where)
        request.partition = self.routes[where]
        hint = self.hints.get(request.partition)
        machine = cluster.by_node.get(hint) if hint else None
        if machine is None or not request.consistent:
            machine = self.random.choice(cluster.machines)
        delay = 50 + self.random.randrange(300)
        cluster.timeline.after(delay, self._arrive, request, request.attempt, machine)

    def _arrive(self, request: Request, attempt: int, machine: Any) -> None:
        process = machine.process

        def answer(outcome: str, value: Any, hint: NodeId) -> None:
            delay = 50 + self.random.randrange(300)
            self.cluster.timeline.after(delay, self._answered, request, attempt, outcome, value, hint)

        if process is None:
            answer("refused", "connection refused", NodeId(""))
        elif request.value is not None:
            process.post(process.put, request.partition, request.key, request.value, answer)
        else:
            process.post(process.get, request.partition, request.key, request.consistent, request.floor, answer)

    def _answered(self, request: Request, attempt: int, outcome: str, value: Any, hint: NodeId) -> None:
        if request.done or attempt != request.attempt:
            return
        if outcome == "refused":
            self._refused(request, hint)
            return
        request.done = True
        if outcome == "ok":
            self.hints[request.partition] = hint
            self._note(request, "ok", value)
        else:
            self._note(request, "unknown", None)
        self._pause()

    def _refused(self, request: Request, hint: NodeId) -> None:
        self.hints.pop(request.partition, None)
        self.routes.pop((request.table, request.key), None)
        if hint:
            self.hints[request.partition] = hint
        if request.tries >= TRIES:
            request.done = True
            self._note(request, "failed", None)
            self._pause()
            return
        self.cluster.timeline.after(self.random.randrange(self.pause), self._try, request)

    def _give_up(self, request: Request) -> None:
        """A put whose answer did not come may take effect yet."""
        if request.done:
            return
        request.done = True
        self.hints.pop(request.partition, None)
        self._note(request, "unknown", None)
        self._pause()

    def _pause(self) -> None:
        pause = 2 * self.pause
        if self.cluster.is_healed and self.cluster.scenario.burst > 1:
            pause = max(pause, self.cluster.scenario.settings.lease // 4)
        self.cluster.timeline.after(self.random.randrange(pause), self._next)

    def _note(self, request: Request, outcome: str, value: Any) -> None:
        cluster = self.cluster
        cluster.outcomes[("put " if request.value is not None else "get ") + outcome] += 1
        lsn = None
        shown: Any = request.value
        if outcome == "ok":
            where = (request.table, request.key)
            if request.value is not None:
                lsn = value
            else:
                shown, lsn, _ = value
            if request.consistent:
                cluster.checker.told[where] = max(cluster.checker.told.get(where, 0), lsn)
        if request.value is None and outcome != "ok":
            return
        cluster.history.append(
            Operation(
                kind="write" if request.value is not None else "read",
                value=shown,
                invoked=request.invoked,
                returned=cluster.timeline.now,
                outcome=outcome,  # type: ignore[arg-type]
                client=self.name,
                key=f"{request.table}/{request.key}",
                consistent=request.consistent,
                lsn=lsn if request.value is not None else (value[2] if not request.consistent else None),
            )
        )
