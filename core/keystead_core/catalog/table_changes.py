"""Changes of a table that the API asks for: what may change, and the service's words for what may not.

    changed(table, change, at) -> the table as it is then

A change names what it changes; all else stays as it is in the catalog by then, so that two changes of different things
never undo each other. What a Table resource declares is changed through that resource alone.
"""

from typing import Final, NoReturn

import msgspec

from keystead_core.catalog.results import INVALID, MANAGED, RESOURCE_IN_USE, Refused
from keystead_core.cluster_map import TableDefinition, TableOptions

TAGS_MAX: Final = 50
_INVALID: Final = "One or more parameter values were invalid: "


class Expiry(msgspec.Struct, frozen=True):
    """A wish that items expire by the time in an attribute, or that they do so no longer."""

    attribute: str
    enabled: bool


class Encryption(msgspec.Struct, frozen=True):
    """`kind`: KMS, or "" for the service's own. `key`: "" for the default one."""

    kind: str
    key: str = ""


class IndexUnits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Other units or limits of a global index; None: that one stays."""

    name: str
    read_units: int | None = None
    write_units: int | None = None
    read_requests_max: int | None = None
    write_requests_max: int | None = None
    warm_reads: int | None = None
    warm_writes: int | None = None


class TableChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the API wishes to change; None, or an empty dict or list: it stays. `stream_view` "" ends the stream.

    `stream_label` names the stream that `stream_view` begins. `read_units` and `write_units` come together, and with a
    change of `billing_mode` to PROVISIONED.
    """

    billing_mode: str | None = None
    read_units: int | None = None
    write_units: int | None = None
    deletion_protection: bool | None = None
    table_class: str | None = None
    encryption: Encryption | None = None
    stream_view: str | None = None
    stream_label: str = ""
    read_requests_max: int | None = None
    write_requests_max: int | None = None
    warm_reads: int | None = None
    warm_writes: int | None = None
    expiry: Expiry | None = None
    tags: dict[str, str] = {}
    tags_removed: list[str] = []
    index_units: list[IndexUnits] = []


def changed(table: TableDefinition, change: TableChange, at: float, manager: str = "") -> TableDefinition:
    """The table after the change, made at `at` (seconds since 1970). Raises Refused, with the service's message.

    `manager`: the custom resource that asks; "": the API.
    """
    if table.managed_by not in ("", manager) and msgspec.structs.replace(change, expiry=None) != TableChange():
        refuse_managed(table, "changed")
    if table.status != "ACTIVE":
        doing = "created" if table.status == "CREATING" else "deleted"
        raise Refused(
            RESOURCE_IN_USE,
            f"Attempt to change a resource which is still in use: Table is being {doing}: {table.name}",
        )
    after = _billed(table, change, at)
    if change.deletion_protection is not None:
        after = msgspec.structs.replace(after, deletion_protection=change.deletion_protection)
    options = _with_limits(after, change)
    options = _classed(options, change, at)
    options = _encrypted(options, change)
    options = _streamed(table.name, options, change)
    options = _expiring(options, change)
    return msgspec.structs.replace(after, options=options, tags=_tagged(table, change))


def refuse_managed(table: TableDefinition, what: str) -> NoReturn:
    """Raises Refused: only the resource that declares the table may do that."""
    raise Refused(
        MANAGED, f"table {table.name} is managed by {table.managed_by} and can only be {what} through that resource"
    )


