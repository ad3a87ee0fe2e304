"""CreateTable: hash and range keys of any of S, N, B; local and global secondary indexes.

What DynamoDB has no parameter for is said in tags: keystead:partitions, keystead:replicas, keystead:durable-zones,
keystead:write-quorum. Left out, each is the cluster's default.
"""

from typing import Any, Final, NamedTuple

import msgspec

from keystead_core.cluster_map import IndexSpec, KeyAttribute, TableDefinition, TableOptions
from keystead_core.items import ItemError
from keystead_node.api.actions.table_description import table_description
from keystead_node.api.context import Context
from keystead_node.api.index_requests import choices_of, index_specs
from keystead_node.api.key_schemas import check_definitions, check_table_key
from keystead_node.api.requests import RequestReader
from keystead_node.api.table_names import table_name
from keystead_node.api.table_requests import CreateTableRequest
from keystead_node.api.table_settings import check_units, settings_of
from keystead_node.api.tags import TAG_PREFIX, checked_tags

TAG_LIMITS: Final = {
    "keystead:partitions": 10_000,
    "keystead:replicas": 7,
    "keystead:durable-zones": 7,
    "keystead:write-quorum": 7,
}
_INVALID: Final = "One or more parameter values were invalid: "


class _Prepared(NamedTuple):
    table: TableDefinition
    indexes: list[IndexSpec]


def _prepare(request: CreateTableRequest) -> _Prepared:
    _check_billing(request)
    check_table_key(request.KeySchema, request.AttributeDefinitions)
    check_definitions(request.AttributeDefinitions, request.KeySchema, choices_of(request))
    indexes = index_specs(request)
    return _Prepared(_table(request), indexes)


def _table(request: CreateTableRequest) -> TableDefinition:
    options = _options(request)
    types = {definition.AttributeName: definition.AttributeType for definition in request.AttributeDefinitions}
    keys = [KeyAttribute(element.AttributeName, types[element.AttributeName]) for element in request.KeySchema]
    tags = checked_tags(request.Tags)
    partitions, replicas, durable_zones, write_quorum = (_number_tag(tags, name) for name in TAG_LIMITS)
    _check_tags(tags, replicas, durable_zones, write_quorum)
    throughput = request.ProvisionedThroughput
    return TableDefinition(
        name=table_name(request.TableName),
        table_id="",
        hash_key=keys[0],
        range_key=keys[1] if len(keys) > 1 else None,
        partitions=partitions,
        replicas=replicas,
        write_quorum=write_quorum,
        durable_zones=durable_zones,
        created_at=0.0,
        status="CREATING",
        deletion_protection=request.DeletionProtectionEnabled,
        tags=tags,
        billing_mode=request.BillingMode,
        read_units=throughput.ReadCapacityUnits if throughput is not None else 0,
        write_units=throughput.WriteCapacityUnits if throughput is not None else 0,
        options=options,
    )


def _options(request: CreateTableRequest) -> TableOptions:
    settings = settings_of(request)
    encryption = settings["encryption"]
    if request.OnDemandThroughput is not None and request.BillingMode != "PAY_PER_REQUEST":
        raise ItemError(
            f"{_INVALID}Neither MaxReadRequestUnits nor MaxWriteRequestUnits can be specified when BillingMode is "
            "PROVISIONED"
        )
    return TableOptions(
        table_class=settings["table_class"] or "",
        encryption=encryption.kind if encryption is not None else "",
        encryption_key=encryption.key if encryption is not None else "",
        stream_view=settings["stream_view"] or "",
        stream_label=settings["stream_label"],
        read_requests_max=settings.get("read_requests_max") or 0,
        write_requests_max=settings.get("write_requests_max") or 0,
        warm_reads=settings.get("warm_reads") or 0,
        warm_writes=settings.get("warm_writes") or 0,
    )


def _check_billing(request: CreateTableRequest) -> None:
    throughput = request.ProvisionedThroughput
    if request.BillingMode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise ItemError(
                f"{_INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
                "PAY_PER_REQUEST"
            )
        return
    if throughput is None:
        raise ItemError(
            f"{_INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    check_units(throughput)


def _number_tag(tags: dict[str, str], name: str) -> int:
    """The number in a tag; 0 if there is no such tag."""
    text = tags.get(name)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= TAG_LIMITS[name]):
        raise ItemError(f"{_INVALID}Tag {name} must be a whole number from 1 to {TAG_LIMITS[name]}, not '{text}'")
    return int(text)


def _check_tags(tags: dict[str, str], replicas: int, durable_zones: int, write_quorum: int) -> None:
    unknown = [name for name in tags if name.startswith(TAG_PREFIX) and name not in TAG_LIMITS]
    if unknown:
        raise ItemError(f"{_INVALID}Unknown tag {unknown[0]}; known are {', '.join(TAG_LIMITS)}")
    if not replicas:
        return  # the cluster knows how many it has, and checks the rest
    if durable_zones > replicas:
        raise ItemError(f"{_INVALID}Tag keystead:durable-zones must not be above keystead:replicas")
    if write_quorum and not replicas < 2 * write_quorum <= 2 * replicas:
        raise ItemError(
            f"{_INVALID}Tag keystead:write-quorum must be more than half of keystead:replicas, and not above"
        )


READER = RequestReader("CreateTable", CreateTableRequest, _prepare, fast=False)


async def create_table(context: Context, body: bytes) -> bytes:
    """Creates a table. Raises ApiError."""
    _, prepared = READER.read(body)
    created = await context.backend.create_table(prepared.table, prepared.indexes)
    response: dict[str, Any] = {"TableDescription": table_description(created)}
    return msgspec.json.encode(response)
