"""What a valid manifest means to the planner."""

from typing import Any

import pytest

from keystead_operator.spec.resources import ClusterSpec, DeclaredTable, cluster_spec, declared_table, duration_seconds
from keystead_operator.spec.validation import schemas, with_defaults

CLUSTER = ClusterSpec(name="keystead", nodes=5, replicas=3, write_quorum=3, durable_zones=2)


def _table(**spec: Any) -> DeclaredTable:
    manifest = {
        "kind": "Table",
        "metadata": {"name": "orders"},
        "spec": {"attributes": [{"name": "id", "type": "N"}], "keySchema": {"hashKey": "id"}, **spec},
    }
    return declared_table(with_defaults(manifest, schemas()["Table"]), CLUSTER)


def test_table_takes_replication_from_its_cluster() -> None:
    table = _table()
    assert (table.replicas, table.write_quorum, table.durable_zones) == (3, 3, 2)
    assert (table.name, table.managed_by) == ("orders", "Table/orders")


def test_table_with_its_own_replicas_has_its_own_majority() -> None:
    table = _table(replicas=5)
    assert (table.replicas, table.write_quorum) == (5, 3)
    assert _table(replicas=1).durable_zones == 1


def test_table_name_goes_before_the_name_of_the_object() -> None:
    assert _table(tableName="Orders.v2").name == "Orders.v2"


@pytest.mark.parametrize(
    ("partitions", "number", "fixed"), [({}, 1, False), ({"count": 4}, 4, True), ({"min": 2, "max": 8}, 2, False)]
)
def test_partitions_start_at_the_count_or_the_minimum(partitions: dict[str, int], number: int, fixed: bool) -> None:
    table = _table(partitions=partitions)
    assert (table.partitions, table.partitions_fixed) == (number, fixed)


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("1m30s", 90), ("250ms", 0.25), ("2h", 7200)])
def test_durations_add_up(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


def test_empty_cluster_spec_means_the_defaults() -> None:
    manifest = with_defaults({"metadata": {"name": "a"}, "spec": {}}, schemas()["StorageCluster"])
    assert cluster_spec(manifest) == ClusterSpec(name="a", nodes=3)
