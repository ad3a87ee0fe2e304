"""Tables: what the catalog has to what is declared."""

from collections.abc import Iterator

import msgspec

from keystead_core.catalog.commands import TableSpec
from keystead_core.catalog.tables import as_spec
from keystead_core.cluster_map import ClusterMap, TableDefinition
from keystead_operator.plan.actions import Action, CreateTable, DeleteTable, ForgetTable, Note, UpdateTable
from keystead_operator.plan.indexes import plan_indexes
from keystead_operator.plan.state import Desired, Observed
from keystead_operator.spec.resources import DeclaredTable


def plan_tables(desired: Desired, observed: Observed) -> Iterator[Action | Note]:
    """Nothing without a catalog that serves; else each declared table by itself, in the order of their names."""
    if observed.map is None:
        for spec in desired.tables:
            yield Note(subject_of(spec), "CatalogAway", "the catalog has no master that answers")
        return
    claimed: dict[str, str] = {}
    for spec in sorted(desired.tables, key=lambda one: one.resource):
        owner = claimed.setdefault(spec.name, spec.resource)
        if owner != spec.resource and not spec.deleting:
            yield Note(subject_of(spec), "Conflict", f"Table/{owner} declares a table named {spec.name} too")
            continue
        existing = observed.map.tables.get(spec.name)
        if spec.deleting:
            yield from _plan_deletion(spec, existing)
        elif existing is None:
            yield from _plan_creation(spec, observed.map)
        else:
            yield from _plan_update(spec, existing, observed.map)


def subject_of(spec: DeclaredTable) -> str:
    return f"Table/{spec.resource}"


def _plan_creation(spec: DeclaredTable, cluster_map: ClusterMap) -> Iterator[Action | Note]:
    shortage = _shortage(spec, cluster_map)
    if shortage is not None:
        yield shortage
    else:
        yield CreateTable(wanted_table(spec), (*spec.local_indexes, *(spec.global_indexes or ())))


def _shortage(spec: DeclaredTable, cluster_map: ClusterMap) -> Note | None:
    """Why the replicas have no place: the catalog would refuse."""
    serving = [entry for entry in cluster_map.nodes.values() if entry.state == "active"]
    zones = {entry.zone for entry in serving}
    if len(serving) < spec.replicas:
        message = f"{spec.replicas} replicas need as many nodes; {len(serving)} are active"
        return Note(subject_of(spec), "TooFewNodes", message)
    if len(zones) < spec.durable_zones:
        message = f"writes are to be in {spec.durable_zones} zones; {len(zones)} have nodes"
        return Note(subject_of(spec), "TooFewZones", message)
    return None


def _plan_update(spec: DeclaredTable, existing: TableDefinition, cluster_map: ClusterMap) -> Iterator[Action | Note]:
    if existing.status == "DELETING":
        yield Note(subject_of(spec), "Deleting", f"the table {spec.name} is being deleted, then it is made anew")
        return
    if existing.managed_by not in ("", spec.managed_by):
        yield Note(subject_of(spec), "Conflict", f"the table {spec.name} is managed by {existing.managed_by}")
        return
    if (existing.hash_key, existing.range_key) != (spec.hash_key, spec.range_key):
        yield Note(subject_of(spec), "KeysDiffer", f"the table {spec.name} exists with other keys")
        return
    present = sum(entry.table == spec.name for entry in cluster_map.partitions.values())
    most = spec.partitions if spec.partitions_fixed else spec.partitions_max
    if most and present > most:
        message = f"it has {present} partitions, and partitions are not merged: {most} are declared at most"
        yield Note(subject_of(spec), "ChangeNotSupported", message)
    yield from _plan_definition(spec, existing, cluster_map)
    yield from plan_indexes(spec, existing, cluster_map)


def _plan_definition(
    spec: DeclaredTable, existing: TableDefinition, cluster_map: ClusterMap
) -> Iterator[Action | Note]:
    wanted = msgspec.structs.replace(wanted_table(spec), partitions=existing.partitions)
    if wanted == as_spec(existing):
        return
    replicated = (spec.replicas, spec.durable_zones) != (existing.replicas, existing.durable_zones)
    shortage = _shortage(spec, cluster_map) if replicated else None
    yield shortage if shortage is not None else UpdateTable(wanted, spec.managed_by)


def wanted_table(spec: DeclaredTable) -> TableSpec:
    """The table as the catalog is asked to make it."""
    return TableSpec(
        name=spec.name,
        hash_key=spec.hash_key,
        range_key=spec.range_key,
        partitions=spec.partitions,
        replicas=spec.replicas,
        write_quorum=spec.write_quorum,
        durable_zones=spec.durable_zones,
        managed_by=spec.managed_by,
        deletion_protection=spec.deletion_protection,
        tags=spec.tags,
        billing_mode="PROVISIONED" if spec.read_units else "PAY_PER_REQUEST",
        read_units=spec.read_units,
        write_units=spec.write_units,
        partitions_max=spec.partitions if spec.partitions_fixed else spec.partitions_max,
    )


def _plan_deletion(spec: DeclaredTable, existing: TableDefinition | None) -> Iterator[Action | Note]:
    if existing is None or existing.managed_by != spec.managed_by:
        yield ForgetTable(spec.resource)
    elif existing.status == "DELETING":
        yield Note(subject_of(spec), "Deleting", f"the replicas of {spec.name} are being dropped")
    elif spec.retain:
        yield UpdateTable(msgspec.structs.replace(as_spec(existing), managed_by=""), spec.managed_by)
    elif existing.deletion_protection and not spec.deletion_protection:
        unprotected = msgspec.structs.replace(as_spec(existing), deletion_protection=False)
        yield UpdateTable(unprotected, spec.managed_by)
    elif existing.deletion_protection:
        yield Note(subject_of(spec), "DeletionProtected", f"the table {spec.name} has deletion protection")
    else:
        yield DeleteTable(existing.name, spec.managed_by, existing.table_id)
