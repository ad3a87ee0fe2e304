"""The node registry: who registers, rests and leaves.

(unknown) --register--> active <--set_state--> maintenance
                          |                        |
                          +--------leave-----------+--> left, for ever
"""

import msgspec

from keystead_core.catalog.commands import NodeLeft, RegisterNode, SetNodeState
from keystead_core.catalog.contents import Contents
from keystead_core.catalog.results import (
    BOOT_TOO_OLD,
    INVALID,
    NODE_LEFT,
    NODE_NOT_EMPTY,
    NODE_UNKNOWN,
    WRONG_CLUSTER,
    CatalogReply,
    Refused,
)
from keystead_core.cluster_map import NodeEntry
from keystead_core.ids import NodeId


def register(contents: Contents, command: RegisterNode) -> CatalogReply:
    """Takes a node in, or what it says of itself at a new boot."""
    node = command.node
    if command.cluster != contents.meta.cluster:
        raise Refused(
            WRONG_CLUSTER,
            f"node {node.id} belongs to cluster {command.cluster}, this is cluster {contents.meta.cluster}",
        )
    if not node.id or not node.zone or node.boot < 1:
        raise Refused(INVALID, "a node needs an id, a zone and a boot number of 1 or more")
    known = contents.nodes.get(node.id)
    entry = msgspec.structs.replace(node, state=known.state if known else "active")
    if known is not None:
        _check_boot(known, entry)
    if known != entry:
        contents.put_node(entry)
    return CatalogReply()


def _check_boot(known: NodeEntry, entry: NodeEntry) -> None:
    """A volume that was rolled back, cloned or attached twice must not speak for its node."""
    if known.state == "left":
        raise Refused(NODE_LEFT, f"node {entry.id} has left the cluster for good: its volume must become a new node")
    if entry.boot < known.boot:
        raise Refused(
            BOOT_TOO_OLD,
            f"node {entry.id} was seen at boot {known.boot}, this is boot {entry.boot}: "
            "the volume is an old copy and must become a new node",
        )
    if entry.boot == known.boot and entry != known:
        raise Refused(
            BOOT_TOO_OLD,
            f"another process of node {entry.id} has registered boot {entry.boot} with other addresses: "
            "the volume is attached twice",
        )


def leave(contents: Contents, command: NodeLeft) -> CatalogReply:
    """Marks a node as left; its id never serves again."""
    known = _known(contents, command.node)
    if known.state == "left":
        return CatalogReply()
    if command.only_if_empty:
        held = sum(
            any(place.node == known.id for place in (*entry.target, *entry.members))
            for entry in contents.partitions.values()
        )
        if held:
            raise Refused(NODE_NOT_EMPTY, f"node {known.name} ({known.id}) still holds replicas of {held} partitions")
    contents.put_node(msgspec.structs.replace(known, state="left"))
    return CatalogReply()


def set_state(contents: Contents, command: SetNodeState) -> CatalogReply:
    """Takes a node into maintenance, or back."""
    known = _known(contents, command.node)
    if command.state not in ("active", "maintenance"):
        raise Refused(INVALID, f"a node's state is active or maintenance, not {command.state!r}")
    if known.state == "left":
        raise Refused(NODE_LEFT, f"node {known.name} ({known.id}) has left the cluster for good")
    if known.state != command.state:
        contents.put_node(msgspec.structs.replace(known, state=command.state))
    return CatalogReply()


def _known(contents: Contents, node: NodeId) -> NodeEntry:
    known = contents.nodes.get(node)
    if known is None:
        raise Refused(NODE_UNKNOWN, f"no node {node} has ever registered")
    return known
