"""The catalog's state machine: one committed command in, a reply and row changes out.

    apply(command, lsn) -> CatalogResult

Deterministic: every replica that applies the same commands at the same LSNs has the same rows and gave the same
replies. No clock, no randomness, no order of a dict or set decides anything. A command is checked whole before anything
changes; a refused one changes nothing. The state is its rows: rebuilt from them it is the state that the log made.
"""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from keystead_core.catalog import groups, indexes, nodes, recoveries, splits, tables
from keystead_core.catalog.commands import (
    ChangeTable,
    Command,
    CreateTable,
    DeleteTable,
    Fence,
    InitCluster,
    NodeLeft,
    PlanSplit,
    Recover,
    RefuseSplit,
    RegisterNode,
    ReportFilled,
    ReportGroups,
    ReportRetired,
    ReportSplit,
    SetNodeState,
    SetTarget,
    SettleSplit,
    TakeLocks,
    UpdateSettings,
    UpdateTable,
)
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.results import (
    ALREADY_INITIALISED,
    FENCE_TOO_OLD,
    INVALID,
    NOT_INITIALISED,
    CatalogReply,
    CatalogResult,
    Refused,
)
from keystead_core.catalog.rows import Lock
from keystead_core.cluster_map import CATALOG_TABLE, ClusterMap, ClusterSettings, MapDelta, PartitionEntry
from keystead_core.ids import CATALOG_PARTITION, Lsn, PartitionId, ReplicaId


