"""`keystead get`: objects, nodes and partitions as columns, or as JSON."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from keystead_cli.render import shown_range
from keystead_cli.terminal import (
    DATA_DEFAULT,
    DataOption,
    OpenCluster,
    Output,
    OutputOption,
    fail,
    open_cluster,
    print_columns,
    print_json,
    view_of,
)
from keystead_operator.cluster_view import ClusterView, TableView
from keystead_operator.local.inspect import SupervisorReport, read_report
from keystead_operator.local.objects import ObjectStore
from keystead_operator.spec.crd import API_VERSION
from keystead_operator.status import cluster_status, table_conditions, table_status


class What(StrEnum):
    """What can be listed; the short names are those of kubectl."""

    clusters = "clusters"
    storageclusters = "storageclusters"
    ksc = "ksc"
    tables = "tables"
    kst = "kst"
    nodes = "nodes"
    partitions = "partitions"


def get(
    what: Annotated[What, typer.Argument(help="clusters, tables, nodes or partitions.")],
    name: Annotated[str | None, typer.Argument(help="Only this one (partitions: only those of this table).")] = None,
    data: DataOption = DATA_DEFAULT,
    output: OutputOption = Output.text,
) -> None:
    """List clusters, tables, nodes or partitions."""
    opened = open_cluster(data)
    view = view_of(opened)
    match what:
        case What.clusters | What.storageclusters | What.ksc:
            _print(output, *_clusters(opened, view), name)
        case What.tables | What.kst:
            _print(output, *_tables(opened, view), name)
        case What.nodes:
            _print(output, *_nodes(view), name)
        case What.partitions:
            _print(output, *_partitions(view, name), None)


Rows = list[list[str]]


def _print(output: Output, header: list[str], rows: Rows, items: list[dict[str, Any]], name: str | None) -> None:
    """`rows` and `items` are parallel; the first cell of a row is its name."""
    kept = [number for number, row in enumerate(rows) if name is None or row[0] == name]
    if name is not None and not kept:
        fail(f'"{name}" not found')
    if output is Output.json:
        chosen = [items[number] for number in kept]
        print_json(chosen[0] if name is not None else {"apiVersion": "v1", "kind": "List", "items": chosen})
    else:
        print_columns(header, [rows[number] for number in kept])


def _clusters(opened: OpenCluster, view: ClusterView) -> tuple[list[str], Rows, list[dict[str, Any]]]:
    header = ["NAME", "READY", "NODES", "DESIRED", "ZONES", "TABLES", "PARTITIONS", "REASON", "AGE"]
    rows, items = [], []
    for manifest in ObjectStore(opened.data).list("StorageCluster"):
        status = cluster_status(view)
        available = status["conditions"][0]
        counts = [str(status[field]) for field in ("zones", "tables", "partitions")]
        rows.append(
            [
                manifest["metadata"]["name"],
                available["status"],
                str(status["readyNodes"]),
                str(manifest["spec"]["nodes"]),
                *counts,
                available["reason"],
                _age(manifest["metadata"]["creationTimestamp"]),
            ]
        )
        items.append({**manifest, "status": status})
    return header, rows, items


def _tables(opened: OpenCluster, view: ClusterView) -> tuple[list[str], Rows, list[dict[str, Any]]]:
    header = ["NAME", "READY", "PARTITIONS", "REPLICAS", "CAPACITY", "MASTERS", "REASON", "AGE"]
    rows, items = [], []
    report = read_report(opened.data)
    managed = set()
    for manifest in ObjectStore(opened.data).list("Table"):
        metadata, spec = manifest["metadata"], manifest["spec"]
        table = view.table(spec.get("tableName", metadata["name"]))
        if table is not None and table.managed_by == f"Table/{metadata['name']}":
            managed.add(table.name)
        else:
            table = None
        status = _table_status(view, table, report, metadata["name"])
        rows.append(_table_row(metadata["name"], status, _capacity(spec), _age(metadata["creationTimestamp"])))
        items.append({**manifest, "status": status})
    for table in view.tables:
        if table.name not in managed:
            status = _table_status(view, table, report, "")
            rows.append(_table_row(table.name, status, "-", "-"))
            items.append(
                {"apiVersion": API_VERSION, "kind": "Table", "metadata": {"name": table.name}, "status": status}
            )
    return header, rows, items


def _table_status(view: ClusterView, table: TableView | None, report: SupervisorReport, name: str) -> dict[str, Any]:
    note = "; ".join(note.message for note in report.notes if note.subject == f"Table/{name}")
    return table_status(view, table, table_conditions(view, table, note))


def _table_row(name: str, status: dict[str, Any], capacity: str, age: str) -> list[str]:
    available = status["conditions"][0]
    return [
        name,
        available["status"],
        str(status.get("partitions", "-")),
        status.get("replicas", "-"),
        capacity,
        status.get("mastersBalanced", "-"),
        available["reason"],
        age,
    ]


def _capacity(spec: dict[str, Any]) -> str:
    capacity = spec["capacity"]
    return f"{capacity['read']} read, {capacity['write']} write" if "read" in capacity else "on demand"


def _nodes(view: ClusterView) -> tuple[list[str], Rows, list[dict[str, Any]]]:
    header = ["NAME", "STATE", "ZONE", "PORT", "PID", "ID", "PROBLEM"]
    rows = [
        [node.name, node.state, node.zone, str(node.port), str(node.pid or "-"), node.id or "-", node.problem or "-"]
        for node in view.nodes
    ]
    return header, rows, [msgspec.to_builtins(node) for node in view.nodes]


def _partitions(view: ClusterView, table_name: str | None) -> tuple[list[str], Rows, list[dict[str, Any]]]:
    if view.map_version is None:
        fail("no node answers: partitions are unknown")
    if table_name is not None and view.table(table_name) is None:
        fail(f'table "{table_name}" not found')
    header = ["ID", "TABLE", "RANGE", "EPOCH", "MEMBERSHIP", "MASTER", "REPLICAS"]
    rows, items = [], []
    for table in view.tables:
        for partition in table.partitions if table_name in (None, table.name) else []:
            replicas = ",".join(f"{replica.node}:{replica.role}" for replica in partition.replicas)
            numbers = [str(partition.epoch), str(partition.membership_version)]
            where = shown_range(partition.range)
            rows.append([str(partition.id), table.name, where, *numbers, partition.master or "none", replicas])
            items.append(msgspec.to_builtins(partition))
    return header, rows, items


def _age(created: str) -> str:
    """Time since then as kubectl shows it: the largest unit."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"
