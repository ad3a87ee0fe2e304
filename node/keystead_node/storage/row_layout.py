"""What is where in the database of a replica's rows.

    key "r" + row key                      a row
    key "i" + index id (u8) + entry key    an entry of a local index
    key "i" + 254 + collection             stored bytes (u64) of the items of one partition key, with their entries
    key "c" + LSN (u64) + number (u32)     a change of a row that its global indexes do not have yet
    key "m" + name                         what the store keeps about itself; "mapplied" is the LSN applied, "mindexes"
                                           the indexes, "mfeed" + partition (u64) up to where its changes are in here;
                                           "mrange" the range of the rows that count, where a split has narrowed it,
                                           "msplit" + partition (u64) a split, while the rows of that right half stay;
                                           "mforebears" whose log the partition's own goes on from

Numbers in keys are big-endian.
"""

import struct
from typing import Final

import msgspec

from keystead_core.ids import Lsn, PartitionId
from keystead_core.indexes.feed import Forebear
from keystead_core.log.entries import LogPoint

ROW: Final = b"r"
META: Final = b"m"
INDEX: Final = b"i"
CHANGE: Final = b"c"
APPLIED: Final = b"mapplied"
INDEXES: Final = b"indexes"
FEED: Final = b"feed"
RANGE: Final = b"range"
SPLIT: Final = b"split"
FOREBEARS: Final = b"forebears"
LSN: Final = struct.Struct(">Q")
COLLECTIONS: Final = 254
"""In the place of a local index's id, which is never so high."""
CHANGE_KEY: Final = struct.Struct(">QI")


class Beside(msgspec.Struct):
    """What one `apply` writes beside rows. `entries`: of local indexes, with the index's id; `collections`: bytes of
    items by partition key; `changes`: kept for global ones, by LSN; `read_upto`: changes up to there go; `indexes`: the
    indexes from now on; `fed`: up to where changes of other partitions are in the rows; `splits`: that give the right
    half away."""

    entries: list[tuple[int, bytes, bytes | None]] = []
    collections: dict[bytes, int] = {}
    changes: list[tuple[Lsn, bytes]] = []
    read_upto: Lsn = 0
    indexes: bytes | None = None
    fed: dict[PartitionId, Lsn] = {}
    splits: list["SplitHere"] = []


class SplitHere(msgspec.Struct, frozen=True, array_like=True):
    """A split, and what beside the rows the right half begins with, as of the record: the copy that it is made of may
    be of a later time. `left`: the partition whose log goes on (0: written before there was more than point and body);
    `indexes`, `fed`, `forebears`: as in the store."""

    point: LogPoint
    body: bytes
    left: PartitionId = PartitionId(0)
    indexes: bytes | None = None
    fed: dict[PartitionId, Lsn] = {}
    forebears: list[Forebear] = []


RowRange = tuple[bytes, bytes | None]
"""Row keys [low, high); None: no end."""
