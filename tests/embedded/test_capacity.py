"""Provisioned tables on real nodes, with boto3: what is beyond their units is refused, wherever it arrives."""

import itertools
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.faults.cluster import Cluster, running_cluster

BURST_SECONDS = 2
EXCEEDED = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning "
    "level with the UpdateTable API."
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {
        "burst_seconds": BURST_SECONDS,
        "partition_write_units": 25,
        "on_demand_partition_write_units": 25,
    }
    with running_cluster(tmp_path_factory.mktemp("capacity"), node_command=None, settings=settings) as found:
        yield found


def client(endpoint: str) -> Any:
    """One that never tries again by itself."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-west-2",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> list[Any]:
    return [client(endpoint) for endpoint in cluster.endpoints()]


def create(dynamodb: Any, name: str, reads: int, writes: int, partitions: int = 1) -> None:
    throughput = {"ReadCapacityUnits": reads, "WriteCapacityUnits": writes}
    make(dynamodb, name, partitions, ProvisionedThroughput=throughput)


def make(dynamodb: Any, name: str, partitions: int, **billing: Any) -> None:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        **billing,
        Tags=[{"Key": "keystead:partitions", "Value": str(partitions)}],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def put(dynamodb: Any, table: str, key: str, size: int = 0) -> ClientError | None:
    """The refusal, if it was one by capacity."""
    try:
        dynamodb.put_item(TableName=table, Item={"pk": {"S": key}, "p": {"S": "x" * size}})
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("ProvisionedThroughputExceededException", "ThrottlingException")
        return error
    return None


def put_for(dynamodb: Any, table: str, seconds: float, keys: int = 1000) -> int:
    """Puts one after the other, as fast as they are answered; how many were done."""
    done = number = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        done += put(dynamodb, table, f"k{number % keys}") is None
    return done


def exhaust(dynamodb: Any, table: str) -> ClientError:
    """Puts until one is refused; of some units each, so that a slow machine too is faster than what flows in."""
    for number in range(10_000):
        refusal = put(dynamodb, table, f"e{number}", 5000)
        if refusal is not None:
            return refusal
    raise AssertionError(f"10,000 writes to {table}, and none was refused")


def figure(cluster: Cluster, name: str, **labels: str) -> float:
    """The sum over all nodes."""
    shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    total = 0.0
    for node in cluster.names():
        with urllib.request.urlopen(f"http://{cluster.admin_address(node)}/metrics", timeout=10) as answer:
            found = re.search(rf"^{name}{{{re.escape(shown)}}} (\S+)$", answer.read().decode(), re.MULTILINE)
        total += float(found[1]) if found is not None else 0.0
    return total


def test_a_table_of_five_units_is_throttled_once_its_burst_is_used_up(cluster: Cluster, clients: list[Any]) -> None:
    create(clients[0], "small", 5, 5)
    described = clients[1].describe_table(TableName="small")["Table"]["ProvisionedThroughput"]
    assert (described["ReadCapacityUnits"], described["WriteCapacityUnits"]) == (5, 5)
    time.sleep(BURST_SECONDS + 0.5)
    began = time.monotonic()
    done = 0
    while put(clients[2], "small", f"k{done}") is None:
        done += 1
    seconds = time.monotonic() - began
    assert 5 * BURST_SECONDS <= done <= 5 * BURST_SECONDS + 5 * seconds + 1
    # Whoever comes next, and through whichever node, finds nothing left.
    refused = sum(put(clients[number % 3], "small", "k") is not None for number in range(12))
    assert refused >= 12 - 5 * (time.monotonic() - began - seconds) - 3
    assert figure(cluster, "keystead_throttled_units_total", table="small", kind="write") >= refused
    assert figure(cluster, "keystead_consumed_units_total", table="small", kind="write") >= done


def test_what_is_refused_is_refused_in_the_services_words(clients: list[Any]) -> None:
    create(clients[0], "words", 1, 1)
    error = exhaust(clients[0], "words").response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Error"] == {"Code": "ProvisionedThroughputExceededException", "Message": EXCEEDED}
    assert error["ThrottlingReasons"] == [
        {
            "reason": "TableWriteProvisionedThroughputExceeded",
            "resource": "arn:aws:dynamodb:keystead:000000000000:table/words",
        }
    ]


def test_more_units_by_update_table_are_there_soon(cluster: Cluster, clients: list[Any]) -> None:
    create(clients[0], "grows", 5, 1)
    exhaust(clients[1], "grows")
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 15}
    clients[0].update_table(TableName="grows", ProvisionedThroughput=units)
    # Some of the first second's go into what is owed; at the old rate it would be four, and that only after seconds.
    assert put_for(clients[1], "grows", 4.0) >= 0.7 * 15 * 4
    clients[0].update_table(TableName="grows", BillingMode="PAY_PER_REQUEST")
    cluster.wait_until("nothing is refused on demand", lambda: put(clients[1], "grows", "a") is None, 60)


def test_what_a_batch_may_not_write_or_read_now_comes_back(clients: list[Any]) -> None:
    create(clients[0], "batches", 1, 10)
    time.sleep(1.0)
    requests = [{"PutRequest": {"Item": {"pk": {"S": f"k{n}"}, "p": {"S": "x" * 1500}}}} for n in range(25)]
    answer = clients[1].batch_write_item(RequestItems={"batches": requests})
    back = answer["UnprocessedItems"]["batches"]
    assert 0 < len(back) < 25 and all(request in requests for request in back)
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        for _ in range(10):
            clients[1].batch_write_item(RequestItems={"batches": requests})
    keys = [{"pk": {"S": f"k{number}"}} for number in range(60)]
    wanted = {"batches": {"Keys": keys, "ConsistentRead": True}}
    unread = clients[2].batch_get_item(RequestItems=wanted)["UnprocessedKeys"]["batches"]
    assert 0 < len(unread["Keys"]) < 60 and unread["ConsistentRead"] is True


def test_a_large_item_is_paid_for_after_it_was_read_or_written(clients: list[Any]) -> None:
    """A hundred units at ten a second: ten seconds of nothing else, less what was saved; at every node."""
    create(clients[0], "large", 10, 10)
    assert put(clients[0], "large", "a", 100_000) is None
    time.sleep(2.5)
    assert [put(clients[number % 3], "large", "b") is not None for number in range(6)] == [True] * 6


def test_one_node_that_gets_all_requests_may_use_the_whole_of_the_units(clients: list[Any]) -> None:
    create(clients[0], "hot", 5, 20, partitions=3)
    exhaust(clients[1], "hot")
    time.sleep(1.0)  # The last one that was let through may owe some units still.
    done: list[int] = []
    seconds = 8.0
    threads = [
        threading.Thread(target=lambda: done.append(put_for(client(clients[1].meta.endpoint_url), "hot", seconds)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.95 * 20 * seconds <= sum(done) <= 20 * (seconds + 2) + 3


def test_a_partition_may_use_what_others_leave_up_to_a_partitions_units(clients: list[Any]) -> None:
    """All writes are to one key of a table of 60 units, and cost five each: 25 is what one partition may use."""
    create(clients[0], "key-range", 5, 60, partitions=4)
    time.sleep(1.0)
    began = time.monotonic()
    done = 0
    refusals: list[ClientError] = []
    while time.monotonic() < began + 4.0:
        refusal = put(clients[0], "key-range", "one", 5000)
        done += 5 * (refusal is None)
        refusals += [refusal] if refusal is not None else []
    assert refusals[0].response["ThrottlingReasons"][0]["reason"] == "TableWriteKeyRangeThroughputExceeded"
    assert done <= 25 * (time.monotonic() - began + 1) + 5
    assert done > 25 * 4 * 0.9


def test_the_limits_of_on_demand_tables_are_throttled_in_other_words(clients: list[Any]) -> None:
    """A maximum that the table sets itself; and a partition's units, where the cluster's settings say so."""
    make(
        clients[0],
        "maximum",
        1,
        BillingMode="PAY_PER_REQUEST",
        OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 3},
    )
    make(clients[0], "on-demand", 1, BillingMode="PAY_PER_REQUEST")
    told = {name: exhaust(clients[1], name).response for name in ("maximum", "on-demand")}
    assert [told[name]["Error"]["Code"] for name in told] == ["ThrottlingException"] * 2
    assert told["maximum"]["Error"]["Message"] == (
        "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    )
    assert told["on-demand"]["Error"]["Message"].startswith(
        "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table"
    )
    assert [told[name]["throttlingReasons"][0]["reason"] for name in told] == [
        "TableWriteMaxOnDemandThroughputExceeded",
        "TableWriteKeyRangeThroughputExceeded",
    ]


def test_a_condition_that_does_not_hold_costs_what_the_item_is_large(clients: list[Any]) -> None:
    create(clients[0], "conditions", 5, 5)
    time.sleep(1.0)
    put(clients[0], "conditions", "a", 30_000)
    paid_after_seconds = 30 / 5 + 1
    time.sleep(paid_after_seconds)
    key = {"pk": {"S": "a"}}
    with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
        clients[0].delete_item(TableName="conditions", Key=key, ConditionExpression="attribute_exists(q)")
    time.sleep(1.0)
    assert put(clients[0], "conditions", "b") is not None


def test_nodes_whose_accountant_is_gone_go_on_and_then_find_the_next(cluster: Cluster, clients: list[Any]) -> None:
    """Last of all: it leaves the cluster with a node that was killed."""
    create(clients[0], "survives", 5, 20)
    names = cluster.names()
    master = cluster.masters("survives")[0]
    other = next(clients[number] for number, name in enumerate(names) if name != master)
    exhaust(other, "survives")
    began = time.monotonic()
    cluster.kill_and_wait_for_restart(master)
    cluster.wait_until("the table is written again", lambda: put(other, "survives", "a") is None, 60)
    done = put_for(other, "survives", 6.0)
    seconds = time.monotonic() - began
    assert 0.9 * 20 * 4 <= done <= 20 * (seconds + 1) + 3


def test_a_global_index_has_units_of_its_own(clients: list[Any]) -> None:
    dynamodb = clients[0]
    few, many = ({"ReadCapacityUnits": 5, "WriteCapacityUnits": count} for count in (1, 1000))
    keys = [{"AttributeName": "g", "KeyType": "HASH"}]
    dynamodb.create_table(
        TableName="tight-index",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        ProvisionedThroughput=many,
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-g",
                "KeySchema": keys,
                "Projection": {"ProjectionType": "KEYS_ONLY"},
                "ProvisionedThroughput": few,
            }
        ],
    )
    dynamodb.get_waiter("table_exists").wait(TableName="tight-index", WaiterConfig={"Delay": 1, "MaxAttempts": 30})

    values = itertools.count()

    def puts() -> ClientError | None:
        """Ten writes that change the index: an attribute that stays as it was would cost the index nothing."""
        for value in itertools.islice(values, 10):
            try:
                dynamodb.put_item(TableName="tight-index", Item={"pk": {"S": f"k{value}"}, "g": {"S": f"g{value}"}})
            except ClientError as error:
                return error
        return None

    def is_refused_for_the_index() -> bool:
        refusal = puts()
        return refusal is not None and "one or more global secondary indexes" in refusal.response["Error"]["Message"]

    # A router that had no answer yet, on a busy machine, holds the table to little as well.
    wait_until("the index's units are in force", is_refused_for_the_index)
    units = [{"Update": {"IndexName": "by-g", "ProvisionedThroughput": many}}]
    dynamodb.update_table(TableName="tight-index", GlobalSecondaryIndexUpdates=units)
    wait_until("the raised units are in force", lambda: puts() is None)


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, f"not in 30 s: {what}"
        time.sleep(0.5)
