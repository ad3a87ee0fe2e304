"""Tables with secondary indexes, as requests say them."""

from typing import Any

INVALID = "One or more parameter values were invalid: "


def definitions(*attributes: str) -> list[dict[str, str]]:
    """`name` or `name:type`; S if there is none."""
    split = [attribute.partition(":") for attribute in attributes]
    return [{"AttributeName": name, "AttributeType": kind or "S"} for name, _, kind in split]


def key_schema(*keys: str) -> list[dict[str, str]]:
    """`name`, the first a hash key, the others range keys; or `name:HASH`, `name:RANGE`."""
    split = [key.partition(":") for key in keys]
    return [
        {"AttributeName": name, "KeyType": kind or ("RANGE" if place else "HASH")}
        for place, (name, _, kind) in enumerate(split)
    ]


def index(name: str, keys: list[str], projection: str | None = "ALL", *included: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {} if projection is None else {"ProjectionType": projection}
    if included:
        found["NonKeyAttributes"] = list(included)
    return {"IndexName": name, "KeySchema": key_schema(*keys), "Projection": found, **more}


def table(attributes: list[str], keys: list[str], **more: Any) -> dict[str, Any]:
    """The parameters of CreateTable for the table `orders`."""
    return {
        "TableName": "orders",
        "AttributeDefinitions": definitions(*attributes),
        "KeySchema": key_schema(*keys),
        "BillingMode": "PAY_PER_REQUEST",
        **more,
    }


def create_orders(client: Any) -> None:
    """`orders`: keys pk and sk; global indexes by-a (a, n; KEYS_ONLY), some (a, n; INCLUDE x) and whole (a; ALL); local
    ones loc (l; INCLUDE x) and loc-all (l; ALL)."""
    client.create_table(
        **table(
            ["pk", "sk", "a", "n:N", "l"],
            ["pk", "sk"],
            LocalSecondaryIndexes=[
                index("loc", ["pk", "l"], "INCLUDE", "x"),
                index("loc-all", ["pk", "l"]),
            ],
            GlobalSecondaryIndexes=[
                index("by-a", ["a", "n"], "KEYS_ONLY"),
                index("some", ["a", "n"], "INCLUDE", "x"),
                index("whole", ["a"]),
            ],
        )
    )
