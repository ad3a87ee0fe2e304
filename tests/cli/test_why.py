"""The sentences of keystead why, for states that are hard to bring about on real nodes."""

from typing import Any

import msgspec
from rich.console import Console

from keystead_cli.render import cluster_picture
from keystead_core.cluster_map import (
    ClusterMap,
    KeyAttribute,
    NodeEntry,
    PartitionEntry,
    ReplicaTarget,
    TableDefinition,
)
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_operator.cluster_view import ClusterView, NodePlace, cluster_view
from keystead_operator.node_status import FollowerProgress, NodeSelf, NodeStatus, ReplicaStatus
from keystead_operator.status import cluster_conditions, table_conditions
from keystead_operator.why import explain

IDS = [NodeId(f"id-{n}") for n in range(3)]
MEMBERS = [ReplicaTarget(ReplicaId(n + 1), IDS[n], f"zone-{'abc'[n]}", "voter") for n in range(3)]


def _entry(partition: int, table: str) -> PartitionEntry:
    return PartitionEntry(
        id=PartitionId(partition),
        table=table,
        low=b"",
        high=None,
        generation=1,
        founders=MEMBERS,
        target=MEMBERS,
        members=MEMBERS,
        write_quorum=2,
        durable_zones=1,
    )


def _node(number: int) -> NodeEntry:
    return NodeEntry(
        id=IDS[number],
        name=f"node-{number}",
        zone=f"zone-{'abc'[number]}",
        host="",
        disk="",
        api_address="",
        peer_address="",
        admin_address="",
        boot=1,
        state="active",
    )


TABLE = TableDefinition(
    name="orders",
    table_id="t",
    hash_key=KeyAttribute("id", "S"),
    range_key=None,
    partitions=1,
    replicas=3,
    write_quorum=2,
    durable_zones=1,
    created_at=0,
    status="ACTIVE",
)
MAP = ClusterMap(
    version=7,
    cluster="c",
    nodes={IDS[n]: _node(n) for n in range(3)},
    tables={"orders": TABLE},
    partitions={PartitionId(1): _entry(1, ""), PartitionId(2): _entry(2, "orders")},
)


def _replica(role: str, **more: Any) -> ReplicaStatus:
    return ReplicaStatus(partition=2, role=role, epoch=4, members=list(IDS), last_lsn=9, **more)


def _view(
    *replicas: ReplicaStatus | None, catalog_master: int | None = 0, cluster_map: ClusterMap = MAP
) -> ClusterView:
    """One replica of partition 2 a node; None: the node does not answer."""
    statuses = {}
    for number, replica in enumerate(replicas):
        if replica is not None:
            role = "master" if number == catalog_master else "follower"
            catalog = ReplicaStatus(partition=1, role=role, members=list(IDS))
            statuses[f"node-{number}"] = NodeStatus(NodeSelf(id=IDS[number]), [catalog, replica])
    places = [NodePlace(name=f"node-{n}", zone=f"zone-{'abc'[n]}", port=8000 + n, data_dir="", pid=1) for n in range(3)]
    return cluster_view("c", "http://x", places, statuses, cluster_map)


def _picture(view: ClusterView) -> str:
    console = Console(width=300)
    with console.capture() as shown:
        console.print(cluster_picture(view))
    return shown.get()


def _sentence(view: ClusterView) -> str:
    (one,) = explain(view, view.tables[0])
    return one.sentence


def test_healthy_partition_names_its_master() -> None:
    view = _view(_replica("follower"), _replica("master"), _replica("follower"))
    assert _sentence(view) == "Partition 2 of orders is served by node-1 with all 3 replicas."
    assert explain(view, view.tables[0])[0].healthy


def test_two_nodes_away_leave_no_quorum() -> None:
    view = _view(
        _replica("candidate", why="failover needs 2 of 3 voters: id-0 supports, id-1 did not answer"), None, None
    )
    assert _sentence(view) == (
        "Partition 2 of orders has no master: 2 replicas must support a new one and only node-0 can; "
        "with the volume of any one of node-1 (node id id-1), node-2 (node id id-2) it comes back by itself; "
        "node-1 (zone-b) does not answer; node-2 (zone-c) does not answer; node-0 stands for it; "
        "node-0 says: failover needs 2 of 3 voters: node-0 supports, node-1 did not answer."
    )


def test_ineligible_replica_is_no_supporter_and_says_why() -> None:
    damaged = _replica("follower", eligible=False, ineligible_reason="damaged")
    sentence = _sentence(_view(_replica("follower"), damaged, None))
    assert "2 replicas must support a new one and only node-0 can" in sentence
    assert "node-1 (zone-b) takes no part: damaged" in sentence


