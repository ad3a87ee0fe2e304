"""BatchGetItem: up to 100 items, up to 16 MB."""

import asyncio
from typing import Final, NamedTuple

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.expressions import Projection, check_parameters, schema_of_table
from keystead_core.item_keys import row_key_of_key
from keystead_core.items import Item, ItemError, ItemShapeError, check_attributes, decode_row, row_json, row_size
from keystead_node.api.capacity import consumed, read_units
from keystead_node.api.context import Context
from keystead_node.api.errors import Throttled, Unavailable
from keystead_node.api.requests import BatchGetItemRequest, KeysAndAttributes, RequestReader
from keystead_node.api.selections import check_projection, projected_json, projection_of, returns_whole_items

KEYS_MAX: Final = 100
RESPONSE_BYTES_MAX: Final = 16 * 1024 * 1024


class _Read(NamedTuple):
    """One key to read; `asked`: what the request calls the table, its name or ARN; `wanted`: what it says of it."""

    asked: str
    table: TableDefinition
    row_key: bytes
    key: Item
    wanted: KeysAndAttributes


def _prepare(request: BatchGetItemRequest) -> dict[str, Projection]:
    """The projections, by the request's names of the tables that have one."""
    if not request.RequestItems or not all(wanted.Keys for wanted in request.RequestItems.values()):
        raise ItemShapeError("a batch is empty")
    if max(len(wanted.Keys) for wanted in request.RequestItems.values()) > KEYS_MAX:
        raise ItemShapeError("a table's batch is too long")
    projections = {}
    for name, wanted in request.RequestItems.items():
        if not returns_whole_items(wanted):
            check_parameters("BatchGetItem", msgspec.structs.asdict(wanted))
            projection = projection_of(wanted)
            if projection is not None:
                projections[name] = projection
        for key in wanted.Keys:
            check_attributes(key)
    if sum(len(wanted.Keys) for wanted in request.RequestItems.values()) > KEYS_MAX:
        raise ItemError("Too many items requested for the BatchGetItem call")
    return projections


READER = RequestReader("BatchGetItem", BatchGetItemRequest, _prepare)


async def batch_get_item(context: Context, body: bytes) -> bytes:
    """Reads items. Keys that could not be read now, or have no room in the response, come back as UnprocessedKeys,
    unless none could be read. Raises ApiError, ItemError and ExpressionError."""
    request, projections = READER.read(body)
    reads: list[_Read] = []
    for name, wanted in request.RequestItems.items():
        table = await context.active_table(name, READER, body)
        keyed = [_Read(name, table, row_key_of_key(table, key), key, wanted) for key in wanted.Keys]
        if len({read.row_key for read in keyed}) != len(keyed):
            raise ItemError("Provided list of item keys contains duplicates")
        check_projection(projections.get(name), schema_of_table(table))
        reads += keyed
    outcomes = await asyncio.gather(
        *(context.backend.read(read.table, read.row_key, read.wanted.ConsistentRead) for read in reads),
        return_exceptions=True,
    )
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if not isinstance(failure, Throttled | Unavailable) or len(failures) == len(outcomes):
            raise failure
    return await _response(request, projections, reads, outcomes)


async def _response(
    request: BatchGetItemRequest,
    projections: dict[str, Projection],
    reads: list[_Read],
    outcomes: list[bytes | BaseException | None],
) -> bytes:
    found: dict[str, list[bytes | memoryview]] = {name: [] for name in request.RequestItems}
    unprocessed: dict[str, KeysAndAttributes] = {}
    units: dict[str, float] = dict.fromkeys((read.table.name for read in reads), 0.0)
    response_bytes = 0
    for read, outcome in zip(reads, outcomes, strict=True):
        if isinstance(outcome, BaseException) or (
            outcome is not None and response_bytes + len(outcome) > RESPONSE_BYTES_MAX
        ):
            rest = unprocessed.setdefault(read.asked, msgspec.structs.replace(read.wanted, Keys=[]))
            rest.Keys.append(read.key)
            continue
        if outcome is not None:
            response_bytes += len(outcome)
            projection = projections.get(read.asked)
            if projection is None:
                found[read.asked].append(row_json(outcome))
            else:
                found[read.asked].append(projected_json(projection, decode_row(outcome)))
                await asyncio.sleep(0)  # an item may have 400 KB to decode
        if request.ReturnConsumedCapacity != "NONE":
            units[read.table.name] += read_units(
                row_size(outcome) if outcome is not None else 0, read.wanted.ConsistentRead
            )
    tables = [msgspec.json.encode(name) + b":[" + b",".join(items) + b"]" for name, items in found.items()]
    members = [
        b'"Responses":{' + b",".join(tables) + b"}",
        b'"UnprocessedKeys":' + msgspec.json.encode(unprocessed),
    ]
    if request.ReturnConsumedCapacity != "NONE":
        totals = [consumed(name, total, request.ReturnConsumedCapacity) for name, total in units.items()]
        members.append(b'"ConsumedCapacity":' + msgspec.json.encode(totals))
    return b"{" + b",".join(members) + b"}"
