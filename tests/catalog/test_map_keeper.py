"""A node's map at a start: the one on its disk may be older than what the node holds."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import ClusterMap, ClusterSettings, MapDelta, NodeEntry
from keystead_core.ids import PartitionId, ReplicaId
from keystead_core.replication.events import DropReplica
from keystead_node.map_keeper import MapKeeper
from tests.catalog.test_hosting import HERE, entry

OWN = NodeEntry(
    id=HERE, name="a", zone="z1", host="", disk="", api_address="", peer_address="", admin_address="", boot=2, state=""
)


class Client:
    """A catalog that takes the node in at version 9."""

    def __init__(self) -> None:
        self.members: list[Any] = []

    async def run(self, _command: Any, seconds: float = 0.0) -> CatalogReply:
        return CatalogReply(version=9)


def keeper_of(directory: Path, posted: list[Any]) -> MapKeeper:
    replica = SimpleNamespace(id=ReplicaId(9), own_last_membership=None, mastership=None)
    core = SimpleNamespace(id=HERE, replicas={PartitionId(5): replica}, tombstones={})
    peers = SimpleNamespace(dial=lambda _addresses: None, links={})
    stores = SimpleNamespace(in_thread=lambda *_arguments: None)
    shell = SimpleNamespace(core=core, peers=peers, stores=stores, post=posted.append, on_mastership=None)
    return MapKeeper(shell, None, Client(), directory, ClusterSettings())  # type: ignore[arg-type]


def test_the_map_on_the_disk_drops_no_replica_that_knows_no_membership_until_a_current_one_is_there(
    tmp_path: Path,
) -> None:
    """Found by the simulator (700033). The replica belongs to a target that the map on the disk does not have yet."""
    group = entry(7, 3)
    old = ClusterMap(version=3, cluster="c", nodes={}, tables={}, partitions={group.id: group})
    (tmp_path / "map").write_bytes(msgspec.msgpack.encode(old))
    newer = MapDelta(
        since=3, version=9, cluster="c", whole=False, nodes=[], tables=[], partitions=[], removed_tables=[],
        removed_partitions=[], deleted=None, settings=ClusterSettings(),
    )  # fmt: skip

    async def scenario() -> list[list[Any]]:
        posted: list[Any] = []
        seen = []
        keeper = keeper_of(tmp_path, posted)
        keeper.load()
        keeper._react_to_all()
        registering = asyncio.ensure_future(keeper.register(OWN, "c"))
        while not keeper.registered:
            await asyncio.sleep(0)
        seen.append(list(posted))
        keeper._take(newer)
        await registering
        return [*seen, posted]

    before, after = asyncio.run(scenario())
    drop = DropReplica(PartitionId(5), ReplicaId(9))
    assert drop not in before
    assert drop in after