class CatalogState:
    """The catalog as of the last applied record."""

    def __init__(self) -> None:
        self._contents = Contents()

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[bytes, bytes]]) -> "CatalogState":
        """The state that the rows hold, in whatever order they come. Raises CatalogRowError."""
        state = cls()
        state._contents = Contents.from_rows(rows)
        return state

    def rows(self) -> list[tuple[bytes, bytes]]:
        """Every row, sorted by key."""
        return self._contents.rows()

    def apply(self, command: Command, lsn: Lsn) -> CatalogResult:
        """Applies the committed command of the record at `lsn`; LSNs rise from call to call."""
        contents = self._contents
        contents.begin(lsn)
        try:
            reply = self._dispatch(command)
        except Refused as refusal:
            reply = CatalogReply(error=refusal.code, message=str(refusal))
        rows = contents.finish()
        assert not (reply.error and rows), f"a refused command changed rows: {reply.message}"
        return CatalogResult(msgspec.structs.replace(reply, version=contents.meta.version), rows)

    def map(self) -> ClusterMap:
        """The map as it is now; later commands do not touch what was given out."""
        return self._contents.map()

    def delta(self, since_version: int) -> MapDelta:
        """What changed in the map after a version; the whole map where that is not known any more."""
        return self._contents.delta(since_version)

    @property
    def version(self) -> int:
        """The map's version."""
        return self._contents.meta.version

    @property
    def cluster(self) -> str:
        """The cluster's id; "" before InitCluster."""
        return self._contents.meta.cluster

    @property
    def fence(self) -> int:
        """The number of the operator in office; nodes refuse older ones."""
        return self._contents.meta.fence

    @property
    def settings(self) -> ClusterSettings:
        """The cluster's settings."""
        return self._contents.meta.settings

    def lock(self, partition: PartitionId) -> Lock | None:
        """A group's lock as last taken."""
        return self._contents.locks.get(partition)

    def _dispatch(self, command: Command) -> CatalogReply:
        if isinstance(command, InitCluster):
            return self._init(command)
        if not self._contents.meta.cluster:
            raise Refused(NOT_INITIALISED, "the cluster has not been formed yet: its catalog is empty")
        self._check_fence(command)
        match command:
            case RegisterNode():
                return nodes.register(self._contents, command)
            case NodeLeft():
                reply = nodes.leave(self._contents, command)
                recoveries.look_again(self._contents)
                return reply
            case SetNodeState():
                return nodes.set_state(self._contents, command)
            case CreateTable():
                return tables.create(self._contents, command)
            case UpdateTable():
                return tables.update(self._contents, command)
            case DeleteTable():
                return tables.delete(self._contents, command)
            case TakeLocks():
                return groups.take_locks(self._contents, command)
            case ReportGroups():
                reply = groups.report(self._contents, command)
                recoveries.finish(self._contents, command)
                return reply
            case SetTarget():
                return groups.set_target(self._contents, command)
            case Fence():
                return self._take_office(command)
            case UpdateSettings():
                return self._update_settings(command)
            case ChangeTable():
                return tables.change(self._contents, command)
            case ReportFilled():
                indexes.report_filled(self._contents, command)
                return CatalogReply()
            case PlanSplit():
                return splits.plan(self._contents, command)
            case RefuseSplit():
                return splits.refuse(self._contents, command)
            case ReportSplit():
                return splits.report(self._contents, command)
            case SettleSplit():
                return splits.settle(self._contents, command)
            case Recover():
                return recoveries.recover(self._contents, command)
            case ReportRetired():
                return recoveries.report(self._contents, command)
            case _:
                assert_never(command)

    def _init(self, command: InitCluster) -> CatalogReply:
        contents = self._contents
        if contents.meta.cluster:
            entry = contents.partitions[CATALOG_PARTITION]
            if contents.meta.cluster == command.cluster and entry.founders == command.catalog:
                return CatalogReply()
            raise Refused(ALREADY_INITIALISED, f"this is the catalog of cluster {contents.meta.cluster} already")
        ids = [place.replica for place in command.catalog]
        if not command.cluster or not ids or len(set(ids)) < len(ids) or min(ids) < 1:
            raise Refused(INVALID, "a cluster needs an id and catalog members with replica ids of their own, from 1 on")
        _check_settings(command.settings)
        contents.meta.cluster = command.cluster
        contents.meta.settings = command.settings
        contents.meta.next_replica = ReplicaId(max(ids) + 1)
        voters = [place for place in command.catalog if place.role == "voter"]
        zones = min(command.settings.durable_zones, len({place.zone for place in voters}))
        contents.put_partition(
            PartitionEntry(
                id=CATALOG_PARTITION,
                table=CATALOG_TABLE,
                low=b"",
                high=None,
                generation=1,
                founders=command.catalog,
                target=command.catalog,
                members=command.catalog,
                write_quorum=max(command.settings.write_quorum, len(voters) // 2 + 1),
                durable_zones=zones,
                founding_write_quorum=command.settings.write_quorum,
                founding_durable_zones=zones,
                founding_lease_ms=command.settings.lease_ms,
            )
        )
        return CatalogReply()

    def _check_fence(self, command: Command) -> None:
        """Refuses what an operator says that is not in office any more."""
        match command:
            case NodeLeft() | SetTarget() | UpdateSettings():
                number = command.fence
            case SetNodeState() | CreateTable() | UpdateTable() | ChangeTable() | DeleteTable() | PlanSplit():
                if command.fence == 0:
                    return
                number = command.fence
            case (
                InitCluster()
                | RegisterNode()
                | TakeLocks()
                | ReportGroups()
                | Fence()
                | ReportFilled()
                | RefuseSplit()
                | ReportSplit()
                | SettleSplit()
                | Recover()
                | ReportRetired()
            ):
                return
            case _:
                assert_never(command)
        current, holder = self._contents.meta.fence, self._contents.meta.fence_holder
        if number < 1:
            raise Refused(INVALID, "only an operator that has taken office may say this: its number is missing")
        if number < current:
            raise Refused(FENCE_TOO_OLD, f"operator number {number} is out of office: {holder} took {current}")
        if number > current:
            raise Refused(INVALID, f"operator number {number} was never given out; the last one is {current}")

    def _take_office(self, command: Fence) -> CatalogReply:
        meta = self._contents.meta
        meta.fence = max(meta.fence, command.lease_transitions) + 1
        meta.fence_holder = command.holder
        self._contents.save_meta()
        return CatalogReply(fence=meta.fence)

    def _update_settings(self, command: UpdateSettings) -> CatalogReply:
        _check_settings(command.settings)
        if command.settings != self._contents.meta.settings:
            self._contents.meta.settings = command.settings
            self._contents.touch_map()
        return CatalogReply()


def _check_settings(settings: ClusterSettings) -> None:
    """Refuses defaults with which no table could be made."""
    tables.check_quorum(settings.replicas, settings.write_quorum, settings.durable_zones)
    if settings.partitions < 1 or settings.peers_max < 1 or settings.lease_ms < 1:
        raise Refused(INVALID, "partitions, peers_max and lease_ms of the cluster's settings must be 1 or more")
