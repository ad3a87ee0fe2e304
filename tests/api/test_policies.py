"""A key with a policy may do what it says, and is refused all else in the service's words."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keystead_core.access_policy import parse_policy
from keystead_node.api.actions import ACTIONS
from keystead_node.api.auth import SignatureV4
from keystead_node.api.permissions import KeyPolicy, needed
from keystead_node.api.service_model import service_model
from tests.api.conftest import Front, create_table

TABLES = "arn:aws:dynamodb:*:*:table/"
Limited = Callable[..., Any]


def statement(effect: str, action: Any, resource: Any = "*") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.fixture
def policies() -> dict[str, KeyPolicy]:
    return {}


@pytest.fixture
def signed_front(policies: dict[str, KeyPolicy]) -> Iterator[Front]:
    keys = {"ADMIN": "s3cret", "LIMITED": "s3cret"}
    running = Front(SignatureV4(lambda: keys, time.time), lambda: policies)
    admin = running.client("ADMIN", "s3cret")
    create_table(admin, "orders")
    create_table(admin, "secret")
    yield running
    running.stop()


@pytest.fixture
def limited(signed_front: Front, policies: dict[str, KeyPolicy]) -> Limited:
    """A client whose key has a policy of these statements."""

    def client(*statements: dict[str, Any]) -> Any:
        text = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
        policies["LIMITED"] = KeyPolicy(parse_policy(text, service_model().operations))
        return signed_front.client("LIMITED", "s3cret")

    return client


def refusal(client: Any, operation: str, **parameters: Any) -> str:
    """The message with which the service's operation is denied."""
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, operation)(**parameters)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDeniedException", 400)
    return str(response["Error"]["Message"])


def not_allowed(action: str, resource: str) -> str:
    return (
        f"User: arn:aws:iam::000000000000:user/LIMITED is not authorized to perform: dynamodb:{action} on resource: "
        f"{resource} because no identity-based policy allows the dynamodb:{action} action"
    )


def arn(table: str) -> str:
    return f"arn:aws:dynamodb:keystead:000000000000:table/{table}"


ITEM = {"pk": {"S": "1"}}
KEY = {"TableName": "orders", "Key": ITEM}
PUT = {"TableName": "orders", "Item": ITEM}


def test_a_key_without_a_policy_may_do_everything(signed_front: Front) -> None:
    client = signed_front.client("LIMITED", "s3cret")
    client.put_item(**PUT)
    client.delete_table(TableName="secret")


def test_a_read_only_key_may_read_and_not_write(signed_front: Front, limited: Limited) -> None:
    reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DescribeTable"]
    signed_front.client("ADMIN", "s3cret").put_item(**PUT)
    client = limited(statement("Allow", reads))
    assert client.get_item(**KEY)["Item"] == ITEM
    assert client.scan(TableName="orders")["Items"] == [ITEM]
    assert client.batch_get_item(RequestItems={"orders": {"Keys": [ITEM]}})["Responses"] == {"orders": [ITEM]}
    assert refusal(client, "put_item", **PUT) == not_allowed("PutItem", arn("orders"))
    assert refusal(client, "delete_item", **KEY) == not_allowed("DeleteItem", arn("orders"))
    assert refusal(client, "update_item", **KEY) == not_allowed("UpdateItem", arn("orders"))
    assert refusal(client, "delete_table", TableName="orders") == not_allowed("DeleteTable", arn("orders"))
    assert signed_front.backend.tables.keys() == {"orders", "secret"}


def test_an_explicit_deny_is_called_one(limited: Limited) -> None:
    client = limited(statement("Allow", "dynamodb:*"), statement("Deny", "*", TABLES + "secret"))
    client.put_item(**PUT)
    assert refusal(client, "get_item", TableName="secret", Key=ITEM) == (
        "User: arn:aws:iam::000000000000:user/LIMITED is not authorized to perform: dynamodb:GetItem on resource: "
        "arn:aws:dynamodb:keystead:000000000000:table/secret with an explicit deny in an identity-based policy"
    )


def test_a_batch_needs_all_of_its_tables(signed_front: Front, limited: Limited) -> None:
    client = limited(statement("Allow", "dynamodb:Batch*", TABLES + "orders"))
    puts = [{"PutRequest": {"Item": ITEM}}]
    client.batch_write_item(RequestItems={"orders": puts})
    both = {"orders": puts, "secret": puts}
    assert refusal(client, "batch_write_item", RequestItems=both) == not_allowed("BatchWriteItem", arn("secret"))
    keys = {name: {"Keys": [ITEM]} for name in both}
    assert refusal(client, "batch_get_item", RequestItems=keys) == not_allowed("BatchGetItem", arn("secret"))
    assert not signed_front.backend.rows["secret"]


def test_an_arn_for_a_name_gets_nobody_around_a_policy(limited: Limited) -> None:
    client = limited(statement("Allow", "dynamodb:*", TABLES + "orders"))
    elsewhere = "arn:aws:dynamodb:eu-west-2:123456789012:table/"
    client.get_item(TableName=elsewhere + "orders", Key=ITEM)
    denied = refusal(client, "get_item", TableName=elsewhere + "secret", Key=ITEM)
    assert denied == not_allowed("GetItem", arn("secret"))
    tagged = refusal(client, "list_tags_of_resource", ResourceArn=elsewhere + "secret")
    assert tagged == not_allowed("ListTagsOfResource", arn("secret"))


