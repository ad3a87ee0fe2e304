"""The operations that are served: one module each, from a request's body to the response's.

An action raises ApiError, or an ItemError or ExpressionError where the service answers a ValidationException with that
message.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from keystead_node.api.actions.batch_get_item import batch_get_item
from keystead_node.api.actions.batch_write_item import batch_write_item
from keystead_node.api.actions.create_table import create_table
from keystead_node.api.actions.delete_item import delete_item
from keystead_node.api.actions.delete_table import delete_table
from keystead_node.api.actions.describe_continuous_backups import describe_continuous_backups
from keystead_node.api.actions.describe_endpoints import describe_endpoints
from keystead_node.api.actions.describe_limits import describe_limits
from keystead_node.api.actions.describe_table import describe_table
from keystead_node.api.actions.describe_time_to_live import describe_time_to_live
from keystead_node.api.actions.get_item import get_item
from keystead_node.api.actions.list_tables import list_tables
from keystead_node.api.actions.list_tags_of_resource import list_tags_of_resource
from keystead_node.api.actions.put_item import put_item
from keystead_node.api.actions.query import query
from keystead_node.api.actions.scan import scan
from keystead_node.api.actions.tag_resource import tag_resource
from keystead_node.api.actions.untag_resource import untag_resource
from keystead_node.api.actions.update_item import update_item
from keystead_node.api.actions.update_table import update_table
from keystead_node.api.actions.update_time_to_live import update_time_to_live
from keystead_node.api.context import Context

Action = Callable[[Context, bytes], Awaitable[bytes]]

ACTIONS: Final[dict[str, Action]] = {
    "BatchGetItem": batch_get_item,
    "BatchWriteItem": batch_write_item,
    "CreateTable": create_table,
    "DeleteItem": delete_item,
    "DeleteTable": delete_table,
    "DescribeContinuousBackups": describe_continuous_backups,
    "DescribeEndpoints": describe_endpoints,
    "DescribeLimits": describe_limits,
    "DescribeTable": describe_table,
    "DescribeTimeToLive": describe_time_to_live,
    "GetItem": get_item,
    "ListTables": list_tables,
    "ListTagsOfResource": list_tags_of_resource,
    "PutItem": put_item,
    "Query": query,
    "Scan": scan,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateItem": update_item,
    "UpdateTable": update_table,
    "UpdateTimeToLive": update_time_to_live,
}
