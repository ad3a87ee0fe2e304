"""The AWS command line, unchanged, against a running cluster."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import Cluster, running_cluster

AWS = Path(sys.executable).with_name("aws")
ITEMS = 25


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("aws-cli"), node_command=None) as found:
        yield found


def run(cluster: Cluster, *arguments: str) -> "subprocess.CompletedProcess[str]":
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    # Neither the settings nor the proxies of who runs the tests.
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "*"}
    command = [str(AWS), "dynamodb", *arguments, "--endpoint-url", cluster.endpoints()[0], "--output", "json"]
    environment = {**os.environ, **credentials, **nothing}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)


def aws(cluster: Cluster, *arguments: str) -> Any:
    """What the command printed, decoded; None if nothing."""
    done = run(cluster, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_the_aws_command_line_makes_uses_and_deletes_a_table(cluster: Cluster) -> None:
    schema = ["--attribute-definitions", "AttributeName=city,AttributeType=S", "AttributeName=year,AttributeType=N"]
    schema += ["--key-schema", "AttributeName=city,KeyType=HASH", "AttributeName=year,KeyType=RANGE"]
    created = aws(cluster, "create-table", "--table-name", "events", *schema, "--billing-mode", "PAY_PER_REQUEST")
    assert created["TableDescription"]["TableName"] == "events"
    aws(cluster, "wait", "table-exists", "--table-name", "events")
    assert "events" in aws(cluster, "list-tables")["TableNames"]

    item = {"city": {"S": "Ulm"}, "year": {"N": "1377"}, "what": {"S": "minster"}}
    key = {name: item[name] for name in ("city", "year")}
    aws(cluster, "put-item", "--table-name", "events", "--item", json.dumps(item))
    found = aws(cluster, "get-item", "--table-name", "events", "--key", json.dumps(key), "--consistent-read")
    assert found["Item"] == item

    batch = [{"PutRequest": {"Item": {"city": {"S": "Bern"}, "year": {"N": str(n)}}}} for n in range(ITEMS)]
    left = aws(cluster, "batch-write-item", "--request-items", json.dumps({"events": batch}))
    assert left["UnprocessedItems"] == {}
    scanned = aws(cluster, "scan", "--table-name", "events", "--consistent-read", "--page-size", "7")
    assert scanned["Count"] == ITEMS + 1

    aws(cluster, "delete-item", "--table-name", "events", "--key", json.dumps(key))
    assert aws(cluster, "get-item", "--table-name", "events", "--key", json.dumps(key), "--consistent-read") is None
    aws(cluster, "delete-table", "--table-name", "events")
    aws(cluster, "wait", "table-not-exists", "--table-name", "events")


def test_the_aws_command_line_queries_updates_and_filters(cluster: Cluster) -> None:
    keys = {"day": ("S", "HASH"), "number": ("N", "RANGE")}
    schema = [
        "--attribute-definitions",
        *(f"AttributeName={name},AttributeType={kind[0]}" for name, kind in keys.items()),
    ]
    schema += ["--key-schema", *(f"AttributeName={name},KeyType={kind[1]}" for name, kind in keys.items())]
    aws(cluster, "create-table", "--table-name", "bills", *schema, "--billing-mode", "PAY_PER_REQUEST")
    aws(cluster, "wait", "table-exists", "--table-name", "bills")
    puts = [{"PutRequest": {"Item": {"day": {"S": "mon"}, "number": {"N": str(n)}}}} for n in range(ITEMS)]
    aws(cluster, "batch-write-item", "--request-items", json.dumps({"bills": puts}))

    query = ["--key-condition-expression", "#d = :d AND #n BETWEEN :low AND :high", "--no-scan-index-forward"]
    query += ["--expression-attribute-names", json.dumps({"#d": "day", "#n": "number"})]
    values = {":d": {"S": "mon"}, ":low": {"N": "5"}, ":high": {"N": "20"}}
    query += ["--expression-attribute-values", json.dumps(values), "--consistent-read"]
    whole = aws(cluster, "query", "--table-name", "bills", *query, "--page-size", "4")
    assert [item["number"]["N"] for item in whole["Items"]] == [str(n) for n in range(20, 4, -1)]
    first = aws(cluster, "query", "--table-name", "bills", *query, "--max-items", "3")
    rest = aws(cluster, "query", "--table-name", "bills", *query, "--starting-token", first["NextToken"])
    assert first["Items"] + rest["Items"] == whole["Items"]

    key = ["--key", json.dumps({"day": {"S": "mon"}, "number": {"N": "7"}})]
    update = ["--update-expression", "SET paid = :yes ADD visits :one", "--return-values", "UPDATED_NEW"]
    update += ["--expression-attribute-values", json.dumps({":yes": {"BOOL": True}, ":one": {"N": "1"}})]
    once = [*key, *update, "--condition-expression", "attribute_not_exists(paid)"]
    done = aws(cluster, "update-item", "--table-name", "bills", *once)
    assert done["Attributes"] == {"paid": {"BOOL": True}, "visits": {"N": "1"}}
    again = run(cluster, "update-item", "--table-name", "bills", *once)
    assert "(ConditionalCheckFailedException) when calling the UpdateItem operation" in again.stderr

    paid = ["--filter-expression", "paid = :yes", "--expression-attribute-values", json.dumps({":yes": {"BOOL": True}})]
    found = aws(cluster, "scan", "--table-name", "bills", *paid, "--consistent-read")
    assert (found["Count"], found["ScannedCount"]) == (1, ITEMS)
    wanted = {"bills": {"Keys": [{"day": {"S": "mon"}, "number": {"N": "7"}}], "ProjectionExpression": "visits"}}
    got = aws(cluster, "batch-get-item", "--request-items", json.dumps(wanted))
    assert got["Responses"]["bills"] == [{"visits": {"N": "1"}}]


def test_the_aws_command_line_sets_time_to_live_and_tags(cluster: Cluster) -> None:
    schema = [
        "--attribute-definitions",
        "AttributeName=id,AttributeType=S",
        "--key-schema",
        "AttributeName=id,KeyType=HASH",
    ]
    made = aws(cluster, "create-table", "--table-name", "notes", *schema, "--billing-mode", "PAY_PER_REQUEST")
    aws(cluster, "wait", "table-exists", "--table-name", "notes")
    wanted = "Enabled=true,AttributeName=ends"
    aws(cluster, "update-time-to-live", "--table-name", "notes", "--time-to-live-specification", wanted)
    lives = aws(cluster, "describe-time-to-live", "--table-name", "notes")
    assert lives["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends"}
    arn = ["--resource-arn", made["TableDescription"]["TableArn"]]
    aws(cluster, "tag-resource", *arn, "--tags", "Key=team,Value=shop")
    assert aws(cluster, "list-tags-of-resource", *arn)["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_the_aws_command_line_shows_the_services_own_errors(cluster: Cluster) -> None:
    done = run(cluster, "get-item", "--table-name", "nowhere", "--key", '{"city": {"S": "Ulm"}}')
    assert done.returncode != 0
    assert "(ResourceNotFoundException) when calling the GetItem operation" in done.stderr
    done = run(cluster, "list-backups")
    assert done.returncode != 0
    assert "(UnknownOperationException) when calling the ListBackups operation" in done.stderr
