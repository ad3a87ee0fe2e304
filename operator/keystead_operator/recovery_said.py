"""How far going on with a minority is, or when it was and what was lost (docs/decisions/0012), for people. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from keystead_core.cluster_map import NodeEntry, PartitionEntry
from keystead_core.ids import NodeId


def recovery_of(entry: PartitionEntry, nodes: Mapping[NodeId, NodeEntry]) -> str:
    """How far a recovery is, or was, as a sentence without an end; "" where there was none."""
    recovery = entry.recovery
    if recovery is None:
        return ""
    if recovery.source is None:
        waits = [node.id for node in nodes.values() if node.state != "left" and node.id not in recovery.heard]
        if waits:
            return f"being recovered: {_named(waits, nodes)} must take part in its old group no more first"
        return "being recovered, but nothing that is left of it has rows: what it held is lost, unless from a backup"
    source = f"what {_named([recovery.source.node], nodes)} had, up to record {recovery.source.lsn}"
    if not recovery.done:
        return f"being recovered: it is made of {source} of partition {recovery.old}"
    when = datetime.fromtimestamp(recovery.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    lost = f"what was acknowledged behind that is lost with {_named(recovery.gone, nodes)}"
    return f"recovered at {when} from {source}: {lost}"


def _named(ids: list[NodeId], nodes: Mapping[NodeId, NodeEntry]) -> str:
    """Names with ids, for one name may have had several volumes."""
    return ", ".join(f"{nodes[one].name} (node id {one})" if one in nodes else one for one in ids) or "no node"
