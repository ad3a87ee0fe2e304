"""The body of a split record: it comes back as it was, and damaged bytes are one typed error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.replication.membership import founding_membership
from keystead_core.split.record import Split, SplitError, decode_split, encode_split, membership_of
from tests.formats.strategies import ZONES, damaged

SECOND = 1_000_000


@st.composite
def splits(draw: st.DrawFn) -> Split:
    """Of ranges with an end or without, with one to five members on nodes of their own."""
    keys = sorted(draw(st.sets(st.binary(max_size=12), min_size=3, max_size=3)))
    count = draw(st.integers(1, 5))
    members = tuple(
        ReplicaTarget(ReplicaId(n + 1), NodeId(f"n{n}"), draw(st.sampled_from(ZONES)), "voter") for n in range(count)
    )
    high = draw(st.none() | st.just(keys[2]))
    quorum = draw(st.integers(0, count))
    return Split(
        PartitionId(draw(st.integers(1, 2**63 - 1))),
        keys[0],
        keys[1],
        high,
        members,
        quorum,
        1,
        draw(st.integers(1, SECOND)),
    )


@given(splits())
def test_a_split_comes_back_as_it_was(split: Split) -> None:
    assert decode_split(encode_split(split)) == split


@given(splits(), st.data())
@settings(max_examples=400)
def test_damaged_bytes_are_a_split_of_a_range_in_two_or_a_split_error(split: Split, data: st.DataObject) -> None:
    try:
        found = decode_split(data.draw(damaged(encode_split(split))))
    except SplitError:
        return
    assert found.low < found.at and (found.high is None or found.at < found.high) and found.members


@pytest.mark.parametrize(
    ("low", "at", "high", "members"),
    [(b"b", b"b", None, 1), (b"b", b"a", None, 1), (b"a", b"b", b"b", 1), (b"a", b"c", b"b", 1), (b"a", b"b", None, 0)],
)
def test_an_empty_half_or_one_without_members_is_no_split(
    low: bytes, at: bytes, high: bytes | None, members: int
) -> None:
    targets = (ReplicaTarget(ReplicaId(1), NodeId("n"), "z", "voter"),)[:members]
    with pytest.raises(SplitError):
        decode_split(encode_split(Split(PartitionId(2), low, at, high, targets, 0, 1, SECOND)))


@given(splits(), st.integers(1, 1 << 40))
def test_the_right_groups_first_membership_is_a_founding_one_of_the_records_epoch(split: Split, epoch: int) -> None:
    membership = membership_of(split, epoch)
    founding = founding_membership(split.members, split.write_quorum_min, split.durable_zones, split.lease)
    assert membership.epoch == epoch
    assert (membership.members, membership.version) == (founding.members, founding.version)
    assert all(member.voter for member in membership.members)
