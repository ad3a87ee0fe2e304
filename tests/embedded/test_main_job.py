"""The main job on real processes: a cluster started by the command line, used by boto3, killed and kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest

from tests.faults.cluster import REPOSITORY, Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster as a user has it, with the table of examples/orders.yaml."""
    with running_cluster(tmp_path_factory.mktemp("embedded"), node_command=None) as found:
        found.cli("apply", "-f", str(REPOSITORY / "examples" / "orders.yaml"))
        found.wait_until("orders serves", lambda: found.table_serves("orders"), 60)
        yield found


def client(endpoint: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"max_attempts": 8, "mode": "standard"}, read_timeout=10),
    )


def order(customer: str, number: int, **more: Any) -> dict[str, Any]:
    return {"customer": {"S": customer}, "orderId": {"S": f"{number:06}"}, "total": {"N": str(number)}, **more}


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("customer", "orderId")}


def consistent_get(endpoint: str, item: dict[str, Any]) -> dict[str, Any] | None:
    answer = client(endpoint).get_item(TableName="orders", Key=key_of(item), ConsistentRead=True)
    found: dict[str, Any] | None = answer.get("Item")
    return found


def test_every_node_reads_what_any_node_wrote(cluster: Cluster) -> None:
    for number, endpoint in enumerate(cluster.endpoints()):
        item = order("ada", number, note={"S": "grüße"}, raw={"B": b"\x00\xff"}, tags={"SS": ["a", "b"]})
        client(endpoint).put_item(TableName="orders", Item=item)
        for other in cluster.endpoints():
            found = consistent_get(other, item)
            assert found is not None
            assert {**found, "tags": {"SS": sorted(found["tags"]["SS"])}} == item


def test_a_deleted_item_is_gone_at_every_node(cluster: Cluster) -> None:
    item = order("bob", 1)
    first, *others = cluster.endpoints()
    client(first).put_item(TableName="orders", Item=item)
    client(first).delete_item(TableName="orders", Key=key_of(item))
    for endpoint in [first, *others]:
        assert consistent_get(endpoint, item) is None


def test_batches_and_a_paged_scan_see_every_item_once(cluster: Cluster) -> None:
    dynamodb = client(cluster.endpoints()[0])
    items = [order(f"customer-{number % 7}", number, pad={"S": "x" * 2000}) for number in range(100, 300)]
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not dynamodb.batch_write_item(RequestItems={"orders": requests})["UnprocessedItems"]
    keys = [key_of(item) for item in items[:100]]
    answer = dynamodb.batch_get_item(RequestItems={"orders": {"Keys": keys, "ConsistentRead": True}})
    assert sorted(json.dumps(item, sort_keys=True) for item in answer["Responses"]["orders"]) == sorted(
        json.dumps(item, sort_keys=True) for item in items[:100]
    )
    pages = list(
        client(cluster.endpoints()[1])
        .get_paginator("scan")
        .paginate(TableName="orders", ConsistentRead=True, PaginationConfig={"PageSize": 37})
    )
    seen = [item["orderId"]["S"] for page in pages for item in page["Items"] if item["customer"]["S"][:8] == "customer"]
    assert sorted(seen) == sorted(item["orderId"]["S"] for item in items)
    assert len(pages) > 5


def test_batches_at_every_node_write_rows_of_all_partitions(cluster: Cluster) -> None:
    """Some of more bytes than the record of a partition's rows takes."""
    for number, endpoint in enumerate(cluster.endpoints()):
        dynamodb = client(endpoint)
        pads = {"S": "x" * (1000, 40_000, 400)[number]}
        items = [order(f"batch-{number}-{row % 9}", row, pad=pads) for row in range(25)]
        puts = [{"PutRequest": {"Item": item}} for item in items]
        assert not dynamodb.batch_write_item(RequestItems={"orders": puts})["UnprocessedItems"]
        changed = [{**item, "note": {"S": "changed"}} for item in items[:10]]
        requests: list[Any] = [{"PutRequest": {"Item": item}} for item in changed]
        requests += [{"DeleteRequest": {"Key": key_of(item)}} for item in items[10:20]]
        assert not dynamodb.batch_write_item(RequestItems={"orders": requests})["UnprocessedItems"]
        expected = [*changed, *[None] * 10, *items[20:]]
        for other in cluster.endpoints():
            assert [consistent_get(other, item) for item in items] == expected


def test_tables_made_through_the_api_are_there_at_every_node(cluster: Cluster) -> None:
    first, *others = map(client, cluster.endpoints())
    first.create_table(
        TableName="events",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    first.get_waiter("table_exists").wait(TableName="events", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    for other in others:
        other.put_item(TableName="events", Item={"id": {"N": "1"}})
        assert set(other.list_tables()["TableNames"]) == {"events", "orders"}
    first.delete_table(TableName="events")
    first.get_waiter("table_not_exists").wait(TableName="events", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFoundException"):
        others[0].put_item(TableName="events", Item={"id": {"N": "1"}})


def test_a_declared_table_is_not_deleted_through_the_api(cluster: Cluster) -> None:
    dynamodb = client(cluster.endpoints()[0])
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        dynamodb.delete_table(TableName="orders")
    assert "orders" in str(refused.value)
    assert dynamodb.describe_table(TableName="orders")["Table"]["TableStatus"] == "ACTIVE"


def test_writes_go_on_while_each_node_in_turn_is_killed(cluster: Cluster) -> None:
    written = []
    for name in cluster.names():
        survivors = [endpoint for endpoint in cluster.endpoints() if endpoint != cluster.endpoint(name)]
        with cluster.held_down(name):
            for number in range(40):
                item = order(f"while-{name}-is-down", number)
                client(survivors[number % len(survivors)]).put_item(TableName="orders", Item=item)
                written.append(item)
        cluster.wait_until(f"{name} is back and level", lambda: cluster.all_level("orders"), 60)
    for endpoint in cluster.endpoints():
        assert [consistent_get(endpoint, item) for item in written] == written


def test_a_node_in_maintenance_masters_nothing_and_takes_part_again(cluster: Cluster) -> None:
    name = cluster.masters("orders")[0]
    cluster.cli("node", "maintain", name)
    assert name not in cluster.masters("orders")
    states = {node["name"]: node["state"] for node in cluster.status()["nodes"]}
    assert states[name] == "maintenance"
    client(cluster.endpoint(name)).put_item(TableName="orders", Item=order("carol", 1))
    cluster.cli("node", "resume", name)
    cluster.wait_until("all are level", lambda: cluster.all_level("orders"), 60)
    assert consistent_get(cluster.endpoint(name), order("carol", 1)) == order("carol", 1)


def test_a_stopped_cluster_comes_back_with_everything(cluster: Cluster) -> None:
    items = [order("dora", number) for number in range(50)]
    for item in items:
        client(cluster.endpoints()[0]).put_item(TableName="orders", Item=item)
    cluster.down()
    cluster.up()
    for endpoint in cluster.endpoints():
        assert [consistent_get(endpoint, item) for item in items] == items


def test_a_second_start_of_a_running_cluster_is_refused_in_one_line(cluster: Cluster) -> None:
    done = cluster.try_cli("up", "--detach", "--data", str(cluster.data))
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_down_with_wipe_leaves_nothing(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1, node_command=None) as cluster:
        pids = [cluster.pid(name) for name in cluster.names()]
        cluster.cli("down", "--wipe")
        assert not cluster.data.exists()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
