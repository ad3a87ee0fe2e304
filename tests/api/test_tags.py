"""TagResource, UntagResource and ListTagsOfResource through boto3."""

from typing import Any

import msgspec
import pytest

from tests.api.conftest import Front, create_table
from tests.api.test_table_operations import refused

ARN = "arn:aws:dynamodb:keystead:000000000000:table/orders"
INVALID = "One or more parameter values were invalid: "


def tags(**pairs: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def listed(client: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in client.list_tags_of_resource(ResourceArn=ARN)["Tags"]}


def test_tags_are_set_changed_and_taken_off(orders: Any) -> None:
    assert orders.describe_table(TableName="orders")["Table"]["TableArn"] == ARN
    assert listed(orders) == {}
    orders.tag_resource(ResourceArn=ARN, Tags=tags(team="shop", stage="test"))
    orders.tag_resource(ResourceArn=ARN, Tags=tags(stage="production", empty=""))
    assert listed(orders) == {"team": "shop", "stage": "production", "empty": ""}
    orders.untag_resource(ResourceArn=ARN, TagKeys=["team", "never set"])
    assert listed(orders) == {"stage": "production", "empty": ""}


def test_tags_of_create_table_are_listed(dynamodb: Any) -> None:
    create_table(dynamodb, "orders", Tags=[*tags(team="shop"), {"Key": "keystead:partitions", "Value": "2"}])
    assert listed(dynamodb) == {"team": "shop", "keystead:partitions": "2"}


def test_more_than_a_page_of_tags_is_listed_by_token(front: Front, orders: Any) -> None:
    many = {f"k{number:03}": str(number) for number in range(120)}
    front.backend.tables["orders"] = msgspec.structs.replace(front.backend.tables["orders"], tags=many)
    pages = list(orders.get_paginator("list_tags_of_resource").paginate(ResourceArn=ARN))
    assert [len(page["Tags"]) for page in pages] == [50, 50, 20]
    assert {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]} == many
    assert refused(orders.list_tags_of_resource, ResourceArn=ARN, NextToken="!") == (
        "ValidationException",
        "Invalid NextToken",
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([], "Atleast one Tag needs to be provided as Input."),
        (tags(a="1") + tags(a="2"), f"{INVALID}Duplicate tag keys found"),
        (
            [{"Key": "aws:owner", "Value": "me"}],
            f"{INVALID}aws: prefixed tag key names are not allowed for external use: aws:owner",
        ),
        (
            [{"Key": "keystead:partitions", "Value": "9"}],
            f"{INVALID}Tag keystead:partitions can only be given to CreateTable: it says how the table is made",
        ),
        (tags(**{f"k{n}": "v" for n in range(51)}), f"{INVALID}Too many tags: a table has at most 50"),
        (
            [{"Key": "", "Value": "v"}],
            "1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must "
            "have length greater than or equal to 1",
        ),
        (
            [{"Key": "k", "Value": "v" * 257}],
            f"1 validation error detected: Value '{'v' * 257}' at 'tags.1.member.value' failed to satisfy constraint: "
            "Member must have length less than or equal to 256",
        ),
        (
            [{"Key": "k" * 129, "Value": "v"}],
            f"1 validation error detected: Value '{'k' * 129}' at 'tags.1.member.key' failed to satisfy constraint: "
            "Member must have length less than or equal to 128",
        ),
    ],
)
def test_bad_tags_are_refused(orders: Any, wanted: list[dict[str, str]], message: str) -> None:
    assert refused(orders.tag_resource, ResourceArn=ARN, Tags=wanted) == ("ValidationException", message)
    assert listed(orders) == {}


def test_bad_tag_keys_are_not_taken_off(orders: Any) -> None:
    assert refused(orders.untag_resource, ResourceArn=ARN, TagKeys=[])[1].startswith("Atleast one Tag Key")
    for key in ("aws:owner", "keystead:partitions"):
        assert refused(orders.untag_resource, ResourceArn=ARN, TagKeys=[key])[0] == "ValidationException"


def test_a_resource_that_is_no_table_is_refused(orders: Any) -> None:
    for arn in ("orders", "arn:aws:sqs:keystead:000000000000:orders", ARN + "/stream/2020"):
        assert refused(orders.list_tags_of_resource, ResourceArn=arn) == (
            "ValidationException",
            f"Invalid TableArn: Invalid ResourceArn provided as input {arn}",
        )
    calls = (
        (orders.list_tags_of_resource, {}),
        (orders.tag_resource, {"Tags": tags(a="b")}),
        (orders.untag_resource, {"TagKeys": ["a"]}),
    )
    for call, more in calls:
        assert refused(call, ResourceArn=ARN + "x", **more) == (
            "ResourceNotFoundException",
            f"Requested resource not found: ResourcArn: {ARN}x not found",
        )


def test_tags_of_a_declared_table_are_its_manifests(front: Front, orders: Any) -> None:
    table = front.backend.tables["orders"]
    front.backend.tables["orders"] = msgspec.structs.replace(table, managed_by="Table/shop/orders")
    code, message = refused(orders.tag_resource, ResourceArn=ARN, Tags=tags(team="shop"))
    assert code == "ValidationException" and "managed by Table/shop/orders" in message
