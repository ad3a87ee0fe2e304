"""Capacity dial-up: the fewest splits that give a table the partitions its units need, in generations. Pure.

    P* = max(ceil(read units / limit + write units / limit), the fewest that are declared)

A partition that is to become n has 1/n of its share in each part: it is cut at n // 2 of n, and the parts go on by
themselves in the next generation. So P* - P splits are made, none of them in vain, and the parts of one partition end
alike, whatever P* is; nothing is remembered between two looks, which is why a crash of anybody costs nothing. Shares
are those of the hashes in a partition's range: keys spread over them, whatever the load. docs/decisions/0011 says why.
"""

from collections.abc import Sequence
from heapq import heapify, heapreplace

import msgspec

from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import PartitionId
from keystead_core.keyspace import HASH_BYTES, HASH_SPACE, hash_of


class PartitionLimits(msgspec.Struct, frozen=True):
    """Units a second that one partition gives."""

    read_units: int = 3000
    write_units: int = 1000


class Cut(msgspec.Struct, frozen=True):
    """A split that is due: of a partition, at a row key."""

    partition: PartitionId
    at: bytes


class DialUp(msgspec.Struct, frozen=True):
    """What is left to do for one table. `cuts`: due now; `splits`: all that are left; `under_way`: planned or not
    settled; `generations`: how many rounds they take. `wanted`: partitions in the end."""

    wanted: int
    splits: int
    under_way: int
    generations: int
    cuts: list[Cut]


def partitions_for(read_units: int, write_units: int, limits: PartitionLimits) -> int:
    """P* of these units: at least 1. A limit of 0 is none."""
    reads, writes = limits.read_units, limits.write_units
    if not reads:
        return max(1, -(-write_units // writes)) if writes else 1
    if not writes:
        return max(1, -(-read_units // reads))
    return max(1, -(-(read_units * writes + write_units * reads) // (reads * writes)))


def dial_up(entries: Sequence[PartitionEntry], wanted: int) -> DialUp:
    """Where a table with these partitions stands on its way to `wanted`."""
    parts: list[tuple[int, int, PartitionEntry | None]] = []
    for entry in entries:
        low, high = hash_of(entry.low), HASH_SPACE if entry.high is None else hash_of(entry.high)
        if entry.split is not None and not entry.split.done:
            at = hash_of(entry.split.at) if entry.split.at else (low + high) // 2
            parts += [(low, at, None), (at, high, None)]
        else:
            parts.append((low, high, None if entry.split or entry.left or entry.is_recovering else entry))
    parts.sort(key=lambda part: part[:2])
    leaves = _leaves([high - low for low, high, _ in parts], wanted)
    cuts = [
        Cut(entry.id, _key(low + (high - low) * (count // 2) // count))
        for (low, high, entry), count in zip(parts, leaves, strict=True)
        if count > 1 and entry is not None
    ]
    return DialUp(
        wanted=max(wanted, len(parts)),
        splits=sum(leaves) - len(parts),
        under_way=sum(entry.split is not None for entry in entries),
        generations=max((count - 1).bit_length() for count in leaves),
        cuts=cuts,
    )


def _leaves(shares: list[int], wanted: int) -> list[int]:
    """Into how many each part is divided, so that the largest is as small as can be; never more than it has hashes."""
    leaves = [1] * len(shares)
    heap = [(-share, 1, place) for place, share in enumerate(shares)]
    heapify(heap)
    for _ in range(wanted - len(shares)):
        _, count, place = heap[0]
        if shares[place] < 2 * (count + 1):
            break
        leaves[place] = count + 1
        heapreplace(heap, (-shares[place] // (count + 1), count + 1, place))
    return leaves


def _key(hash_: int) -> bytes:
    return hash_.to_bytes(HASH_BYTES, "big")
