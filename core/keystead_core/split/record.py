"""The body of a SPLIT record: it divides a partition's range in two, and names the group that takes the right half.

    [low, high)  -->  [low, at) stays with the group in whose log this stands (the left one)
                      [at, high) goes to the group `right`, with the replicas `members`

The right group has no founding record: its log begins behind the split record itself, whose (epoch, LSN, hash) is the
base of every one of its first replicas, and its first membership is what stands here (`membership_of`).
"""

import msgspec

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import Epoch, Micros, PartitionId
from keystead_core.replication.membership import Membership, founding_membership


class SplitError(ValueError):
    """The bytes are no split."""


class Split(msgspec.Struct, frozen=True, array_like=True):
    """`low`, `at` and `high` are row keys (`high` None: no end); `lease` in microseconds. `write_quorum_min` 0 means a
    majority. Every member is a full voter or a level learner of the left group, with a replica id of its own."""

    right: PartitionId
    low: bytes
    at: bytes
    high: bytes | None
    members: tuple[ReplicaTarget, ...]
    write_quorum_min: int
    durable_zones: int
    lease: Micros


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Split)


def encode_split(split: Split) -> bytes:
    """The body of the record."""
    return _encoder.encode(split)


def decode_split(data: bytes) -> Split:
    """Raises SplitError on anything but one whole split of a range into two that are not empty."""
    try:
        split = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SplitError(f"no split: {error}") from error
    if split.at <= split.low or (split.high is not None and split.high <= split.at) or not split.members:
        raise SplitError(f"partition {split.right} would have nothing, or nobody to keep it")
    return split


def membership_of(split: Split, epoch: Epoch) -> Membership:
    """The right group's first membership; `epoch`: of the split record."""
    founding = founding_membership(split.members, split.write_quorum_min, split.durable_zones, split.lease)
    return msgspec.structs.replace(founding, epoch=epoch)
