"""What the application of a command gives: a reply for whoever proposed it, and row changes for the row store.

A refused command changes nothing; its reply has a code (one of the constants here) and a sentence for a person.
"""

from typing import Final

import msgspec

from keystead_core.cluster_map import TableDefinition

RESOURCE_IN_USE: Final = "ResourceInUse"
RESOURCE_NOT_FOUND: Final = "ResourceNotFound"
LIMIT_EXCEEDED: Final = "LimitExceeded"
INSUFFICIENT_NODES: Final = "InsufficientNodes"
INSUFFICIENT_ZONES: Final = "InsufficientZones"
MANAGED: Final = "ManagedByResource"
DELETION_PROTECTED: Final = "DeletionProtected"
INVALID: Final = "Invalid"
IMMUTABLE: Final = "Immutable"
NOT_INITIALISED: Final = "NotInitialised"
ALREADY_INITIALISED: Final = "AlreadyInitialised"
WRONG_CLUSTER: Final = "WrongCluster"
NODE_UNKNOWN: Final = "NodeUnknown"
NODE_LEFT: Final = "NodeLeft"
NODE_NOT_EMPTY: Final = "NodeNotEmpty"
BOOT_TOO_OLD: Final = "BootTooOld"
FENCE_TOO_OLD: Final = "FenceTooOld"

RowChange = tuple[bytes, bytes | None]
"""A row's key and its new value; None: the row goes."""


class CatalogReply(msgspec.Struct, frozen=True, array_like=True):
    """`error`: "" or a code. `version`: of the map, after the command. `fence`: the number given to an operator.

    `counters`: one per lock asked for, in order; 0 where the lock's partition is deleted or is the catalog's own.
    `table`: the table made, changed or deleted.
    """

    error: str = ""
    message: str = ""
    version: int = 0
    counters: list[int] = []
    fence: int = 0
    table: TableDefinition | None = None


class CatalogResult(msgspec.Struct, frozen=True):
    """`rows` belong into the row store in one batch with the record's LSN as applied_lsn. No key occurs twice."""

    reply: CatalogReply
    rows: list[RowChange]


class Refused(ValueError):
    """Ends the application of a command before anything has changed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CatalogReply)


class ReplyError(ValueError):
    """The bytes are no reply of a catalog."""


def encode_reply(reply: CatalogReply) -> bytes:
    """The reply as it travels to the proposer."""
    return _encoder.encode(reply)


def decode_reply(data: bytes) -> CatalogReply:
    """Reads a reply. Raises ReplyError."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ReplyError(f"no catalog reply: {error}") from error
