"""What CreateTable and UpdateTable say of secondary indexes: checked in the service's order and words, and turned into
what the catalog is asked for."""

from collections.abc import Iterable
from typing import Final

from keystead_core.catalog.indexes import GLOBAL_INDEXES_MAX, INCLUDED_IN_ALL_MAX, LOCAL_INDEXES_MAX
from keystead_core.cluster_map import IndexSpec
from keystead_core.items import ItemError
from keystead_node.api.key_schemas import check_global_key, check_local_key, key_attributes
from keystead_node.api.table_requests import (
    CreateTableRequest,
    GlobalIndexChoice,
    LocalIndexChoice,
    OnDemandChoice,
    ProjectionChoice,
    ProvisionedThroughputChoice,
)
from keystead_node.api.table_settings import check_units, limits_of

_INVALID: Final = "One or more parameter values were invalid: "


def choices_of(request: CreateTableRequest) -> list[LocalIndexChoice | GlobalIndexChoice]:
    """All indexes that are asked for, the local ones first. Raises ItemError where a list has none."""
    found: list[LocalIndexChoice | GlobalIndexChoice] = []
    for name, choices in (
        ("LocalSecondaryIndexes", request.LocalSecondaryIndexes),
        ("GlobalSecondaryIndexes", request.GlobalSecondaryIndexes),
    ):
        if choices is not None and not choices:
            raise ItemError(f"{_INVALID}List of {name} is empty")
        if name == "LocalSecondaryIndexes" and choices and len(request.KeySchema) < 2:
            raise ItemError(
                f"{_INVALID}Table KeySchema does not have a range key, which is required when specifying a "
                "LocalSecondaryIndex"
            )
        found += choices or []
    return found


def index_specs(request: CreateTableRequest) -> list[IndexSpec]:
    """The indexes of a new table, whose attribute definitions have been checked. Raises ItemError."""
    types = {definition.AttributeName: definition.AttributeType for definition in request.AttributeDefinitions}
    local, of_all = request.LocalSecondaryIndexes or [], request.GlobalSecondaryIndexes or []
    seen: set[str] = set()
    specs = []
    for one in local:
        check_local_key(one, request.KeySchema[0].AttributeName)
        included = included_attributes(one.Projection)
        _check_name(one.IndexName, seen)
        specs.append(_spec(one, types, included))
    if len(local) > LOCAL_INDEXES_MAX:
        raise ItemError(f"{_INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}")
    for choice in of_all:
        check_global_key(choice.KeySchema)
        included = included_attributes(choice.Projection)
        _check_billing(choice, request.BillingMode)
        _check_name(choice.IndexName, seen)
        specs.append(_spec(choice, types, included))
    if len(of_all) > GLOBAL_INDEXES_MAX:
        raise ItemError(f"{_INVALID}GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}")
    check_included(spec.included for spec in specs)
    return specs


def global_spec(choice: GlobalIndexChoice, types: dict[str, str]) -> IndexSpec:
    """A global index that an existing table gets. `types`: of the attributes of its key. Raises ItemError."""
    check_global_key(choice.KeySchema)
    return _spec(choice, types, included_attributes(choice.Projection))


def included_attributes(projection: ProjectionChoice) -> list[str]:
    """The attributes beside keys that a projection names, in the order of their names. Raises ItemError."""
    kind, names = projection.ProjectionType, projection.NonKeyAttributes
    if kind is None:
        raise ItemError(f"{_INVALID}Unknown ProjectionType: null")
    if names is None:
        if kind == "INCLUDE":
            raise ItemError(f"{_INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
        return []
    if kind != "INCLUDE":
        raise ItemError(f"{_INVALID}ProjectionType is {kind}, but NonKeyAttributes is specified")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ItemError(f"{_INVALID}Duplicate element in NonKeyAttributes: {twice}")
    return sorted(names)


def check_included(projections: Iterable[list[str]]) -> None:
    """`projections`: what each index of one table includes. Raises ItemError."""
    if sum(map(len, projections)) > INCLUDED_IN_ALL_MAX:
        raise ItemError(
            f"{_INVALID}Number of NonKeyAttributes in all projections exceeds the per-table limit of "
            f"{INCLUDED_IN_ALL_MAX}"
        )


def _check_name(name: str, seen: set[str]) -> None:
    if name in seen:
        raise ItemError(f"{_INVALID}Duplicate index name: {name}")
    seen.add(name)


def _check_billing(choice: GlobalIndexChoice, billing_mode: str) -> None:
    """A new table's index has units of its own just where the table has."""
    name, throughput = choice.IndexName, choice.ProvisionedThroughput
    if billing_mode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise ItemError(
                f"{_INVALID}ProvisionedThroughput should not be specified for index: {name} when BillingMode is "
                "PAY_PER_REQUEST"
            )
        return
    if throughput is None:
        raise ItemError(f"{_INVALID}ProvisionedThroughput is not specified for index: {name}")
    limit = named_limit(choice.OnDemandThroughput)
    if limit:
        raise ItemError(
            f"{_INVALID}{limit} for OnDemandThroughput for index: {name} cannot be specified when table BillingMode "
            "is PROVISIONED."
        )


def named_limit(on_demand: OnDemandChoice | None) -> str:
    """The first limit that is said; "": none is."""
    if on_demand is None:
        return ""
    return "MaxReadRequestUnits" if on_demand.MaxReadRequestUnits is not None else "MaxWriteRequestUnits"


def _spec(choice: LocalIndexChoice | GlobalIndexChoice, types: dict[str, str], included: list[str]) -> IndexSpec:
    assert choice.Projection.ProjectionType is not None
    return IndexSpec(
        name=choice.IndexName,
        is_global=isinstance(choice, GlobalIndexChoice),
        hash=key_attributes(choice.KeySchema, types, "HASH"),
        range=key_attributes(choice.KeySchema, types, "RANGE"),
        projection=choice.Projection.ProjectionType,
        included=included,
        **(_units(choice) if isinstance(choice, GlobalIndexChoice) else {}),
    )


def _units(choice: GlobalIndexChoice) -> dict[str, int]:
    throughput = choice.ProvisionedThroughput
    check_units(throughput)
    found = {} if throughput is None else units_of(throughput)
    limits = limits_of(choice.OnDemandThroughput, choice.WarmThroughput)
    return found | {name: value for name, value in limits.items() if value is not None}


def units_of(throughput: ProvisionedThroughputChoice) -> dict[str, int]:
    """By the names of the catalog's fields."""
    return {"read_units": throughput.ReadCapacityUnits, "write_units": throughput.WriteCapacityUnits}
