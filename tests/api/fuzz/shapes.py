"""Requests from the service model that botocore ships: what each operation takes, mostly as it should be.

The model gives members, types, enums and limits. What it cannot say is made to fit most of the time, so that requests
get further than the first check: keys have their tables' types, and expressions the placeholders that they use.
"""

import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape
from hypothesis import strategies as st

from tests.api.fuzz.expressions import expressions
from tests.api.fuzz.values import (
    ANY_VALUES,
    ARN,
    ATTRIBUTE_NAMES,
    GLOBAL_INDEX,
    INDEX_NAMES,
    INDEXED,
    KEY_VALUES,
    LOCAL_INDEX,
    TABLE_NAMES,
    TABLES,
    keys_of,
)

MODEL: Any = botocore.session.get_session().get_service_model("dynamodb")
OPERATIONS: list[str] = sorted(MODEL.operation_names)
TEXTS = st.sampled_from(["", "a", "abc", "name-1", "é", "x" * 64])
NUMBERS = [-1, 0, 1, 2, 10, 100, 2**31 - 1, 2**31, 2**63 - 1]
_LEGACY = {
    *("AttributesToGet", "AttributeUpdates", "ConditionalOperator", "Expected"),
    *("KeyConditions", "QueryFilter", "ScanFilter"),
}
_PLACEHOLDER = re.compile(r"[#:]\w+")
_OPTIONAL = [0, 0, 1, 1, 2, 4]
"""How many of the members that may be left out are not."""
_USUAL = {
    "QueryInput": "KeyConditionExpression",
    "UpdateItemInput": "UpdateExpression",
    "CreateTableInput": "BillingMode",
}
"""Members that are hardly ever left out, though they may be."""
MOSTLY = st.sampled_from([True] * 9 + [False])
Members = dict[str, Any]


@st.composite
def requests(draw: st.DrawFn, operation: str) -> Members:
    """The members of a request."""
    members: Members = draw(_shaped(MODEL.operation_model(operation).input_shape.name, ""))
    if draw(MOSTLY):
        _fit_keys(draw, members)
        if operation == "CreateTable":
            _fit_schema(draw, members)
    if draw(MOSTLY):
        _leave_out_legacy(members)
        _fit_placeholders(draw, members)
        if operation in ("Query", "Scan") and not draw(MOSTLY):
            members["IndexName"] = draw(INDEX_NAMES)
        if operation == "Query":
            _fit_key_values(draw, members)
    return members


def _fit_keys(draw: st.DrawFn, members: Members) -> None:
    """Gives each request of one table a key of that table; items and start keys too."""
    for table, inner in [(members.get("TableName"), members), *members.get("RequestItems", {}).items()]:
        keys = TABLES.get(str(table).removeprefix(ARN))
        if keys is None:
            continue
        for holder in _dicts(inner):
            if isinstance(holder.get("Keys"), list):
                holder["Keys"] = [draw(keys_of(str(table).removeprefix(ARN))) for _ in holder["Keys"]]
            for name in ("Key", "ExclusiveStartKey", "Item"):
                if name in holder:
                    key = draw(keys_of(str(table).removeprefix(ARN)))
                    holder[name] = {**holder[name], **key} if name == "Item" else key


def _dicts(value: Any) -> list[Members]:
    """A request's structures, or those of one table of a batch."""
    if isinstance(value, list):
        return [found for member in value for found in _dicts(member)]
    if not isinstance(value, dict):
        return []
    return [value, *(value[name] for name in ("PutRequest", "DeleteRequest") if isinstance(value.get(name), dict))]


def _fit_schema(draw: st.DrawFn, members: Members) -> None:
    members["TableName"] = "new"
    members["BillingMode"] = "PAY_PER_REQUEST"
    members["KeySchema"] = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    del members["KeySchema"][draw(st.sampled_from([1, 2])) :]
    kinds = st.sampled_from(["S", "N", "B"])
    members["AttributeDefinitions"] = [
        {"AttributeName": key["AttributeName"], "AttributeType": draw(kinds)} for key in members["KeySchema"]
    ]
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        for index in members.get(kind, []):
            index["KeySchema"] = members["KeySchema"]


