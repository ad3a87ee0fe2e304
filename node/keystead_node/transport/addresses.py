"""Addresses of nodes, host:port with IPv6 hosts in brackets; and which of those heard of a node is its last."""

from keystead_core.cluster_map import NodeEntry
from keystead_core.ids import Boot, NodeId


class AddressError(ValueError):
    """Not host:port."""


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """(host, port). Raises AddressError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise AddressError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


class AddressBook:
    """What nodes said of themselves when they greeted this one.

    A node has one address for each boot, so that of two addresses the one of the higher boot is right. The registry
    comes to the same, but only while the catalog has a master: a node that comes back elsewhere is to be heard before.
    """

    def __init__(self) -> None:
        self._heard: dict[NodeId, tuple[Boot, str]] = {}

    def hear(self, node: NodeId, boot: Boot, address: str) -> bool:
        """Whether that was news. `boot` is the volume's."""
        known = self._heard.get(node)
        if not address or (known is not None and known[0] >= boot):
            return False
        self._heard[node] = (boot, address)
        return True

    def last(self, node: NodeId, entry: NodeEntry | None) -> tuple[Boot, str] | None:
        """(boot, address), of what was heard and what the registry says."""
        heard = self._heard.get(node)
        if entry is None or (heard is not None and heard[0] > entry.boot):
            return heard
        return entry.boot, entry.peer_address

    def of_entry(self, entry: NodeEntry) -> str:
        last = self.last(entry.id, entry)
        return last[1] if last is not None else entry.peer_address

    def of_node(self, node: NodeId, last_known: str) -> str:
        """For a node that no map has; `last_known` where it has not been heard."""
        return self._heard[node][1] if node in self._heard else last_known
