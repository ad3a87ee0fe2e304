"""What a map says is on its way."""

from msgspec.structs import replace

from keystead_core.cluster_map import SplitPlan
from keystead_core.ids import NodeId, PartitionId
from keystead_core.under_way import MoveUnderWay, move_of, split_of
from tests.pictures.maps import make_partition, places

ENTRY = make_partition(2, "orders")
PLAN = SplitPlan(right=PartitionId(3), at=b"", members=places(3, [0, 1, 3]), reason="traffic")


def test_a_partition_at_rest_has_nothing_under_way() -> None:
    assert split_of(ENTRY) is None
    assert move_of(ENTRY) is None


def test_a_split_waits_for_its_copies_and_they_are_no_moves() -> None:
    entry = replace(ENTRY, split=PLAN, target=[*ENTRY.target, *places(2, [3], "learner")])
    split = split_of(entry)
    assert split is not None and (split.phase, split.right, split.copies) == ("copies", 3, 1)
    assert split.said() == "partition 2 to be split (traffic): 1 copy is made first"
    assert move_of(entry) is None
    added = replace(entry, members=entry.target)
    assert move_of(added) is None


def test_a_split_without_copies_is_due_and_then_settles() -> None:
    due, done = split_of(replace(ENTRY, split=PLAN)), split_of(replace(ENTRY, split=replace(PLAN, done=True)))
    assert due is not None and due.said() == "partition 2 to be split (traffic): due"
    assert done is not None and done.said() == "partition 2 split (traffic): partition 3 is being brought level"


def test_a_replica_moves_from_its_target_until_the_group_has_reported_it() -> None:
    moved = [*ENTRY.target[1:], *places(2, [5])]
    entry = replace(ENTRY, target=moved)
    leaving = ENTRY.target[0].node
    assert move_of(entry) == MoveUnderWay([NodeId("n5")], [leaving])
    filled = replace(entry, members=[*ENTRY.members, *places(2, [5], "learner")])
    assert move_of(filled) == MoveUnderWay([NodeId("n5")], [leaving])
    assert move_of(replace(filled, members=[*ENTRY.members, *places(2, [5])])) == MoveUnderWay([], [leaving])
    assert move_of(replace(filled, members=moved)) is None


def test_a_group_that_was_never_led_does_not_move() -> None:
    assert move_of(replace(ENTRY, epoch=0, members=[])) is None
