"""Tags of tables: which may be set, and the table that a ResourceArn stands for.

Tags that begin with keystead: say what DynamoDB has no parameter for; CreateTable alone takes them.
"""

from collections.abc import Iterable
from typing import Final

from keystead_core.catalog.table_changes import TAGS_MAX
from keystead_core.cluster_map import TableDefinition
from keystead_core.items import ItemError
from keystead_node.api.context import Context
from keystead_node.api.errors import ResourceNotFound
from keystead_node.api.table_names import is_table_arn, table_name
from keystead_node.api.table_requests import Tag

TAG_PREFIX: Final = "keystead:"
_INVALID: Final = "One or more parameter values were invalid: "


def checked_tags(tags: list[Tag]) -> dict[str, str]:
    """The tags by key. Raises ItemError."""
    found = {tag.Key: tag.Value for tag in tags}
    if len(found) != len(tags):
        raise ItemError(f"{_INVALID}Duplicate tag keys found")
    if len(found) > TAGS_MAX:
        raise ItemError(f"{_INVALID}Too many tags: a table has at most {TAGS_MAX}")
    check_tag_keys(found)
    return found


def check_tag_keys(keys: Iterable[str]) -> None:
    """Raises ItemError for a key of the service's own."""
    for key in keys:
        if key.lower().startswith("aws:"):
            raise ItemError(f"{_INVALID}aws: prefixed tag key names are not allowed for external use: {key}")


def refuse_own_tags(keys: Iterable[str]) -> None:
    """Raises ItemError for a tag that only CreateTable takes."""
    for key in keys:
        if key.startswith(TAG_PREFIX):
            raise ItemError(f"{_INVALID}Tag {key} can only be given to CreateTable: it says how the table is made")


async def resource_table(context: Context, arn: str) -> TableDefinition:
    """The table of a ResourceArn. Raises ItemError and ResourceNotFound."""
    if not is_table_arn(arn):
        raise ItemError(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    table = await context.backend.resolve_table(table_name(arn))
    if table is None or table.index_of:
        raise ResourceNotFound(f"Requested resource not found: ResourcArn: {arn} not found")
    return table
