"""What requests at this node consume of each table, and the limits that they fall under there."""

from typing import Final

from keystead_core.capacity.limits import WHOLE, Cause, Kind, KindLimits, MeterKey, limits_of, resource_of_table
from keystead_core.cluster_map import TableDefinition
from keystead_core.ids import PartitionId
from keystead_node.api.throttling import CapacityExceeded, capacity_exceeded
from keystead_node.map_keeper import MapKeeper
from keystead_node.metering import Meter, Metering

_NO_LIMITS: Final = KindLimits(None, None)


class KindUse:
    """Units of one kind. `whole`: the limit of all of it; `limits`: also that of each partition."""

    __slots__ = ("by_partition", "consumed", "kind", "limits", "throttled", "whole")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.consumed = 0.0
        self.throttled = 0.0
        self.limits = _NO_LIMITS
        self.whole: Meter | None = None
        self.by_partition: dict[PartitionId, tuple[Meter, ...]] = {}


class TableUse:
    """`table`: as it was when the limits were looked up; another definition has others."""

    __slots__ = ("reads", "table", "writes")

    def __init__(self, table: TableDefinition) -> None:
        self.table = table
        self.reads = KindUse(Kind.READ)
        self.writes = KindUse(Kind.WRITE)

    def exceeded(self, use: KindUse, cause: Cause) -> CapacityExceeded:
        return capacity_exceeded(self.table.name, self.table.billing_mode == "PROVISIONED", use.kind, cause)


class TableUses:
    """Of every table that had a request at this node since it started, and exists."""

    def __init__(self, metering: Metering, keeper: MapKeeper) -> None:
        self.all: dict[str, TableUse] = {}
        self.metering = metering
        self._keeper = keeper
        metering.on_tidy = self._forget_deleted

    def of(self, table: TableDefinition) -> TableUse:
        """The frequent case is a look into a dictionary."""
        use = self.all.get(table.name)
        return use if use is not None and use.table is table else self._renewed(table)

    def _renewed(self, table: TableDefinition) -> TableUse:
        """Limits by the table's definition of now. Allowances stay as long as it is the same table."""
        use = self.all.get(table.name)
        if use is None or use.table.table_id != table.table_id:
            use = self.all[table.name] = TableUse(table)
        use.table = table
        resource = resource_of_table(table)
        for kind_use in (use.reads, use.writes):
            kind_use.limits = limits = limits_of(resource, kind_use.kind, self.metering.settings)
            key = MeterKey(resource.name, kind_use.kind, WHOLE)
            if limits.whole is None:
                kind_use.whole = None
            elif kind_use.whole is None:
                kind_use.whole = self.metering.new_meter(key, limits.whole)
            else:
                kind_use.whole.limit = limits.whole
            kind_use.by_partition.clear()
        return use

    def meters(self, use: KindUse, table: TableDefinition, row_key: bytes) -> tuple[Meter, ...]:
        """All limits that a request about this row falls under; a scan falls under those of where it begins."""
        partition = WHOLE
        if use.limits.partition is not None:
            index = self._keeper.routes.table(table.name)
            entry = index.after(row_key) if index is not None else None
            partition = entry.id if entry is not None else WHOLE
        found = use.by_partition.get(partition)
        if found is None:
            found = use.by_partition[partition] = self._meters_of(use, table, partition)
        return found

    def _meters_of(self, use: KindUse, table: TableDefinition, partition: PartitionId) -> tuple[Meter, ...]:
        meters = [use.whole] if use.whole is not None else []
        if use.limits.partition is not None and partition != WHOLE:
            key = MeterKey(table.name, use.kind, partition)
            meters.append(self.metering.new_meter(key, use.limits.partition))
        return tuple(meters)

    def _forget_deleted(self) -> None:
        tables = self._keeper.map.tables
        for name in [name for name in self.all if name not in tables]:
            del self.all[name]
