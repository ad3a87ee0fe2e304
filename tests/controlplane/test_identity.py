"""Who a cluster is where its record is missing: never somebody new over volumes that may hold data."""

from typing import Any

import pytest

from keystead_operator.kube.identity import VolumesOfSeveralClusters, reconstructed
from keystead_operator.kube.seen import Head, SeenClaim, SeenCluster


def cluster(**status: Any) -> SeenCluster:
    head = Head(namespace="shop", name="orders", uid="u", resource_version="1", deleting=False)
    return SeenCluster(head=head, generation=1, spec={}, status=status)


def claim(number: int, cluster_id: str) -> SeenClaim:
    head = Head(namespace="shop", name=f"data-{number}", uid=str(number), resource_version="1", deleting=False)
    return SeenClaim(
        head=head,
        cluster="orders",
        place=f"orders-node-{number}",
        zone="a",
        phase="Bound",
        size="1Gi",
        cluster_id=cluster_id,
        created_at="",
        owner="",
    )


def test_cluster_without_volumes_gets_an_id_that_no_other_has() -> None:
    one, other = reconstructed(cluster(), []), reconstructed(cluster(), [])
    assert one.cluster_id != other.cluster_id
    assert (one.founders, one.bootstrapped) == ((), False)


def test_kept_volumes_give_their_id_and_are_taken_for_formed() -> None:
    found = reconstructed(cluster(), [claim(0, "c1"), claim(1, "c1")])
    assert (found.cluster_id, found.bootstrapped, found.founders) == ("c1", True, ())


def test_volumes_of_two_clusters_are_refused() -> None:
    with pytest.raises(VolumesOfSeveralClusters, match="c1, c2"):
        reconstructed(cluster(), [claim(0, "c1"), claim(1, "c2")])


def test_status_of_the_resource_gives_id_and_founders() -> None:
    founders = [{"node": "a1", "name": "orders-node-0", "zone": "a", "replica": 1}]
    found = reconstructed(cluster(clusterId="c9", bootstrapped=True, founders=founders), [])
    assert (found.cluster_id, found.bootstrapped) == ("c9", True)
    assert [(one.node_id, one.replica_id) for one in found.founders] == [("a1", 1)]