def test_an_index_is_a_resource_of_its_own(limited: Limited) -> None:
    condition = {"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}}
    query = {"TableName": "orders", **condition}
    client = limited(statement("Allow", "dynamodb:Query", TABLES + "orders"))
    client.query(**query)
    assert refusal(client, "query", **query, IndexName="byDate") == not_allowed("Query", arn("orders/index/byDate"))
    client = limited(statement("Allow", ["dynamodb:Query", "dynamodb:Scan"], TABLES + "orders/index/*"))
    assert refusal(client, "query", **query) == not_allowed("Query", arn("orders"))
    with pytest.raises(client.exceptions.ClientError) as caught:  # allowed, and then there is no such index
        client.scan(TableName="orders", IndexName="byDate")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_the_list_of_tables_is_of_all_tables(limited: Limited) -> None:
    client = limited(statement("Allow", "dynamodb:*", TABLES + "orders"))
    assert refusal(client, "list_tables") == not_allowed("ListTables", arn("*"))
    assert refusal(client, "describe_limits") == not_allowed("DescribeLimits", "*")
    client = limited(statement("Allow", "dynamodb:ListTables", TABLES + "*"))
    assert client.list_tables()["TableNames"] == ["orders", "secret"]


def test_the_refusal_comes_before_what_else_is_wrong(limited: Limited) -> None:
    client = limited(statement("Allow", "dynamodb:GetItem", TABLES + "orders"))
    assert refusal(client, "get_item", TableName="no such table", Key={}) == not_allowed(
        "GetItem", arn("no such table")
    )
    assert refusal(client, "put_item", TableName="orders", Item={}) == not_allowed("PutItem", arn("orders"))


def test_a_policy_that_changes_counts_from_the_next_request_on(limited: Limited) -> None:
    client = limited(statement("Allow", "dynamodb:GetItem"))
    client.get_item(**KEY)
    limited(statement("Deny", "dynamodb:GetItem"))
    assert refusal(client, "get_item", **KEY).endswith("with an explicit deny in an identity-based policy")


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("GetItem", b"{}"),
        ("GetItem", b"[]"),
        ("GetItem", b'{"TableName":null}'),
        ("GetItem", b'{"TableName":7}'),
        ("GetItem", b'{"TableName":""}'),
        ("GetItem", b'{"TableName":"%s"}' % (b"x" * 2000)),
        ("Query", b'{"TableName":"orders","IndexName":[]}'),
        ("BatchGetItem", b'{"RequestItems":[]}'),
        ("BatchGetItem", b'{"RequestItems":{}}'),
        ("BatchGetItem", b'{"RequestItems":{%s}}' % b",".join(b'"t%d":1' % n for n in range(101))),
        ("TransactWriteItems", b'{"TransactItems":[{"Put":null}]}'),
        ("TransactWriteItems", b'{"TransactItems":{}}'),
        ("NeverHeardOf", b'{"TableName":"orders"}'),
    ],
)
def test_a_request_whose_tables_cannot_be_told_needs_the_right_to_everything(operation: str, body: bytes) -> None:
    assert needed(operation, body) == [(operation, "*")]


def test_the_parts_of_a_transaction_are_actions_of_their_own() -> None:
    parts = b'[{"Put":{"TableName":"a"}},{"ConditionCheck":{"TableName":"b"}},{"Update":{"TableName":"a"}}]'
    assert needed("TransactWriteItems", b'{"TransactItems":%s}' % parts) == [
        ("PutItem", "table/a"),
        ("ConditionCheckItem", "table/b"),
        ("UpdateItem", "table/a"),
    ]


@pytest.mark.parametrize("last", ["orders", "secret"])
def test_what_is_said_twice_is_judged_as_it_is_done(signed_front: Front, limited: Limited, last: str) -> None:
    """Of two members of one name the last counts, for the policy as for the operation."""
    admin = signed_front.client("ADMIN", "s3cret")
    for table in ("orders", "secret"):
        admin.put_item(TableName=table, Item=ITEM | {"in": {"S": table}})
    client = limited(statement("Allow", "dynamodb:*", TABLES + "orders"))
    first = "secret" if last == "orders" else "orders"
    asked = {"Keys": [ITEM]}
    names = [f'"TableName":"{table}"' for table in (first, last)]
    batches = [f'"RequestItems":{json.dumps({table: asked})}' for table in (first, last)]
    bodies = {
        "GetItem": f'{{{names[0]},"Key":{json.dumps(ITEM)},{names[1]}}}',
        "BatchGetItem": f"{{{','.join(batches)}}}",
    }

    def rewrite(request: Any, operation_name: str, **_: Any) -> None:
        request.data = bodies[operation_name].encode()

    client.meta.events.register("before-sign.dynamodb", rewrite)
    batch = {"RequestItems": {"orders": asked}}
    if last == "secret":
        assert refusal(client, "get_item", **KEY) == not_allowed("GetItem", arn("secret"))
        assert refusal(client, "batch_get_item", **batch) == not_allowed("BatchGetItem", arn("secret"))
    else:
        assert client.get_item(**KEY)["Item"]["in"] == {"S": "orders"}
        assert list(client.batch_get_item(**batch)["Responses"]) == ["orders"]


@pytest.mark.parametrize("operation", sorted(ACTIONS))
def test_every_operation_has_its_resources(operation: str) -> None:
    """An operation that is added has to be added to permissions, or keys with policies are refused it."""
    arn_or_name = b'{"TableName":"orders","ResourceArn":"orders","RequestItems":{"orders":{}},"TransactItems":[]}'
    expected = {"ListTables": "table/*", "DescribeLimits": "*", "DescribeEndpoints": "*"}
    assert needed(operation, arn_or_name) == [(operation, expected.get(operation, "table/orders"))]