def _billed(table: TableDefinition, change: TableChange, at: float) -> TableDefinition:
    mode = change.billing_mode or table.billing_mode
    if change.read_units is not None and change.write_units is not None:
        if mode == "PAY_PER_REQUEST":
            raise Refused(
                INVALID,
                f"{_INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
                "PAY_PER_REQUEST",
            )
        if (change.read_units, change.write_units) == (table.read_units, table.write_units):
            raise Refused(INVALID, _unchanged_throughput(table, change.read_units, change.write_units))
        return msgspec.structs.replace(
            table, billing_mode=mode, read_units=change.read_units, write_units=change.write_units
        )
    if mode == "PROVISIONED" and table.billing_mode != mode:
        raise Refused(INVALID, f"{_INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    if mode == "PAY_PER_REQUEST" and table.billing_mode != mode:
        options = msgspec.structs.replace(table.options, on_demand_at=at)
        return msgspec.structs.replace(table, billing_mode=mode, read_units=0, write_units=0, options=options)
    return table


def _unchanged_throughput(table: TableDefinition, reads: int, writes: int) -> str:
    return (
        "The provisioned throughput for the table will not change. The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for the table: {table.read_units}. Requested ReadCapacityUnits: "
        f"{reads}. Current WriteCapacityUnits provisioned for the table: {table.write_units}. Requested "
        f"WriteCapacityUnits: {writes}. Refer to the Amazon DynamoDB Developer Guide for current limits and how to "
        "request higher limits."
    )


def _with_limits(table: TableDefinition, change: TableChange) -> TableOptions:
    """The options with the limits of on-demand requests and with warm throughput, which only grows."""
    options = table.options
    if change.read_requests_max is not None or change.write_requests_max is not None:
        if table.billing_mode != "PAY_PER_REQUEST":
            raise Refused(
                INVALID,
                f"{_INVALID}Neither MaxReadRequestUnits nor MaxWriteRequestUnits can be specified when BillingMode is "
                "PROVISIONED",
            )
        options = msgspec.structs.replace(
            options,
            read_requests_max=_or(change.read_requests_max, options.read_requests_max),
            write_requests_max=_or(change.write_requests_max, options.write_requests_max),
        )
    reads, writes = _or(change.warm_reads, options.warm_reads), _or(change.warm_writes, options.warm_writes)
    for name, wanted, present in (("Read", reads, options.warm_reads), ("Write", writes, options.warm_writes)):
        if wanted < present:
            raise Refused(
                INVALID,
                f"{_INVALID}Requested {name}UnitsPerSecond for WarmThroughput for table is lower than current "
                "WarmThroughput, decreasing WarmThroughput is not supported",
            )
    return msgspec.structs.replace(options, warm_reads=reads, warm_writes=writes)


def _or(wanted: int | None, present: int) -> int:
    return present if wanted is None else wanted


def _classed(options: TableOptions, change: TableChange, at: float) -> TableOptions:
    if change.table_class is None or change.table_class == (options.table_class or "STANDARD"):
        return options
    return msgspec.structs.replace(options, table_class=change.table_class, table_class_at=at)


def _encrypted(options: TableOptions, change: TableChange) -> TableOptions:
    wanted = change.encryption
    if wanted is None:
        return options
    if wanted.kind and (wanted.kind, wanted.key) == (options.encryption, options.encryption_key):
        raise Refused(INVALID, f"{_INVALID}Table is already encrypted by given KMSMasterKey")
    return msgspec.structs.replace(options, encryption=wanted.kind, encryption_key=wanted.key)


def _streamed(name: str, options: TableOptions, change: TableChange) -> TableOptions:
    if change.stream_view is None:
        return options
    if change.stream_view and options.stream_view:
        raise Refused(INVALID, f"Table already has an enabled stream: TableName: {name}")
    if not change.stream_view:
        if not options.stream_view:
            raise Refused(INVALID, f"Table has no stream to disable: TableName: {name}")
        return msgspec.structs.replace(options, stream_view="")
    return msgspec.structs.replace(options, stream_view=change.stream_view, stream_label=change.stream_label)


def _expiring(options: TableOptions, change: TableChange) -> TableOptions:
    wanted, present = change.expiry, options.expiry_attribute
    if wanted is None:
        return options
    if present and present != wanted.attribute:
        raise Refused(INVALID, f"TimeToLive is active on a different AttributeName: current AttributeName is {present}")
    if wanted.enabled == bool(present):
        raise Refused(INVALID, f"TimeToLive is already {'enabled' if present else 'disabled'}")
    return msgspec.structs.replace(options, expiry_attribute=wanted.attribute if wanted.enabled else "")


def _tagged(table: TableDefinition, change: TableChange) -> dict[str, str]:
    if not change.tags and not change.tags_removed:
        return table.tags
    tags = {key: value for key, value in table.tags.items() if key not in change.tags_removed} | change.tags
    if len(tags) > TAGS_MAX and len(tags) > len(table.tags):
        raise Refused(INVALID, f"{_INVALID}Too many tags: a table has at most {TAGS_MAX}")
    return dict(sorted(tags.items()))
