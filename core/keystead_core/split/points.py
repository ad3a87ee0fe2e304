"""Where a partition is best divided: at the first row key of the right half. Pure.

By size from what the rows weigh in key order, by traffic from a sample of the keys that requests named. A point is
always the key of a row that is there, so neither half is empty of what was counted; and where the table has local
indexes, the first of an item collection, whose items stay together.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from keystead_core.keyspace import HASH_BYTES, HASH_SPACE, KeyDecodeError, collection_of, hash_of

HOT_SHARE = 0.5
"""A key that alone has more than this share of a sample is hot: no division makes two halves of its traffic."""
SAMPLE_MIN = 64
"""Fewer keys than this say nothing about where traffic is."""


class NoSplitPoint(ValueError):
    """The partition cannot be divided; the message says why."""


def by_weight(weights: Iterable[tuple[bytes, int]], total: int) -> bytes:
    """The key before which half of `total` lies. `weights`: (row key, bytes) in key order. Raises NoSplitPoint."""
    before = 0
    best: tuple[int, bytes] | None = None
    for place, (key, weight) in enumerate(weights):
        if place:
            apart = abs(total - 2 * before)
            if best is not None and apart > best[0]:
                break
            best = (apart, key)
        before += weight
    if best is None:
        raise NoSplitPoint("it holds one item or none")
    return best[1]


def by_hash(low: bytes, high: bytes | None) -> bytes:
    """The middle of a range's hashes, for one that holds nothing yet. Raises NoSplitPoint."""
    first, end = hash_of(low), HASH_SPACE if high is None else hash_of(high)
    middle = ((first + end) // 2).to_bytes(HASH_BYTES, "big")
    if middle <= low:
        raise NoSplitPoint("its range is too narrow")
    return middle


def by_traffic(sample: Sequence[bytes]) -> bytes:
    """The key that halves a sample of requests, in the order in which they came. Raises NoSplitPoint."""
    if len(sample) < SAMPLE_MIN:
        raise NoSplitPoint("too few requests were seen to say where its traffic is")
    keys = sorted(sample)
    counts: dict[bytes, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    hottest, most = max(counts.items(), key=lambda item: (item[1], item[0]))
    if most > HOT_SHARE * len(keys):
        raise NoSplitPoint(f"one item has {100 * most // len(keys)}% of its requests: {hottest.hex()}")
    if _is_sequential(sample):
        raise NoSplitPoint(
            "its requests go up (or down) through the keys: a division would move all of them to one half"
        )
    return by_weight(counts.items(), len(keys))


def _is_sequential(sample: Sequence[bytes]) -> bool:
    """Does nearly every request name a key beyond the one before it?"""
    steps = [(a < b) - (a > b) for a, b in pairwise(sample)]
    return abs(sum(steps)) > 0.9 * len(steps)


def at_collection(key: bytes, low: bytes, hash_type: str) -> bytes:
    """The beginning of the key's item collection. Raises NoSplitPoint where that is the partition's own.

    A hash alone is the beginning of whatever follows it.
    """
    try:
        collection = collection_of(key, hash_type) if len(key) > HASH_BYTES else key
    except KeyDecodeError as error:
        raise NoSplitPoint(f"the key at which it should be split is no row key: {error}") from error
    if collection <= low:
        raise NoSplitPoint("it holds one item collection, which a table with local indexes keeps together")
    return collection
