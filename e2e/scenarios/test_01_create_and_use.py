"""What a new user does: helm install, kubectl apply of the examples, any DynamoDB client."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from e2e.harness.commands import REPOSITORY, kubectl
from e2e.harness.forward import forwarded
from e2e.harness.kube import condition
from e2e.harness.store import Store

pytestmark = [pytest.mark.smoke, pytest.mark.timeout(420)]


def dynamodb(endpoint: str, ca: Path) -> Any:
    return boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        verify=str(ca),
        config=Config(retries={"max_attempts": 3}, connect_timeout=5, read_timeout=10),
    )


def test_the_examples_are_applied_and_boto3_writes_and_reads(
    own_store: Callable[..., Store], figure: Callable[[str], None], tmp_path: Path
) -> None:
    store = own_store()
    start = time.monotonic()
    examples = ("--filename", "examples/cluster.yaml", "--filename", "examples/orders.yaml")
    kubectl("--namespace", store.namespace, "apply", *examples)
    store.wait_available(180)
    figure(f"cluster and table Available {time.monotonic() - start:.1f} s after kubectl apply")
    kubectl("--namespace", store.namespace, "wait", "--for=condition=Available", "--timeout=10s", "kst/orders")

    ca = tmp_path / "ca.crt"
    ca.write_text(store.authorities())
    with forwarded(store.namespace, f"service/{store.name}", 8000) as port:
        database = dynamodb(f"{store.scheme}://localhost:{port}", ca)
        orders = database.Table("orders")
        for number in range(25):
            orders.put_item(Item={"customer": f"c{number}", "orderId": "1", "total": number})
        for number in range(25):
            key = {"customer": f"c{number}", "orderId": "1"}
            assert orders.get_item(Key=key, ConsistentRead=True)["Item"]["total"] == number
        # A table that is made through the API lives in the catalog only, beside the declared one.
        database.create_table(
            TableName="adhoc",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        ).wait_until_exists()
        assert {table.name for table in database.tables.all()} == {"adhoc", "orders"}
        # One that is declared is not changed behind its manifest's back.
        with pytest.raises(database.meta.client.exceptions.ClientError, match=r"managed by|Table/orders"):
            database.meta.client.delete_table(TableName="orders")

    tables = []
    for number in range(3):
        start = time.monotonic()
        store.apply(store.table_manifest(f"timed-{number}", partitions=1))
        store.wait_available(60)
        tables.append(time.monotonic() - start)
    figure(f"table applied to Available {min(tables):.1f} to {max(tables):.1f} s")

    columns = kubectl("--namespace", store.namespace, "get", "kst,ksc")
    assert "MASTERS" in columns and "True" in columns, columns
    kubectl("--namespace", store.namespace, "delete", "kst/timed-0", "--wait=true", "--timeout=60s")
    left = {
        table["metadata"]["name"]: condition(table, "Available")["status"]
        for table in store.kube.list("Table", store.namespace)
    }
    assert left == {"orders": "True", "timed-1": "True", "timed-2": "True"}
    assert (REPOSITORY / "examples" / "orders.yaml").exists()
