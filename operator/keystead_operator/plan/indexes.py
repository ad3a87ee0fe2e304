"""Global indexes of a table that is there: dropped, given other units, added; one comes or goes at a time."""

from collections.abc import Iterator

from keystead_core.catalog.table_changes import IndexUnits
from keystead_core.cluster_map import ClusterMap, IndexDefinition, IndexSpec, TableDefinition
from keystead_operator.plan.actions import Action, ChangeIndexes, Note
from keystead_operator.spec.resources import DeclaredTable


def plan_indexes(spec: DeclaredTable, existing: TableDefinition, cluster_map: ClusterMap) -> Iterator[Action | Note]:
    """What brings the indexes nearer to those declared. Where the spec says nothing of them they stay as they are."""
    if spec.local_indexes and not _same_local(spec, existing):
        message = "local indexes come and go with their table: it has others than are declared"
        yield Note(spec.managed_by, "ChangeNotSupported", message)
    if spec.global_indexes is None or existing.status != "ACTIVE":
        return
    present = {index.name: index for index in existing.indexes if index.is_global}
    wanted = {index.name: index for index in spec.global_indexes}
    gone = [name for name, index in present.items() if name not in wanted or not is_same(index, wanted[name])]
    if gone:
        yield ChangeIndexes(spec.name, spec.managed_by, old=gone[0])
        return
    units = tuple(
        IndexUnits(name=name, read_units=wanted[name].read_units, write_units=wanted[name].write_units)
        for name, index in present.items()
        if index.status == "ACTIVE" and _units(index) != _units(wanted[name])
    )
    if units:
        yield ChangeIndexes(spec.name, spec.managed_by, units=units)
    missing = [index for name, index in wanted.items() if name not in present]
    if missing:
        waits = _why_not_now(existing, cluster_map)
        yield (
            Note(spec.managed_by, "IndexWaits", f"index {missing[0].name} waits: {waits}")
            if waits
            else ChangeIndexes(spec.name, spec.managed_by, new=missing[0])
        )


def is_same(index: IndexDefinition, wanted: IndexSpec) -> bool:
    """Whether it has these keys and this projection: an index with others is another one."""
    keys_fit = (index.hash, index.range) == (wanted.hash, wanted.range)
    return keys_fit and (index.projection, sorted(index.included)) == (wanted.projection, wanted.included)


def _same_local(spec: DeclaredTable, existing: TableDefinition) -> bool:
    present = {index.name: index for index in existing.indexes if not index.is_global}
    wanted = {index.name: index for index in spec.local_indexes}
    return present.keys() == wanted.keys() and all(is_same(present[name], wanted[name]) for name in wanted)


def _units(index: IndexSpec) -> tuple[int, int]:
    return index.read_units, index.write_units


def _why_not_now(existing: TableDefinition, cluster_map: ClusterMap) -> str:
    """Why the catalog would not take another index now, or ""."""
    filling = [index.name for index in existing.indexes if index.is_global and index.status != "ACTIVE"]
    if filling:
        return f"{filling[0]} is being filled"
    entries = [entry for entry in cluster_map.partitions.values() if entry.table == existing.name]
    return "a partition is being split" if any(entry.split or entry.left for entry in entries) else ""
