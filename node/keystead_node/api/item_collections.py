"""ItemCollectionMetrics: what a write tells of the items of one partition key, in tables with local indexes."""

from typing import Any, Final

from keystead_core.cluster_map import TableDefinition
from keystead_core.item_keys import key_part
from keystead_core.items import Item
from keystead_node.api.backend import Backend

_GIGABYTE: Final = 1 << 30


async def collection_metrics(
    backend: Backend, table: TableDefinition, attributes: Item, wanted: str
) -> dict[str, Any] | None:
    """Of the item or key that was written; `wanted`: SIZE or NONE. None: there is nothing to tell. Raises ApiError."""
    if wanted != "SIZE" or all(index.is_global for index in table.indexes):
        return None
    key = table.hash_key
    size = await backend.collection_size(table, key_part(key, attributes[key.name][key.type], True))
    low = size // _GIGABYTE
    return {
        "ItemCollectionKey": {key.name: attributes[key.name]},
        "SizeEstimateRangeGB": [float(low), float(low + 1)],
    }