def _fit_key_values(draw: st.DrawFn, members: Members) -> None:
    """What a Query compares its keys with is of their types, and it does not name a sort key where there is none."""
    given = members.get("ExpressionAttributeValues")
    keys = TABLES.get(str(members.get("TableName")).removeprefix(ARN), {})
    pk, sk = "pk", "sk"
    if "sk" in keys and members.get("IndexName") in (LOCAL_INDEX, GLOBAL_INDEX):
        members["TableName"], keys = INDEXED, TABLES[INDEXED] | {"g": "N"}
        pk, sk = ("pk", "g") if members["IndexName"] == LOCAL_INDEX else ("g", "")
        members["KeyConditionExpression"] = f"{pk} = :v" + (f" AND {sk} >= :w" if sk else "")
        members["ExpressionAttributeValues"] = given = {":v": {}} | ({":w": {}} if sk else {})
    if "sk" not in keys:
        members["KeyConditionExpression"] = str(members.get("KeyConditionExpression")).partition(" AND ")[0]
        given = {":v": {}} if given else given
        members["ExpressionAttributeValues"] = given
    if "ExpressionAttributeNames" in members:
        members["ExpressionAttributeNames"]["#n"] = "pk"
    for placeholder, key in ((":v", pk), (":w", sk), (":x", sk)):
        if given and placeholder in given and key in keys:
            given[placeholder] = {keys[key]: draw(st.sampled_from(KEY_VALUES[keys[key]][:3]))}


def _leave_out_legacy(members: Members) -> None:
    """Expressions and the parameters that they replaced are not for one request."""
    if any(name.endswith("Expression") for name in members):
        for name in _LEGACY & set(members):
            del members[name]


def _fit_placeholders(draw: st.DrawFn, members: Members) -> None:
    for holder in [members, *(table for table in members.get("RequestItems", {}).values() if isinstance(table, dict))]:
        texts = [text for name, text in holder.items() if name.endswith("Expression") and isinstance(text, str)]
        used = sorted({found for text in texts for found in _PLACEHOLDER.findall(text)})[:20]
        names = {found: draw(ATTRIBUTE_NAMES) for found in used if found[0] == "#"}
        values = {found: draw(ANY_VALUES) for found in used if found[0] == ":"}
        for member, given in (("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)):
            holder.pop(member, None)
            if given:
                holder[member] = given


@cache
def _shaped(name: str, member: str) -> st.SearchStrategy[Any]:
    """Values of the shape `name`, for the member called `member`."""
    shape = MODEL.shape_for(name)
    if (hinted := _hinted(name, member)) is not None:
        return hinted
    match shape.type_name:
        case "structure":
            return _structures(shape)
        case "list":
            low, high = int(shape.metadata.get("min", 0)), 2
            return st.lists(
                st.deferred(lambda: _shaped(shape.member.name, member)), min_size=low, max_size=max(low, high)
            )
        case "map":
            values = st.deferred(lambda: _shaped(shape.value.name, member))
            return st.dictionaries(_shaped(shape.key.name, ""), values, min_size=1, max_size=2)
        case "string":
            return st.sampled_from(shape.enum) if shape.enum else TEXTS
        case "boolean":
            return st.booleans()
        case "blob":
            return st.sampled_from(["", "AAE="])
    lowest = shape.metadata.get("min")
    return st.sampled_from([1, 2, *NUMBERS] if lowest is None else [lowest, lowest + 1, lowest - 1, *NUMBERS])


def _structures(shape: Shape) -> st.SearchStrategy[Members]:
    """All required members and a few of the others."""
    members: dict[str, Shape] = shape.members
    wanted = [*shape.required_members, *([_USUAL[shape.name]] if shape.name in _USUAL else [])]
    optional = sorted(set(members) - set(wanted))

    def structures(count: int) -> st.SearchStrategy[Members]:
        some = st.lists(st.sampled_from(optional or [""]), min_size=count, max_size=count, unique=True)
        return some.flatmap(
            lambda chosen: st.fixed_dictionaries(
                {name: _shaped(members[name].name, name) for name in [*wanted, *chosen]}
            )
        )

    counts = [count for count in _OPTIONAL if count <= len(optional)]
    return st.sampled_from([1] if shape.name == "WriteRequest" else counts).flatmap(structures)


def _hinted(shape: str, member: str) -> st.SearchStrategy[Any] | None:
    """What the model has no word for: values, names and expressions that mean something here."""
    if shape == "AttributeValue":
        return ANY_VALUES
    if shape in ("TableName", "TableArn"):
        return TABLE_NAMES
    if shape == "IndexName":
        return INDEX_NAMES
    if shape == "ResourceArnString":
        return TABLE_NAMES.map(lambda name: name if name.startswith("arn:") else ARN + name)
    if shape in ("AttributeName", "KeySchemaAttributeName", "TimeToLiveAttributeName"):
        return ATTRIBUTE_NAMES
    if shape == "ExpressionAttributeNameVariable":
        return st.sampled_from(["#n", "#m", "n", "#", "#é"])
    if shape == "ExpressionAttributeValueVariable":
        return st.sampled_from([":v", ":w", "v", ":", ":é"])
    if member.endswith("Expression"):
        return expressions(member)
    return None
