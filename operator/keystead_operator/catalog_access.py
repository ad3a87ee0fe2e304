"""What the nodes of one cluster say, and commands to its catalog through them. The same wherever the nodes run."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, assert_never

import msgspec

from keystead_core.catalog import commands
from keystead_core.catalog.results import FENCE_TOO_OLD, CatalogReply
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import ClusterMap
from keystead_core.ids import CATALOG_PARTITION, NodeId
from keystead_operator.admin_client import AdminClient, NodeUnreachable, Refused
from keystead_operator.node_status import NodeStatus
from keystead_operator.plan.actions import (
    ChangeIndexes,
    CreateTable,
    DeleteTable,
    FormCatalog,
    MarkLeft,
    PlanSplit,
    SetTarget,
    UpdateSettings,
    UpdateTable,
)
from keystead_operator.substrate import ActionFailed

CatalogAction = (
    MarkLeft | CreateTable | UpdateTable | ChangeIndexes | DeleteTable | UpdateSettings | SetTarget | PlanSplit
)

TransitionsOfLease = Callable[[], Awaitable[int]]


async def _no_lease() -> int:
    return 0


class CatalogAccess:
    """`statuses` (by the name of the place) and `map` are those of the last observation. `known_map` is the last one
    that there was: good for telling what is so, never for deciding what to do.

    `lease_transitions` is asked each time before office is taken: it gives the number of the operator's Lease, or
    raises ActionFailed if the Lease is another's.
    """

    def __init__(self, client: AdminClient, lease_transitions: TransitionsOfLease = _no_lease) -> None:
        self.statuses: dict[str, NodeStatus] = {}
        self.map: ClusterMap | None = None
        self.known_map: ClusterMap | None = None
        self._client = client
        self._addresses: dict[str, str] = {}
        self._seen_at: dict[NodeId, float] = {}
        self._fence = 0
        self._taking_office = asyncio.Lock()
        self._lease_transitions = lease_transitions
        self._holder = uuid.uuid4().hex

    # ---- observing

    async def observe(self, addresses: Mapping[str, str]) -> None:
        """Asks the nodes that run: name of the place -> host:port of the admin port."""
        self._addresses = dict(addresses)
        for name in [name for name in self.statuses if name not in addresses]:
            del self.statuses[name]
        await asyncio.gather(*(self._ask(name, address) for name, address in addresses.items()))
        self.map = await self._read_map()
        self.known_map = self.serving_map or self.known_map or await self._stale_map()

    @property
    def serving_map(self) -> ClusterMap | None:
        """The map, if the catalog has a master that serves one."""
        return self.map if self.map is not None and self.map.version > 0 else None

    def seconds_down(self) -> dict[NodeId, float]:
        """For each registered node id, how long this process has not heard of it; 0 for one that answers."""
        now = time.monotonic()
        answering = {status.node.id for status in self.statuses.values()}
        for node in answering:
            self._seen_at[node] = now
        registered = self.known_map.nodes if self.known_map is not None else {}
        return {
            node: 0.0 if node in answering else max(now - self._seen_at.setdefault(node, now), 1e-3)
            for node in registered
        }

    async def _ask(self, name: str, address: str) -> None:
        try:
            self.statuses[name] = await self._client.status(address)
        except NodeUnreachable:
            self.statuses.pop(name, None)

    async def _read_map(self) -> ClusterMap | None:
        """The map of the catalog's master: only it is sure to be whole and current."""
        for name in self._catalog_masters():
            known = self.known_map
            try:
                other = await self._client.other_map(self._addresses[name], known.version if known else None)
            except NodeUnreachable:
                continue
            return other or known
        return None

    async def _stale_map(self) -> ClusterMap | None:
        """The newest map that some node keeps on its disk, where the catalog has no master."""
        found = []
        for name in self.statuses:
            try:
                found.append(await self._client.map(self._addresses[name]))
            except NodeUnreachable:
                continue
        return max((one for one in found if one.version > 0), key=lambda one: one.version, default=None)

    def _catalog_masters(self) -> list[str]:
        """The places whose catalog replica says that it is master, the latest epoch first."""
        found = []
        for name, status in self.statuses.items():
            replica = status.replica_of(CATALOG_PARTITION)
            if replica is not None and replica.role == "master":
                found.append((replica.epoch, name))
        return [name for _, name in sorted(found, key=lambda item: item[0], reverse=True)]

    # ---- commanding

    async def execute(self, action: CatalogAction) -> None:
        """Has the catalog carry the action out. Raises ActionFailed."""
        fence = await self._office()
        match action:
            case MarkLeft(node, only_if_empty):
                await self._command(commands.NodeLeft(node=node, fence=fence, only_if_empty=only_if_empty))
            case CreateTable(table, indexes):
                seed, at = uuid.uuid4().bytes, time.time()
                await self._command(commands.CreateTable(table, seed, at, fence, indexes=list(indexes)))
            case ChangeIndexes(name, manager, new, old, units):
                change = TableChange(index_units=list(units))
                command = commands.ChangeTable(name, change, time.time(), new, old, manager=manager, fence=fence)
                await self._command(command)
            case UpdateTable(table, manager):
                await self._command(commands.UpdateTable(table=table, manager=manager, fence=fence))
            case DeleteTable(name, manager, table_id):
                await self._command(commands.DeleteTable(name=name, manager=manager, table_id=table_id, fence=fence))
            case UpdateSettings(settings):
                await self._command(commands.UpdateSettings(settings=settings, fence=fence))
            case SetTarget(partition, target):
                await self._command(commands.SetTarget(partition=partition, target=list(target), fence=fence))
            case PlanSplit(partition, at, reason):
                await self._command(commands.PlanSplit(partition=partition, at=at, reason=reason, fence=fence))
            case _:
                assert_never(action)

    async def form(self, cluster: str, action: FormCatalog) -> None:
        """Tells one founder to form the catalog. Raises ActionFailed."""
        body = {
            "cluster": cluster,
            "members": [msgspec.to_builtins(founder) for founder in action.founders],
            "settings": msgspec.to_builtins(action.settings),
        }
        await self.post(action.name, "/catalog/form", body)

    async def post(self, name: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Posts to the admin port of one place. Raises ActionFailed."""
        address = self._addresses.get(name)
        if address is None:
            raise ActionFailed(f"{name} does not run")
        try:
            return await self._client.post(address, path, body)
        except (NodeUnreachable, Refused) as problem:
            raise ActionFailed(f"{name} does not carry out {path}: {problem}") from problem

    async def _office(self) -> int:
        """The number under which this process commands; taken once, and again after a later one was taken."""
        async with self._taking_office:
            if not self._fence:
                transitions = await self._lease_transitions()
                answer = await self._command(commands.Fence(holder=self._holder, lease_transitions=transitions))
                self._fence = msgspec.convert(answer["reply"], CatalogReply).fence
            return self._fence

    async def _command(self, command: commands.Command) -> dict[str, Any]:
        body = command_json(command)
        masters = self._catalog_masters()
        others = [name for name in self.statuses if name not in masters]
        last: Exception | None = None
        for name in (*masters, *others):
            try:
                return await self._client.post(self._addresses[name], "/catalog/command", body)
            except Refused as problem:
                if str(problem).startswith(FENCE_TOO_OLD) or "operator number" in str(problem):
                    self._fence = 0
                raise ActionFailed(str(problem)) from problem
            except NodeUnreachable as problem:
                last = problem
        raise ActionFailed(f"no node takes commands to the catalog: {last or 'none answers'}")


def command_json(command: commands.Command) -> dict[str, Any]:
    """A catalog command as the admin port takes it: {"type": its name, field: value, ...}; bytes are base64."""
    fields = {name: msgspec.to_builtins(getattr(command, name)) for name in command.__struct_fields__}
    return {"type": type(command).__name__, **fields}
