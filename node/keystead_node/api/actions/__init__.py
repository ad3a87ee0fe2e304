"""The operations that are served: one module each, from a request's body to the response's.

An action raises ApiError, or ItemError where the service answers a ValidationException with that message.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from keystead_node.api.actions.batch_get_item import batch_get_item
from keystead_node.api.actions.batch_write_item import batch_write_item
from keystead_node.api.actions.create_table import create_table
from keystead_node.api.actions.delete_item import delete_item
from keystead_node.api.actions.delete_table import delete_table
from keystead_node.api.actions.describe_table import describe_table
from keystead_node.api.actions.get_item import get_item
from keystead_node.api.actions.list_tables import list_tables
from keystead_node.api.actions.put_item import put_item
from keystead_node.api.actions.scan import scan
from keystead_node.api.context import Context

Action = Callable[[Context, bytes], Awaitable[bytes]]

ACTIONS: Final[dict[str, Action]] = {
    "BatchGetItem": batch_get_item,
    "BatchWriteItem": batch_write_item,
    "CreateTable": create_table,
    "DeleteItem": delete_item,
    "DeleteTable": delete_table,
    "DescribeTable": describe_table,
    "GetItem": get_item,
    "ListTables": list_tables,
    "PutItem": put_item,
    "Scan": scan,
}
