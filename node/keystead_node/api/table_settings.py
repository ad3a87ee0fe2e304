"""The settings of a table that CreateTable and UpdateTable share, from the request's words to the catalog's.

What is only kept and shown (nothing meters capacity, and a table's class and key change nothing on the disk) is checked
as the service checks it, so that what a client declares comes back as it was declared.
"""

from datetime import UTC, datetime
from typing import Any, Final

from keystead_core.catalog.table_changes import Encryption
from keystead_core.items import ItemError
from keystead_node.api.table_requests import (
    CreateTableRequest,
    EncryptionChoice,
    OnDemandChoice,
    ProvisionedThroughputChoice,
    StreamChoice,
    UpdateTableRequest,
    WarmChoice,
)

_INVALID: Final = "One or more parameter values were invalid: "
_UNITS_MAX: Final = 1_000_000_000_000


def settings_of(request: CreateTableRequest | UpdateTableRequest) -> dict[str, Any]:
    """What both operations know, by the names of `TableChange`'s fields. Raises ItemError."""
    stream = request.StreamSpecification
    return {
        "table_class": request.TableClass,
        "encryption": _encryption(request.SSESpecification),
        "stream_view": _stream_view(stream),
        "stream_label": stream_label(datetime.now(UTC)) if stream is not None and stream.StreamEnabled else "",
        **limits_of(request.OnDemandThroughput, request.WarmThroughput),
    }


def limits_of(on_demand: OnDemandChoice | None, warm: WarmChoice | None) -> dict[str, int | None]:
    """What is said of them, by the names of the fields of `TableChange` and `IndexUnits`. Raises ItemError."""
    found: dict[str, int | None] = {}
    if on_demand is not None:
        found["read_requests_max"] = _limit("MaxReadRequestUnits", on_demand.MaxReadRequestUnits)
        found["write_requests_max"] = _limit("MaxWriteRequestUnits", on_demand.MaxWriteRequestUnits)
        if found["read_requests_max"] is None and found["write_requests_max"] is None:
            raise ItemError(
                f"{_INVALID}One or both of MaxReadRequestUnits and MaxWriteRequestUnits must be specified in "
                "OnDemandThroughput"
            )
    if warm is not None:
        found["warm_reads"] = _at_least_one("ReadUnitsPerSecond", warm.ReadUnitsPerSecond)
        found["warm_writes"] = _at_least_one("WriteUnitsPerSecond", warm.WriteUnitsPerSecond)
    return found


def stream_label(at: datetime) -> str:
    """The label of a stream that begins at `at` (UTC): that time, to the millisecond."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}"


def check_units(throughput: ProvisionedThroughputChoice | None) -> None:
    """Raises ItemError if there are more units than the service can count."""
    for name in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if throughput is not None and getattr(throughput, name) > _UNITS_MAX:
            raise ItemError(f"Given value {getattr(throughput, name)} for {name} is out of bounds")


def _stream_view(stream: StreamChoice | None) -> str | None:
    if stream is None:
        return None
    if stream.StreamEnabled and not stream.StreamViewType:
        raise ItemError("Invalid StreamViewType: Stream ViewType must not be null or empty when enabling streams.")
    if not stream.StreamEnabled and stream.StreamViewType:
        raise ItemError("Invalid StreamViewType: Stream StreamEnabled was false but a StreamViewType was present.")
    return stream.StreamViewType or ""


def _encryption(choice: EncryptionChoice | None) -> Encryption | None:
    if choice is None:
        return None
    if choice.SSEType == "AES256":
        raise ItemError(f"{_INVALID}SSEType AES256 is not supported, only KMS")
    if choice.Enabled:
        return Encryption("KMS", choice.KMSMasterKeyId or "")
    if choice.SSEType is not None or choice.KMSMasterKeyId is not None:
        raise ItemError(f"{_INVALID}SSEType and KMSMasterKeyId can only be specified when SSESpecification is enabled")
    return Encryption("")


def _limit(name: str, value: int | None) -> int | None:
    if value is not None and value < 1 and value != -1:
        raise ItemError(f"{_INVALID}Given value {value} for {name} is out of bounds: it is 1 or more, or -1 for none")
    return value


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ItemError(f"{_INVALID}Given value {value} for {name} is out of bounds: it is 1 or more")
    return value
