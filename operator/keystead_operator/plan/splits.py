"""Splits that tables' units and declared numbers of partitions ask for. The decision is the core's (split/dial_up.py).

Tables made through the API are looked at too, as their units rise there, and global indexes, by units of their own.
What is on its way is told by a note, before the first split is made and until the last has settled; taking the units
back, or `max`, ends it where it stands.
"""

from collections.abc import Iterator
from typing import Any, Final

from keystead_core.catalog.indexes import being_filled
from keystead_core.cluster_map import ClusterMap, PartitionEntry, TableDefinition
from keystead_core.split.dial_up import DialUp, PartitionLimits, dial_up, partitions_for
from keystead_operator.plan.actions import Action, Note, PlanSplit
from keystead_operator.plan.state import Desired, Observed
from keystead_operator.spec.resources import DeclaredTable

SPLITS_MAX: Final = 8
"""Of the cluster, on their way at once."""
SPLITTING: Final = "Splitting"


def plan_splits(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """Nothing without a catalog that serves."""
    if observed.map is None:
        return
    declared = {spec.name: spec for spec in desired.tables}
    limits = limits_of(desired.cluster.capacity)
    room = SPLITS_MAX - sum(entry.split is not None for entry in observed.map.partitions.values())
    for name, entries in sorted(_by_table(observed.map).items()):
        table = observed.map.tables[name]
        if table.status != "ACTIVE" or being_filled(observed.map.tables, table):
            continue
        spec = declared.get(name)
        step = dial_up(entries, wanted_partitions(table, spec, limits))
        if not step.splits and not step.under_way:
            continue
        yield Note(table.managed_by or f"StorageCluster/{desired.cluster.name}", SPLITTING, said(name, entries, step))
        for cut in step.cuts[: max(0, room)]:
            room -= 1
            yield PlanSplit(cut.partition, cut.at, "capacity")


def wanted_partitions(table: TableDefinition, spec: DeclaredTable | None, limits: PartitionLimits) -> int:
    """What the units need, between what is declared."""
    wanted = partitions_for(table.read_units, table.write_units, limits) if table.read_units else 1
    if spec is None:
        return min(wanted, table.partitions_max) if table.partitions_max else wanted
    if spec.partitions_fixed:
        return spec.partitions
    wanted = max(wanted, spec.partitions)
    return min(wanted, spec.partitions_max) if spec.partitions_max else wanted


def limits_of(capacity: dict[str, Any]) -> PartitionLimits:
    """As the nodes have them: what the StorageCluster says, else the defaults."""
    default = PartitionLimits()
    return PartitionLimits(
        capacity.get("partition_read_units", default.read_units),
        capacity.get("partition_write_units", default.write_units),
    )


def said(name: str, entries: list[PartitionEntry], step: DialUp) -> str:
    """Where a table is on its way, in a sentence."""
    left = f"{step.splits} splits to go in {step.generations} generations" if step.splits else "no split to go"
    return f"{name} has {len(entries)} of {step.wanted} partitions: {step.under_way} splits under way, {left}"


def _by_table(cluster_map: ClusterMap) -> dict[str, list[PartitionEntry]]:
    found: dict[str, list[PartitionEntry]] = {}
    for entry in cluster_map.partitions.values():
        if entry.table:
            found.setdefault(entry.table, []).append(entry)
    return found
