"""Whether an access key may do what a request asks: its policy, the tables that the request names, and the refusal.

Judged after the signature and before the rest of the request is checked, as the service does. The names are therefore
read leniently, and a request whose names cannot be read needs the right to everything: nobody gains by being unclear.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from keystead_core.access_policy import ACCOUNT, ACTION_PREFIX, ARN_ROOT, EVERYTHING, Decision, Policy
from keystead_node.api.errors import AccessDenied
from keystead_node.api.table_names import table_name

Needed = tuple[str, str]
"""An action, and the path of the resource (keystead_core.access_policy) that it is done to."""

BY_NAME: Final = frozenset(
    (
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"),
        *("CreateTable", "DescribeTable", "UpdateTable", "DeleteTable", "DescribeContinuousBackups"),
        *("DescribeTimeToLive", "UpdateTimeToLive"),
    )
)
BY_ARN: Final = frozenset(("TagResource", "UntagResource", "ListTagsOfResource"))
BATCHES: Final = frozenset(("BatchGetItem", "BatchWriteItem"))
TRANSACTIONS: Final = frozenset(("TransactGetItems", "TransactWriteItems"))
OF_ALL_TABLES: Final = frozenset(("ListTables",))
OF_NO_TABLE: Final = frozenset(("DescribeLimits", "DescribeEndpoints"))
_IN_TRANSACTIONS: Final = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
ALL_TABLES: Final = "table/*"
_NAME_LENGTH_MAX: Final = 1024
_NAMES_MAX: Final = 100  # more than any request may have
_DECISIONS_MAX: Final = 1024


class _Named(msgspec.Struct, gc=False):
    TableName: Any = None
    IndexName: Any = None
    ResourceArn: Any = None


class _Batch(msgspec.Struct, gc=False):
    RequestItems: dict[str, msgspec.Raw] = {}


class _Transaction(msgspec.Struct, gc=False):
    TransactItems: list[dict[str, _Named | None]] = []


_decode_named = msgspec.json.Decoder(_Named).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_transaction = msgspec.json.Decoder(_Transaction).decode


def needed(operation: str, body: bytes) -> list[Needed]:
    """All that a caller has to be allowed for this request; never nothing."""
    try:
        found = _needed(operation, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = []
    return found if 0 < len(found) <= _NAMES_MAX else [(operation, EVERYTHING)]


def tables_of(operation: str, body: bytes) -> list[str]:
    """The names of the tables that a request names, as far as they can be read."""
    paths = dict.fromkeys(resource for _, resource in needed(operation, body))
    names = dict.fromkeys(path.split("/")[1] for path in paths if path not in (EVERYTHING, ALL_TABLES))
    return list(names)


def _needed(operation: str, body: bytes) -> list[Needed]:
    if operation in BY_NAME:
        asked = _decode_named(body)
        return [(operation, _path(asked.TableName, asked.IndexName))]
    if operation in BATCHES:
        return [(operation, _path(name)) for name in _decode_batch(body).RequestItems]
    if operation in TRANSACTIONS:
        parts = [part for item in _decode_transaction(body).TransactItems for part in item.items()]
        return [(_IN_TRANSACTIONS.get(kind, operation), _path(part.TableName)) for kind, part in parts if part]
    if operation in BY_ARN:
        return [(operation, _path(_decode_named(body).ResourceArn))]
    return [(operation, ALL_TABLES if operation in OF_ALL_TABLES else EVERYTHING)]


def _path(name: object, index: object = None) -> str:
    if not isinstance(name, str) or not name or len(name) > _NAME_LENGTH_MAX:
        return EVERYTHING
    path = f"table/{table_name(name)}"
    if index is None:
        return path
    return f"{path}/index/{index}" if isinstance(index, str) and len(index) <= _NAME_LENGTH_MAX else EVERYTHING


class KeyPolicy:
    """The policy of one access key, with what was decided by it already."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._decisions: dict[Needed, Decision] = {}

    def check(self, key_id: str, operation: str, body: bytes) -> None:
        """Raises AccessDenied."""
        for one in needed(operation, body):
            decision = self._decisions.get(one)
            if decision is None:
                if len(self._decisions) >= _DECISIONS_MAX:
                    self._decisions.clear()  # names come from requests: they must not fill the memory
                decision = self._decisions[one] = self._policy.decide(*one)
            if decision is not Decision.ALLOWED:
                raise _refusal(key_id, decision, *one)


def _refusal(key_id: str, decision: Decision, action: str, resource: str) -> AccessDenied:
    asked = ACTION_PREFIX + action
    arn = resource if resource == EVERYTHING else ARN_ROOT + resource
    why = (
        "with an explicit deny in an identity-based policy"
        if decision is Decision.DENIED
        else f"because no identity-based policy allows the {asked} action"
    )
    user = f"arn:aws:iam::{ACCOUNT}:user/{key_id}"
    return AccessDenied(f"User: {user} is not authorized to perform: {asked} on resource: {arn} {why}")


Policies = Callable[[], Mapping[str, KeyPolicy]]
"""Policies by access key id, as they are now. A key without one may do everything."""