def test_catalog_without_a_master_is_named_as_the_cause() -> None:
    view = _view(_replica("follower"), _replica("follower"), _replica("follower"), catalog_master=None)
    assert "the catalog, which hands out locks, has no master either" in _sentence(view)


def test_election_under_way_is_said_with_who_can_support() -> None:
    view = _view(_replica("candidate"), _replica("follower"), None)
    assert "node-0 and node-1 can support one, and the election is not over" in _sentence(view)


def test_learner_says_how_far_it_is_behind() -> None:
    master = _replica("master", followers={IDS[2]: FollowerProgress(last_lsn=4, lag=5)})
    behind = ReplicaStatus(partition=2, role="learner", epoch=4, last_lsn=4)
    sentence = _sentence(_view(master, _replica("follower"), behind))
    assert sentence == (
        "Partition 2 of orders is served by node-0, but node-2 (zone-c) is catching up, 5 records behind "
        "and 1 replica of 3 not placed yet."
    )


def test_replica_on_a_lost_volume_is_not_called_unreachable() -> None:
    statuses = {
        "node-0": NodeStatus(NodeSelf(id=IDS[0]), [_replica("master")]),
        "node-1": NodeStatus(NodeSelf(id=IDS[1]), [_replica("follower")]),
        "node-2": NodeStatus(NodeSelf(id=NodeId("id-new"))),
    }
    places = [NodePlace(name=f"node-{n}", zone=f"zone-{'abc'[n]}", port=1, data_dir="") for n in range(3)]
    view = cluster_view("c", "http://x", places, statuses, MAP)
    assert "the volume of node-2 (zone-c) that held a replica is gone" in _sentence(view)


def test_lost_majority_names_the_old_volumes_and_not_one_that_has_left() -> None:
    statuses = {
        "node-0": NodeStatus(NodeSelf(id=IDS[0]), [_replica("follower")]),
        "node-1": NodeStatus(NodeSelf(id=NodeId("id-new-1"))),
        "node-2": NodeStatus(NodeSelf(id=NodeId("id-new-2"))),
    }
    places = [NodePlace(name=f"node-{n}", zone=f"zone-{'abc'[n]}", port=1, data_dir="") for n in range(3)]
    view = cluster_view("c", "http://x", places, statuses, MAP)
    (partition,) = view.tables[0].partitions
    assert partition.ways_back == [[IDS[1]], [IDS[2]]]
    way = "any one of node-1 (node id id-1), node-2 (node id id-2)"
    assert f"with the volume of {way} it comes back by itself" in _sentence(view)
    available = next(one for one in table_conditions(view, view.tables[0]) if one.type == "Available")
    assert available.message == f"no master: partition 2; it comes back by itself with the volume of {way}"
    assert f"partition 2 of orders comes back with the volume of {way}" in _picture(view)
    gone = msgspec.structs.replace(MAP.nodes[IDS[2]], state="left")
    left = msgspec.structs.replace(MAP, nodes={**MAP.nodes, IDS[2]: gone})
    assert "with the volume of node-1 (node id id-1) it comes" in _sentence(
        cluster_view("c", "http://x", places, statuses, left)
    )


def test_a_master_that_commits_nothing_without_a_volume_is_not_called_available() -> None:
    entry = next(entry for entry in MAP.partitions.values() if entry.table == "orders")
    every_zone = {**MAP.partitions, entry.id: msgspec.structs.replace(entry, durable_zones=3)}
    cluster_map = msgspec.structs.replace(MAP, partitions=every_zone)
    view = _view(_replica("master"), _replica("follower"), None, cluster_map=cluster_map)
    assert "it takes no write without the volume of node-2 (node id id-2)" in _sentence(view)
    available = next(one for one in table_conditions(view, view.tables[0]) if one.type == "Available")
    assert (available.status, available.reason) == ("False", "NoWriteQuorum")
    assert available.message == "takes no write: partition 2; it does with the volume of node-2 (node id id-2)"
    quorum = next(one for one in cluster_conditions(view) if one.type == "QuorumHealthy")
    assert (quorum.status, quorum.reason) == ("False", "NoWriteQuorum")


def test_partition_with_a_quorum_waits_for_no_volume() -> None:
    view = _view(_replica("candidate"), _replica("follower"), None)
    assert view.tables[0].partitions[0].ways_back == []


def test_old_master_of_a_lower_epoch_is_not_taken_for_the_master() -> None:
    deposed = ReplicaStatus(partition=2, role="master", epoch=3, members=list(IDS), last_lsn=9)
    view = _view(deposed, _replica("master"), _replica("follower"))
    assert view.tables[0].partitions[0].master == "node-1"
    assert view.tables[0].partitions[0].epoch == 4
