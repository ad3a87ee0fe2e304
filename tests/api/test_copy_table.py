"""examples/copy_table.py moves a table, as its page says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Front, create_table

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "copy_table.py"
ITEMS = 130


@pytest.fixture
def other_front() -> Iterator[Front]:
    running = Front()
    yield running
    running.stop()


def copy(source: Front, target: Front) -> str:
    credentials = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "*"}
    command = [sys.executable, str(PROGRAM), "lines", "--from", source.endpoint, "--to", target.endpoint]
    done = subprocess.run(
        command, env={**os.environ, **credentials, **nothing}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(front: Front) -> None:
    client = front.client()
    create_table(client, "lines", "S", "N")
    for number in range(ITEMS):
        item = {"pk": {"S": f"k{number % 13}"}, "sk": {"N": str(number)}, "b": {"B": b"\x00\xff"}, "l": {"L": []}}
        client.put_item(TableName="lines", Item=item)
    client.update_time_to_live(TableName="lines", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"})


def test_a_table_is_copied_with_its_indexes(front: Front, other_front: Front) -> None:
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    front.client().create_table(
        TableName="lines",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "g")],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        LocalSecondaryIndexes=[index("by-g", ("pk", "HASH"), ("g", "RANGE"))],
        GlobalSecondaryIndexes=[index("of-g", ("g", "HASH"))],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"pk": {"S": "p"}, "sk": {"S": "s"}, "g": {"S": "x"}, "n": {"N": "1"}}
    front.client().put_item(TableName="lines", Item=item)
    copy(front, other_front)
    for name, condition in (("by-g", "pk = :p AND g = :g"), ("of-g", "g = :g")):
        values = {":p": {"S": "p"}, ":g": {"S": "x"}}
        found = other_front.client().query(
            TableName="lines",
            IndexName=name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={value: values[value] for value in values if value in condition},
        )
        assert found["Items"] == [item]


def index(name: str, *keys: tuple[str, str]) -> dict[str, Any]:
    schema = [{"AttributeName": key, "KeyType": kind} for key, kind in keys]
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}


def test_a_table_is_copied_with_its_keys_items_and_time_to_live(front: Front, other_front: Front) -> None:
    fill(front)
    assert f"{ITEMS} items of lines copied" in copy(front, other_front)
    assert other_front.backend.rows["lines"] == front.backend.rows["lines"]
    described = other_front.client().describe_table(TableName="lines")["Table"]
    assert [key["AttributeName"] for key in described["KeySchema"]] == ["pk", "sk"]
    lives = other_front.client().describe_time_to_live(TableName="lines")["TimeToLiveDescription"]
    assert lives == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends"}


def test_a_copy_may_be_run_again(front: Front, other_front: Front) -> None:
    fill(front)
    copy(front, other_front)
    front.client().put_item(TableName="lines", Item={"pk": {"S": "new"}, "sk": {"N": "1"}})
    said = copy(front, other_front)
    assert "lines is there already" in said
    assert f"{ITEMS + 1} items of lines copied" in said
    assert other_front.backend.rows["lines"] == front.backend.rows["lines"]
