"""Operations on tables with boto3 on real nodes: what is set is seen at every node, and after a restart."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.embedded.test_main_job import client
from tests.faults.cluster import REPOSITORY, Cluster, running_cluster

STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"expiry_period_seconds": 1, "expiry_rows_per_second": 5000}
    with running_cluster(tmp_path_factory.mktemp("tables"), node_command=None, settings=settings) as found:
        found.cli("apply", "-f", str(REPOSITORY / "examples" / "orders.yaml"))
        yield found


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> list[Any]:
    return [client(endpoint) for endpoint in cluster.endpoints()]


def create(dynamodb: Any, name: str, **more: Any) -> str:
    """Makes a table with the hash key `id`, and returns its ARN once it serves."""
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return str(dynamodb.describe_table(TableName=name)["Table"]["TableArn"])


def settings_of(dynamodb: Any, name: str) -> dict[str, Any]:
    """All that this module sets of a table, as one node tells it."""
    table = dynamodb.describe_table(TableName=name)["Table"]
    for changing in ("ItemCount", "TableSizeBytes"):
        table.pop(changing)
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return {"table": table, "ttl": ttl, "tags": dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]}


def test_what_is_set_through_one_node_is_told_by_all_and_kept_over_a_restart(
    cluster: Cluster, clients: list[Any]
) -> None:
    first, second, third = clients
    arn = create(first, "events", StreamSpecification=STREAM, Tags=[{"Key": "team", "Value": "shop"}])
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    second.update_table(TableName="events", BillingMode="PROVISIONED", ProvisionedThroughput=units)
    third.update_table(TableName=arn, TableClass="STANDARD_INFREQUENT_ACCESS", SSESpecification={"Enabled": True})
    first.update_table(TableName="events", DeletionProtectionEnabled=True)
    ttl = {"AttributeName": "until", "Enabled": True}
    second.update_time_to_live(TableName="events", TimeToLiveSpecification=ttl)
    third.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    first.untag_resource(ResourceArn=arn, TagKeys=["team"])

    told = [settings_of(one, "events") for one in clients]
    assert told[0] == told[1] == told[2]
    table = told[0]["table"]
    assert table["TableStatus"] == "ACTIVE" and table["DeletionProtectionEnabled"] is True
    assert (table["StreamSpecification"], table["LatestStreamArn"].rpartition("/stream/")[0]) == (STREAM, arn)
    assert {name: table["ProvisionedThroughput"][name] for name in units} == units
    assert told[0]["ttl"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    assert told[0]["tags"] == [{"Key": "stage", "Value": "test"}]

    cluster.down()
    cluster.up()
    assert [settings_of(one, "events") for one in clients] == told
    first.update_table(TableName="events", DeletionProtectionEnabled=False)
    first.delete_table(TableName="events")


def test_changes_of_different_things_at_the_same_time_are_all_kept(clients: list[Any]) -> None:
    arn = create(clients[0], "busy")
    for number in range(30):
        clients[number % 3].tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{number:02}", "Value": "v"}])
        clients[(number + 1) % 3].update_table(TableName="busy", DeletionProtectionEnabled=number % 2 == 0)
    told = [settings_of(one, "busy") for one in clients]
    assert told[0] == told[1] == told[2]
    assert [tag["Key"] for tag in told[0]["tags"]] == [f"k{number:02}" for number in range(30)]
    assert told[0]["table"]["DeletionProtectionEnabled"] is False


def test_a_declared_table_keeps_its_manifests_settings_and_takes_a_time_to_live(
    cluster: Cluster, clients: list[Any]
) -> None:
    first = clients[0]
    arn = first.describe_table(TableName="orders")["Table"]["TableArn"]
    for call, parameters in (
        (first.update_table, {"TableName": "orders", "DeletionProtectionEnabled": True}),
        (first.tag_resource, {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        with pytest.raises(ClientError, match=r"ValidationException.*managed by"):
            call(**parameters)
    ttl = {"AttributeName": "until", "Enabled": True}
    first.update_time_to_live(TableName="orders", TimeToLiveSpecification=ttl)
    cluster.cli("apply", "-f", "-", stdin=_with_tags((REPOSITORY / "examples" / "orders.yaml").read_text()))
    cluster.wait_until("the manifest's tags are there", lambda: _tags(first, arn) == {"team": "shop"}, 60)
    described = first.describe_time_to_live(TableName="orders")["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}


def _with_tags(manifest: str) -> str:
    return manifest.rstrip() + "\n  tags:\n    team: shop\n"


def _tags(dynamodb: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]}


def test_expired_items_go_and_all_others_stay(cluster: Cluster, clients: list[Any]) -> None:
    first = clients[0]
    create(first, "sessions", Tags=[{"Key": "keystead:partitions", "Value": "3"}])
    ttl = {"AttributeName": "until", "Enabled": True}
    first.update_time_to_live(TableName="sessions", TimeToLiveSpecification=ttl)
    now = int(time.time())
    kinds: list[dict[str, Any]] = [
        {"until": {"N": str(now - 60)}},
        {"until": {"N": str(now + 86_400)}},
        {"until": {"S": str(now - 60)}},
        {"until": {"N": str(now - 6 * 365 * 86_400)}},
        {},
    ]
    items = [{"id": {"N": str(number)}, **kinds[number % len(kinds)]} for number in range(200)]
    for start in range(0, len(items), 25):
        batch = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not first.batch_write_item(RequestItems={"sessions": batch})["UnprocessedItems"]
    kept = {item["id"]["N"] for number, item in enumerate(items) if number % len(kinds)}

    def ids(dynamodb: Any) -> set[str]:
        pages = dynamodb.get_paginator("scan").paginate(TableName="sessions", ConsistentRead=True)
        return {item["id"]["N"] for page in pages for item in page["Items"]}

    cluster.wait_until("the expired items are gone", lambda: len(ids(first)) <= len(kept), 60)
    assert [ids(one) for one in clients] == [kept, kept, kept]


def test_an_item_whose_time_is_set_anew_is_never_lost(cluster: Cluster, clients: list[Any]) -> None:
    """A client that keeps its sessions alive by writing them again, just as they expire."""
    first = clients[0]
    create(first, "leases")
    ttl = {"AttributeName": "until", "Enabled": True}
    first.update_time_to_live(TableName="leases", TimeToLiveSpecification=ttl)
    expired, alive = str(int(time.time()) - 60), str(int(time.time()) + 86_400)
    keys = [{"id": {"N": str(number)}} for number in range(10)]
    for turn in range(40):
        dynamodb = clients[turn % 3]
        for key in keys:
            dynamodb.put_item(TableName="leases", Item={**key, "until": {"N": expired}})
        for key in keys:
            dynamodb.put_item(TableName="leases", Item={**key, "until": {"N": alive}})
            assert "Item" in dynamodb.get_item(TableName="leases", Key=key, ConsistentRead=True)
    first.put_item(TableName="leases", Item={"id": {"N": "99"}, "until": {"N": expired}})
    cluster.wait_until(
        "a round of expiry is over",
        lambda: "Item" not in first.get_item(TableName="leases", Key={"id": {"N": "99"}}, ConsistentRead=True),
        60,
    )
    assert all("Item" in first.get_item(TableName="leases", Key=key, ConsistentRead=True) for key in keys)
