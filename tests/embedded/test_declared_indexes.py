"""A Table with indexes, applied to real nodes: boto3 queries them, and they come and go by another apply."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.embedded.test_main_job import client
from tests.faults.cluster import REPOSITORY, Cluster, running_cluster

EXAMPLE = REPOSITORY / "examples" / "orders-indexes.yaml"
TABLE = "orders-indexes"
ORDERS: list[dict[str, Any]] = [
    {
        "customer": {"S": f"customer-{number % 4}"},
        "orderId": {"S": f"{number:03}"},
        "state": {"S": ["open", "sent"][number % 2]},
        "city": {"S": ["Oslo", "Rome", "Lima"][number % 3]},
        "placedAt": {"N": str(1000 - number)},
        "price": {"N": str((number * 37) % 50)},
        "note": {"S": f"note {number}"},
    }
    for number in range(36)
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("declared"), node_command=None) as found:
        found.cli("apply", "-f", str(EXAMPLE))
        dynamodb = client(found.endpoints()[0])
        for order in ORDERS:
            dynamodb.put_item(TableName=TABLE, Item=order)
        yield found


@pytest.fixture(scope="module")
def dynamodb(cluster: Cluster) -> Any:
    return client(cluster.endpoints()[-1])


def declare(cluster: Cluster, place: Path, **changes: Any) -> None:
    """Applies the example with other fields of its spec."""
    manifest = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    manifest["spec"] |= changes
    place.write_text(json.dumps(manifest), encoding="utf-8")
    cluster.cli("apply", "-f", str(place))


def states(cluster: Cluster) -> dict[str, tuple[str, bool]]:
    """By name, what the object's status says of each index."""
    shown = json.loads(cluster.cli("get", "tables", TABLE, "-o", "json"))
    found = shown["status"].get("indexes", [])
    return {index["name"]: (index["status"], index["backfilling"]) for index in found}


def query(dynamodb: Any, index: str, **values: str) -> list[dict[str, Any]]:
    """The items whose attributes have these values (of type S), in the index's order."""
    found: list[dict[str, Any]] = dynamodb.query(
        TableName=TABLE,
        IndexName=index,
        KeyConditionExpression=" AND ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
    )["Items"]
    return found


def expected(names: list[str], order: str, **values: str) -> list[dict[str, Any]]:
    """The same from the items that were put; `names`: the attributes that the index has, none: all."""
    found = [item for item in ORDERS if all(item[name]["S"] == value for name, value in values.items())]
    found.sort(key=lambda item: int(item[order]["N"]))
    return [{name: item[name] for name in names or item} for item in found]


def test_declared_global_indexes_are_queried(cluster: Cluster, dynamodb: Any) -> None:
    by_state = expected(["customer", "orderId", "state", "placedAt", "price", "note"], "placedAt", state="open")
    by_place = expected(
        ["customer", "orderId", "state", "city", "placedAt", "price"], "placedAt", state="sent", city="Rome"
    )
    assert by_state and by_place
    cluster.wait_until("by-state has them", lambda: query(dynamodb, "by-state", state="open") == by_state, 60)
    cluster.wait_until(
        "by-place has them", lambda: query(dynamodb, "by-place", state="sent", city="Rome") == by_place, 30
    )


def test_declared_local_index_is_queried(dynamodb: Any) -> None:
    assert query(dynamodb, "by-price", customer="customer-1") == expected([], "price", customer="customer-1")


def test_status_tells_of_each_index(cluster: Cluster) -> None:
    assert states(cluster) == dict.fromkeys(("by-place", "by-state", "by-price"), ("ACTIVE", False))


def test_index_is_added_and_another_dropped_by_an_apply(cluster: Cluster, dynamodb: Any, tmp_path: Path) -> None:
    by_city = {"name": "by-city", "keySchema": {"hashKey": "city", "rangeKey": "price"}}
    by_state = {
        "name": "by-state",
        "keySchema": {"hashKey": "state", "rangeKey": "placedAt"},
        "projection": {"type": "INCLUDE", "attributes": ["price", "note"]},
    }
    declare(cluster, tmp_path / "table.json", globalIndexes=[by_city, by_state])
    wanted = dict.fromkeys(("by-city", "by-state", "by-price"), ("ACTIVE", False))
    cluster.wait_until("the indexes are as declared", lambda: states(cluster) == wanted, 60)
    lima = expected([], "price", city="Lima")
    cluster.wait_until("by-city is filled", lambda: query(dynamodb, "by-city", city="Lima") == lima, 60)
    described = dynamodb.describe_table(TableName=TABLE)["Table"]["GlobalSecondaryIndexes"]
    assert sorted(index["IndexName"] for index in described) == ["by-city", "by-state"]
