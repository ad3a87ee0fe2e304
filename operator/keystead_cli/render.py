"""Pictures of a cluster for people: what `status` prints and what `up` shows live."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from keystead_operator.cluster_view import ClusterView, KeyRange, NodeView, PartitionView, ReplicaView
from keystead_operator.rescale_progress import RescaleProgress

PLAIN_WIDTH = 200
PARTITIONS_SHOWN_MAX = 40
BAR_WIDTH = 12
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
    page = [Text(f"picture {view.page}")] if view.page else []
    return Group(
        Text(f"endpoint {view.endpoint}"), *page, _nodes(view), *_splits(view), _partitions(view, partitions_max)
    )


def bar(value: float, most: float, width: int = BAR_WIDTH) -> str:
    """`value` against `most`, which fills it; anything above 0 is seen."""
    filled = min(width, max(round(width * value / most), int(value > 0))) if most > 0 else 0
    return "#" * filled + "." * (width - filled)


def shown_load(load: float) -> str:
    return "<1%" if 0 < load < 0.01 else f"{load:.0%}"


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
    for name in ("NODE", "STATE", "ZONE", "PORT", "PID", "ID", "MASTERS", "REPLICAS", "LOAD"):
        table.add_column(name, no_wrap=True)
    masters = max((node.masters for node in view.nodes), default=0)
    replicas = max((node.replicas for node in view.nodes), default=0)
    load = max((node.load for node in view.nodes), default=0.0)
    for node in view.nodes:
        table.add_row(
            node.name,
            Text(_node_state(node), style=_STATE_STYLES.get(node.state, "red")),
            node.zone,
            str(node.port),
            str(node.pid or "-"),
            node.id or "-",
            f"{bar(node.masters, masters)} {node.masters}",
            f"{bar(node.replicas, replicas)} {node.replicas}",
            f"{bar(node.load, load)} {shown_load(node.load)}",
        )
    return table


def _node_state(node: NodeView) -> str:
    return f"{node.state} ({node.problem})" if node.problem and node.state != "active" else node.state


def _splits(view: ClusterView) -> list[Text]:
    """A line for each that is under way."""
    partitions = [partition for table in view.tables for partition in table.partitions]
    return [Text(f"{one.table}: {one.split}", style="yellow") for one in partitions if one.split is not None]


def _partitions(view: ClusterView, partitions_max: int) -> RenderableType:
    if view.map_version is None:
        return Text("no node answers: tables and partitions are unknown", style="red")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("TABLE", "PARTITION", "RANGE", "EPOCH", "MEMBERSHIP", "LOAD", "MASTER", "REPLICAS"):
        table.add_column(name, no_wrap=name != "REPLICAS")
    shown = ([view.catalog] if view.catalog is not None else []) + [
        partition for one in view.tables for partition in one.partitions
    ]
    for partition in shown[:partitions_max]:
        _add_partition(table, partition)
    for one in view.tables:
        if not one.partitions:
            table.add_row(one.name, "-", "-", "-", "-", "-", "-", one.state)
    below = [Text(f"and {len(shown) - partitions_max} more partitions")] if len(shown) > partitions_max else []
    below += [Text(line, style="red") for line in _ways_back(shown)]
    below += [Text(line, style=style) for line, style in _recoveries(shown)]
    return Group(table, *below) if below else table


def _recoveries(partitions: list[PartitionView]) -> list[tuple[str, str]]:
    """Lines with their style: what was lost is shown for as long as the partition is there."""
    return [
        (f"partition {one.id} of {one.table}: {one.recovery}", "red" if one.recovering else "yellow")
        for one in partitions
        if one.recovery
    ]


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
        Text(shown_load(partition.load), style=_load_style(partition.load)),
        Text(partition.master or "none", style="green" if partition.master else "red"),
        ", ".join(_replica(replica) for replica in partition.replicas),
    )


def _load_style(load: float) -> str:
    return "red" if load > 0.8 else "yellow" if load > 0.5 else ""


def _replica(replica: ReplicaView) -> str:
    text = f"{replica.node} {replica.role}"
    if replica.last_lsn is not None:
        text += f" @{replica.last_lsn}"
    if replica.lag:
        text += f" -{replica.lag}"
    if not replica.eligible and replica.role not in ("unreachable", "absent", "learner"):
        text += f" ({replica.why_not})"
    return text
