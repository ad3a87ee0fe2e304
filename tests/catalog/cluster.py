"""A catalog under test: commands go in one after the other, and a row store follows the row changes."""

from keystead_core.catalog.commands import (
    Command,
    CreateTable,
    Fence,
    GroupReport,
    InitCluster,
    RegisterNode,
    ReportGroups,
    TableSpec,
    decode_command,
    encode_command,
)
from keystead_core.catalog.results import CatalogReply
from keystead_core.catalog.state import CatalogState
from keystead_core.cluster_map import ClusterSettings, KeyAttribute, NodeEntry, PartitionEntry, ReplicaTarget
from keystead_core.ids import NodeId, ReplicaId

CLUSTER = "c1"


def make_node(number: int, zones: int = 3, boot: int = 1, host: str | None = None, name: str = "") -> NodeEntry:
    return NodeEntry(
        id=NodeId(f"{number:016x}"),
        name=name or f"node-{number}",
        zone=f"zone-{number % zones}",
        host=f"host-{number}" if host is None else host,
        disk="",
        api_address=f"127.0.0.1:{8000 + number}",
        peer_address=f"127.0.0.1:{9000 + number}",
        admin_address=f"127.0.0.1:{7000 + number}",
        boot=boot,
        state="active",
    )


def make_table(name: str = "orders", **fields: object) -> TableSpec:
    return TableSpec(name=name, hash_key=KeyAttribute("id", "S"), **fields)  # type: ignore[arg-type]


class Catalog:
    """`rows` is what a row store would hold after every command so far."""

    def __init__(self) -> None:
        self.state = CatalogState()
        self.rows: dict[bytes, bytes] = {}
        self.lsn = 0

    def apply(self, command: Command) -> CatalogReply:
        self.lsn += 1
        result = self.state.apply(decode_command(encode_command(command)), self.lsn)
        assert len({key for key, _ in result.rows}) == len(result.rows)
        for key, value in result.rows:
            if value is None:
                del self.rows[key]
            else:
                self.rows[key] = value
        return result.reply

    def accept(self, command: Command) -> CatalogReply:
        reply = self.apply(command)
        assert reply.error == "", reply.message
        return reply

    def refuse(self, command: Command, error: str) -> str:
        before = self.state.rows()
        reply = self.apply(command)
        assert reply.error == error
        assert self.state.rows() == before
        return reply.message

    def take_office(self, holder: str = "operator-1", transitions: int = 0) -> int:
        return self.accept(Fence(holder, transitions)).fence

    def make_table(self, name: str = "orders", **fields: object) -> list[PartitionEntry]:
        """Creates a table, lets every partition report a master, and returns its partitions."""
        self.accept(CreateTable(make_table(name, **fields), name.encode(), 1.0))
        entries = self.partitions(name)
        self.report([self.settled(entry) for entry in entries])
        return self.partitions(name)

    def report(self, reports: list[GroupReport]) -> CatalogReply:
        return self.accept(ReportGroups(reports))

    @staticmethod
    def settled(entry: PartitionEntry) -> GroupReport:
        """What a group's master reports once it has brought the members to the target."""
        return GroupReport(
            entry.id, max(1, entry.epoch), entry.membership_version + 1, entry.target, entry.target[0].node
        )

    def partitions(self, table: str) -> list[PartitionEntry]:
        entries = self.state.map().partitions.values()
        return sorted((entry for entry in entries if entry.table == table), key=lambda entry: entry.low)


def make_catalog(nodes: int = 3, zones: int = 3, settings: ClusterSettings | None = None) -> Catalog:
    """A catalog on its first three nodes (or fewer), with all nodes registered."""
    catalog = Catalog()
    entries = [make_node(number, zones) for number in range(1, nodes + 1)]
    founders = [
        ReplicaTarget(ReplicaId(number), node.id, node.zone, "voter") for number, node in enumerate(entries[:3], 1)
    ]
    catalog.accept(InitCluster(CLUSTER, founders, settings or ClusterSettings()))
    for node in entries:
        catalog.accept(RegisterNode(CLUSTER, node))
    return catalog
