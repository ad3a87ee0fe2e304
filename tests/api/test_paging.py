"""Going through a Query or Scan page by page gives what a plain filter over a sorted list gives: every item once."""

import asyncio
import operator
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.expressions import Placeholders, read_condition
from keystead_core.items import encode_row
from keystead_core.keyspace import KeyRange
from keystead_node.api.pages import read_page
from keystead_node.api.requests import ScanRequest
from keystead_node.api.selections import Selection
from keystead_node.api.targets import Target
from tests.api.conftest import Front, create_table

COMPARISONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SORT_KEYS: dict[str, st.SearchStrategy[Any]] = {
    "N": st.decimals(-20, 20, places=1).map(lambda number: format(number, "f")),
    "S": st.text("ab\x00é\uffff\U0001f980", min_size=1, max_size=3),
    "B": st.binary(min_size=1, max_size=3),
}
ORDERS: dict[str, Any] = {"N": Decimal, "S": str.encode, "B": bytes}


class Paged(NamedTuple):
    """What the pages of one request after the other gave. `read`: items read, before the filter."""

    items: list[dict[str, Any]]
    read: int
    lengths: list[int]


@pytest.fixture(scope="module")
def shared_front() -> Iterator[Front]:
    running = Front()
    for kind in SORT_KEYS:
        create_table(running.client(), f"by_{kind}", "S", kind)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def dynamodb_of_all(shared_front: Front) -> Any:
    return shared_front.client()


def fill(front: Front, dynamodb: Any, kind: str, sort_keys: list[Any], data: st.DataObject) -> list[dict[str, Any]]:
    """Items of the partition keys p and q with those sort keys."""
    front.backend.rows[f"by_{kind}"].clear()
    front.backend.rows_per_scan = data.draw(st.integers(1, 4), "rows in a partition")
    items = [
        {"pk": {"S": key}, "sk": {kind: sort_key}, "v": {"N": str(position % 3)}}
        for key in "pq"
        for position, sort_key in enumerate(sort_keys)
    ]
    if items:
        dynamodb.batch_write_item(RequestItems={f"by_{kind}": [{"PutRequest": {"Item": item}} for item in items]})
    return items


def all_pages(call: Any, parameters: dict[str, Any]) -> Paged:
    items, read, lengths = [], 0, []
    more: dict[str, Any] = {}
    while True:
        page = call(**parameters, **more)
        assert page["Count"] == len(page["Items"]) <= page["ScannedCount"]
        items += page["Items"]
        read += page["ScannedCount"]
        lengths.append(page["ScannedCount"])
        if "LastEvaluatedKey" not in page:
            return Paged(items, read, lengths)
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def filtering(data: st.DataObject) -> tuple[dict[str, Any], set[str]]:
    """The parameters of a filter or none, and the values of `v` that pass it."""
    threshold = data.draw(st.none() | st.integers(0, 3), "filter")
    if threshold is None:
        return {}, {"0", "1", "2"}
    values = {":v": {"N": str(threshold)}}
    return {"FilterExpression": "v < :v", "ExpressionAttributeValues": values}, {str(v) for v in range(threshold)}


@pytest.mark.parametrize("kind", SORT_KEYS)
@given(data=st.data())
def test_the_pages_of_a_query_are_the_sorted_items_that_pass(
    shared_front: Front, dynamodb_of_all: Any, kind: str, data: st.DataObject
) -> None:
    order = ORDERS[kind]
    sort_keys = data.draw(st.lists(SORT_KEYS[kind], max_size=8, unique_by=order), "sort keys")
    items = fill(shared_front, dynamodb_of_all, kind, sort_keys, data)
    symbol = data.draw(st.sampled_from(["", *COMPARISONS]), "condition")
    operand = data.draw(st.sampled_from(sort_keys) if sort_keys else SORT_KEYS[kind], "operand")
    limit = data.draw(st.none() | st.integers(1, 9), "limit")
    forward = data.draw(st.booleans(), "forward")
    parameters, passing = filtering(data)
    values = parameters.setdefault("ExpressionAttributeValues", {})
    values[":p"] = {"S": "p"}
    if symbol:
        values[":a"] = {kind: operand}
    selected = [
        item
        for item in items
        if item["pk"]["S"] == "p" and (not symbol or COMPARISONS[symbol](order(item["sk"][kind]), order(operand)))
    ]
    selected.sort(key=lambda item: order(item["sk"][kind]), reverse=not forward)
    paged = all_pages(
        dynamodb_of_all.query,
        parameters
        | {
            "TableName": f"by_{kind}",
            "KeyConditionExpression": f"pk = :p AND sk {symbol} :a" if symbol else "pk = :p",
            "ScanIndexForward": forward,
        }
        | ({} if limit is None else {"Limit": limit}),
    )
    assert normal(paged.items, kind) == normal([item for item in selected if item["v"]["N"] in passing], kind)
    assert paged.read == len(selected)
    assert limit is None or all(length == limit for length in paged.lengths[:-1])


@given(data=st.data())
def test_the_pages_of_a_scan_are_all_items_that_pass(
    shared_front: Front, dynamodb_of_all: Any, data: st.DataObject
) -> None:
    sort_keys = data.draw(st.lists(SORT_KEYS["N"], max_size=8, unique_by=Decimal), "sort keys")
    items = fill(shared_front, dynamodb_of_all, "N", sort_keys, data)
    segments = data.draw(st.integers(1, 3), "segments")
    limit = data.draw(st.integers(1, 20), "limit")
    parameters, passing = filtering(data)
    found: list[dict[str, Any]] = []
    read = 0
    for segment in range(segments):
        request = {"TableName": "by_N", "Limit": limit, "Segment": segment, "TotalSegments": segments}
        paged = all_pages(dynamodb_of_all.scan, parameters | request)
        found += paged.items
        read += paged.read
    expected = [item for item in items if item["v"]["N"] in passing]
    assert sorted(normal(found, "N")) == sorted(normal(expected, "N"))
    assert read == len(items)


def normal(items: list[dict[str, Any]], kind: str) -> list[tuple[str, Any, str]]:
    """Items as they compare: numbers come back in their shortest form."""
    return [(item["pk"]["S"], ORDERS[kind](item["sk"][kind]), item["v"]["N"]) for item in items]


def test_others_get_their_turns_while_a_page_is_filtered(shared_front: Front, dynamodb_of_all: Any) -> None:
    backend = shared_front.backend
    backend.rows_per_scan = 1000
    value, _ = encode_row({"pk": {"S": "p"}, "sk": {"N": "1"}})
    backend.rows["by_N"] = {b"%04d" % number: value for number in range(1000)}
    selection = Selection(read_condition("attribute_exists(pk)", Placeholders(), "FilterExpression"))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> int:
        others = asyncio.create_task(count_turns())
        page = await read_page(
            backend, Target(backend.tables["by_N"]), KeyRange(b"", None), ScanRequest("by_N"), selection
        )
        others.cancel()
        return page.matched

    assert asyncio.run(read()) == 1000
    assert turns >= 10
