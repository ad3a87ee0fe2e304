"""Pictures of a cluster for people: what `status` prints and what `up` shows live."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from keystead_operator.cluster_view import ClusterView, KeyRange, NodeView, PartitionView, ReplicaView
from keystead_operator.rescale_progress import RescaleProgress

PLAIN_WIDTH = 200
PARTITIONS_SHOWN_MAX = 40
_STATE_STYLES = {"active": "green", "maintenance": "yellow", "starting": "yellow"}


def console() -> Console:
    """A console that does not cut lines where nobody looks."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def shown_range(key_range: KeyRange) -> str:
    """The first digits of a range of row keys."""
    high = "end" if key_range.high is None else _digits(key_range.high)
    return f"{_digits(key_range.low) if key_range.low else 'start'}..{high}"


def _digits(key: str) -> str:
    return key[:4].ljust(4, "0") if len(key) <= 16 else f"{key[:4]}…"


def cluster_picture(view: ClusterView, partitions_max: int = PARTITIONS_SHOWN_MAX) -> RenderableType:
    """Nodes, then partitions with their replicas."""
    return Group(Text(f"endpoint {view.endpoint}"), _nodes(view), _partitions(view, partitions_max))


def rescale_line(rescale: RescaleProgress, width: int = 30) -> Text:
    """A bar: how many of the replicas that have to move have."""
    share = rescale.moved / rescale.to_move if rescale.to_move else 1.0
    bar = "#" * int(share * width)
    text = f"rescale [{bar:<{width}}] {rescale.moved}/{rescale.to_move} replicas moved, {rescale.moving} on the way"
    if rescale.seconds_left is not None and rescale.moved < rescale.to_move:
        text += f", about {rescale.seconds_left} s left"
    if rescale.leaving:
        text += f"; leaving: {', '.join(rescale.leaving)}"
    return Text(text, style="yellow")


def _nodes(view: ClusterView) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("NODE", "STATE", "ZONE", "PORT", "PID", "ID", "MASTERS"):
        table.add_column(name, no_wrap=True)
    for node in view.nodes:
        table.add_row(
            node.name,
            Text(_node_state(node), style=_STATE_STYLES.get(node.state, "red")),
            node.zone,
            str(node.port),
            str(node.pid or "-"),
            node.id or "-",
            str(_masters(view, node.name)),
        )
    return table


def _node_state(node: NodeView) -> str:
    return f"{node.state} ({node.problem})" if node.problem and node.state != "active" else node.state


def _masters(view: ClusterView, name: str) -> int:
    return sum(partition.master == name for table in view.tables for partition in table.partitions)


def _partitions(view: ClusterView, partitions_max: int) -> RenderableType:
    if view.map_version is None:
        return Text("no node answers: tables and partitions are unknown", style="red")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("TABLE", "PARTITION", "RANGE", "EPOCH", "MEMBERSHIP", "MASTER", "REPLICAS"):
        table.add_column(name, no_wrap=name != "REPLICAS")
    shown = ([view.catalog] if view.catalog is not None else []) + [
        partition for one in view.tables for partition in one.partitions
    ]
    for partition in shown[:partitions_max]:
        _add_partition(table, partition)
    for one in view.tables:
        if not one.partitions:
            table.add_row(one.name, "-", "-", "-", "-", "-", one.state)
    below = [Text(f"and {len(shown) - partitions_max} more partitions")] if len(shown) > partitions_max else []
    below += [Text(line, style="red") for line in _ways_back(shown)]
    return Group(table, *below) if below else table


def _ways_back(partitions: list[PartitionView]) -> list[str]:
    """With which volumes partitions come back that have lost their majority: a line for each way."""
    by_way: dict[str, list[PartitionView]] = {}
    for partition in partitions:
        if partition.way_back:
            by_way.setdefault(partition.way_back, []).append(partition)
    return [
        f"{_partitions_named(those)} come{'s' if len(those) == 1 else ''} back with the volume of {way}"
        for way, those in by_way.items()
    ]


def _partitions_named(partitions: list[PartitionView]) -> str:
    tables = ", ".join(dict.fromkeys(partition.table or "the catalog" for partition in partitions))
    if len(partitions) == 1:
        return f"partition {partitions[0].id} of {tables}"
    return f"{len(partitions)} partitions of {tables}"


def _add_partition(table: Table, partition: PartitionView) -> None:
    table.add_row(
        partition.table or "(catalog)",
        str(partition.id),
        shown_range(partition.range),
        str(partition.epoch),
        str(partition.membership_version),
        Text(partition.master or "none", style="green" if partition.master else "red"),
        ", ".join(_replica(replica) for replica in partition.replicas),
    )


def _replica(replica: ReplicaView) -> str:
    text = f"{replica.node} {replica.role}"
    if replica.last_lsn is not None:
        text += f" @{replica.last_lsn}"
    if replica.lag:
        text += f" -{replica.lag}"
    if not replica.eligible and replica.role not in ("unreachable", "absent", "learner"):
        text += f" ({replica.why_not})"
    return text
