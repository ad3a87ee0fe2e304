"""Splits as the catalog knows them: planned, refused, reported, settled, whatever comes between."""

import msgspec
import pytest

from keystead_core.catalog.commands import (
    ChangeTable,
    CreateTable,
    DeleteTable,
    GroupReport,
    NodeLeft,
    PlanSplit,
    RefuseSplit,
    ReplicaSpec,
    ReportFilled,
    ReportSplit,
    SetTarget,
    SettleSplit,
)
from keystead_core.catalog.repair import RepairRule, plan_repairs
from keystead_core.catalog.results import (
    INSUFFICIENT_NODES,
    INVALID,
    LIMIT_EXCEEDED,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
)
from keystead_core.catalog.state import CatalogState
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import (
    CATALOG_TABLE,
    ClusterSettings,
    IndexDefinition,
    IndexSpec,
    KeyAttribute,
    PartitionEntry,
    ReplicaTarget,
    SplitPlan,
    in_ranges,
    index_table,
)
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId
from keystead_core.split.record import Split, encode_split
from tests.catalog.cluster import make_catalog, make_node, make_table

MIDDLE = b"\x80"
EPOCH = 3
GONE_FOR_GOOD = 1000.0


class Splitting:
    """A catalog with a table of one partition, and what its master would say."""

    def __init__(self, nodes: int = 6, settings: ClusterSettings | None = None, **table: object) -> None:
        self.catalog = make_catalog(nodes, settings=settings)
        self.fence = self.catalog.take_office()
        (entry,) = self.catalog.make_table(partitions=1, **table)
        self.id = entry.id

    @property
    def entry(self) -> PartitionEntry:
        return self.catalog.state.map().partitions[self.id]

    @property
    def plan_made(self) -> SplitPlan:
        plan = self.entry.split
        assert plan is not None
        return plan

    def plan(self, at: bytes = b"", **fields: object) -> PartitionId:
        """The id of the right half."""
        reply = self.catalog.accept(PlanSplit(self.id, at, **fields))  # type: ignore[arg-type]
        assert reply.counters == [self.plan_made.right]
        return self.plan_made.right

    def record(self, at: bytes = MIDDLE) -> Split:
        """The record of the planned split, as the left master makes it."""
        entry, plan = self.entry, self.plan_made
        lease = 1_000_000
        return Split(plan.right, entry.low, at, entry.high, tuple(plan.members), 0, entry.durable_zones, lease)

    def report(self, split: Split, epoch: int = EPOCH) -> None:
        self.catalog.accept(ReportSplit(self.id, encode_split(split), epoch))

    def split(self, at: bytes = MIDDLE) -> PartitionEntry:
        """Planned and reported; returns the right half."""
        self.plan()
        split = self.record(at)
        self.report(split)
        return self.right(split.right)

    def right(self, partition: PartitionId) -> PartitionEntry:
        return self.catalog.state.map().partitions[partition]

    def move(self, nodes: list[NodeId]) -> None:
        self.catalog.accept(SetTarget(self.id, [ReplicaSpec(node) for node in nodes], self.fence))

    def voters(self) -> list[ReplicaSpec]:
        return [ReplicaSpec(place.node, place.role) for place in self.entry.target if place.role != "learner"]

    def copies(self) -> list[ReplicaTarget]:
        return [place for place in self.entry.target if place.role == "learner"]


def test_a_plan_mints_the_right_half_and_puts_copies_where_the_rows_are_not() -> None:
    splitting = Splitting(nodes=7)
    before = splitting.entry
    right = splitting.plan(MIDDLE, reason="traffic")
    after, plan = splitting.entry, splitting.plan_made
    assert (plan.at, plan.reason, plan.done) == (MIDDLE, "traffic", False)
    assert right > before.id and right not in splitting.catalog.state.map().partitions
    assert (after.low, after.high, after.generation) == (before.low, before.high, before.generation)
    assert [place for place in after.target if place.role != "learner"] == before.target
    held = {place.node for place in before.target}
    assert [copy.node for copy in splitting.copies()] == [m.node for m in plan.members if m.node not in held]
    assert splitting.copies(), "with seven nodes the right half stands elsewhere, at least in part"
    ids = [place.replica for place in (*after.target, *plan.members)]
    assert len(set(ids)) == len(ids)
    assert len(plan.members) == 3 and {member.role for member in plan.members} == {"voter"}


def test_what_cannot_be_split_is_refused_with_a_reason() -> None:
    splitting = Splitting()
    catalog = splitting.catalog
    assert "no partition 99" in catalog.refuse(PlanSplit(PartitionId(99)), RESOURCE_NOT_FOUND)
    catalog.refuse(PlanSplit(CATALOG_PARTITION), RESOURCE_NOT_FOUND)
    right = splitting.split()
    assert "is being split already" in catalog.refuse(PlanSplit(splitting.id), RESOURCE_IN_USE)
    assert "is being split already" in catalog.refuse(PlanSplit(right.id), RESOURCE_IN_USE)
    catalog.accept(SettleSplit(right.id))
    for key in (MIDDLE, b"\xff"):
        assert "does not hold the key" in catalog.refuse(PlanSplit(splitting.id, key), INVALID)
    for key in (MIDDLE, b"\x10"):
        assert catalog.apply(PlanSplit(right.id, key)).error in (INVALID, RESOURCE_IN_USE)
    catalog.accept(PlanSplit(splitting.id, b"\x40"))


def test_a_partition_that_never_had_a_master_is_not_split() -> None:
    catalog = make_catalog(3)
    catalog.accept(CreateTable(make_table(partitions=1), b"t", 1.0))
    (entry,) = catalog.partitions("orders")
    assert "no master yet" in catalog.refuse(PlanSplit(entry.id), RESOURCE_IN_USE)


def test_too_few_nodes_refuse_a_split() -> None:
    splitting = Splitting(nodes=3)
    gone = splitting.entry.target[0].node
    splitting.catalog.accept(NodeLeft(gone, splitting.fence))
    splitting.catalog.refuse(PlanSplit(splitting.id), INSUFFICIENT_NODES)


def test_planned_halves_count_against_the_limit_of_a_table() -> None:
    catalog = make_catalog(3, settings=ClusterSettings(partitions_per_table_max=3))
    first, second = catalog.make_table(partitions=2)
    catalog.accept(PlanSplit(first.id))
    assert "has 3 partitions, the most" in catalog.refuse(PlanSplit(second.id), LIMIT_EXCEEDED)


def test_the_limit_of_the_cluster_refuses_a_split() -> None:
    splitting = Splitting(settings=ClusterSettings(partitions_max=1))
    assert "the cluster has 1 partitions" in splitting.catalog.refuse(PlanSplit(splitting.id), LIMIT_EXCEEDED)


def test_planned_halves_count_against_the_limit_of_the_cluster() -> None:
    catalog = make_catalog(3, settings=ClusterSettings(partitions_max=3))
    first, second = catalog.make_table(partitions=2)
    right = PartitionId(catalog.accept(PlanSplit(first.id)).counters[0])
    for _ in range(2):
        assert "the cluster has 3 partitions" in catalog.refuse(PlanSplit(second.id), LIMIT_EXCEEDED)
        assert "has 3" in catalog.refuse(CreateTable(make_table("more"), b"m", 1.0), LIMIT_EXCEEDED)
        catalog.state = CatalogState.from_rows(list(catalog.rows.items()))  # As a replica that has restarted.
    catalog.accept(RefuseSplit(first.id, right, "not now"))
    catalog.accept(PlanSplit(second.id))


def test_planned_halves_count_against_what_a_table_may_have_by_splits_of_its_own() -> None:
    catalog = make_catalog(3)
    first, second, third = catalog.make_table(partitions=3, partitions_max=4)
    catalog.accept(PlanSplit(first.id, reason="size"))
    assert "has the 4 partitions" in catalog.refuse(PlanSplit(second.id, reason="traffic"), LIMIT_EXCEEDED)
    catalog.accept(PlanSplit(third.id, reason="request"))


def test_a_superseded_operator_plans_no_split() -> None:
    splitting = Splitting()
    newer = splitting.catalog.take_office("operator-2", 1)
    assert splitting.catalog.apply(PlanSplit(splitting.id, fence=splitting.fence)).error
    splitting.catalog.accept(PlanSplit(splitting.id, fence=newer))


def test_a_report_makes_two_entries_of_one() -> None:
    splitting = Splitting(durable_zones=2)
    before = splitting.entry
    right = splitting.split()
    left, plan = splitting.entry, splitting.plan_made
    assert (left.low, left.high, left.generation) == (before.low, MIDDLE, before.generation + 1)
    assert (right.low, right.high, right.generation) == (MIDDLE, before.high, before.generation + 1)
    assert (right.left, right.founding_epoch, right.table) == (left.id, EPOCH, left.table)
    assert right.founders == right.target == right.members == plan.members
    assert (right.write_quorum, right.durable_zones) == (before.write_quorum, 2)
    assert (plan.done, plan.at) == (True, MIDDLE)
    assert splitting.copies(), "the copies stay until the right half stands on its own"


def test_a_table_stays_active_while_the_right_half_has_no_master_yet() -> None:
    splitting = Splitting()
    right = splitting.split()
    assert right.epoch == 0
    state = splitting.catalog.state
    assert state.map().tables["orders"].status == "ACTIVE" and not state._contents.waiting.get("orders")
    splitting.catalog.report([GroupReport(right.id, EPOCH + 1, 1, right.members, right.members[0].node)])
    assert not state._contents.waiting.get("orders")


def test_a_report_is_taken_once_however_often_and_late_it_comes() -> None:
    splitting = Splitting()
    splitting.plan()
    first = splitting.record(b"\x80")
    splitting.report(first)
    known = splitting.catalog.state.map().partitions
    splitting.report(first)
    assert splitting.catalog.state.map().partitions == known
    splitting.catalog.accept(SettleSplit(first.right))
    splitting.plan()
    second = splitting.record(b"\x40")
    splitting.report(second)
    known = splitting.catalog.state.map().partitions
    splitting.report(first)
    assert splitting.catalog.state.map().partitions == known


def test_a_split_is_true_though_its_plan_was_taken_back() -> None:
    splitting = Splitting()
    right = splitting.plan()
    split = splitting.record()
    splitting.catalog.accept(RefuseSplit(splitting.id, right, "an operator changed their mind"))
    assert splitting.entry.split is None and not splitting.copies()
    assert splitting.entry.split_refusal == "an operator changed their mind"
    splitting.report(split)
    assert splitting.right(right).left == splitting.id
    assert (splitting.plan_made.right, splitting.plan_made.done) == (right, True)
    assert {member.node for member in split.members} <= {place.node for place in splitting.entry.target}
    splitting.catalog.accept(SettleSplit(right))
    assert splitting.entry.split is None and splitting.right(right).left == 0


def test_a_node_from_whose_rows_the_right_half_is_made_has_a_copy_until_it_is_settled() -> None:
    """Found by the simulator (757376): it was to go as the split committed, and the right group never began."""
    splitting = Splitting()
    right = splitting.plan()
    split = splitting.record()
    nodes = [member.node for member in split.members]
    others = [node for node in splitting.catalog.state.map().nodes if node not in nodes]
    splitting.move(others[:1] + nodes[:2])
    assert splitting.entry.split is None
    splitting.report(split)
    assert {*nodes} <= {place.node for place in splitting.entry.target}
    splitting.move(others[:1] + nodes[:2])
    assert {*nodes} <= {place.node for place in splitting.entry.target}
    splitting.catalog.accept(SettleSplit(right))
    assert [place.node for place in splitting.entry.target] == others[:1] + nodes[:2]


def test_a_split_that_is_reported_behind_the_next_plan_leaves_that_plan_alone() -> None:
    splitting = Splitting()
    before = splitting.entry
    first = splitting.plan()
    split = splitting.record(b"\x80")
    splitting.catalog.accept(RefuseSplit(splitting.id, first, "taken back"))
    second = splitting.plan(b"\x40")
    splitting.report(split)
    assert splitting.entry.high == b"\x80" and splitting.right(first).left == splitting.id
    assert (splitting.plan_made.right, splitting.plan_made.done) == (second, False)
    splitting.catalog.accept(SettleSplit(first))
    assert splitting.plan_made.right == second
    splitting.report(splitting.record(b"\x40"))
    splitting.catalog.accept(SettleSplit(second))
    assert splitting.entry.split is None and splitting.entry.high == b"\x40"
    assert splitting.entry.target == before.target, "the copies of both are gone"


def test_reports_that_cannot_be_true_are_refused() -> None:
    splitting = Splitting()
    splitting.plan()
    split = splitting.record()
    other = msgspec.structs.replace(split, low=b"\x10")
    refuse, partition = splitting.catalog.refuse, splitting.id
    assert "has not the range" in refuse(ReportSplit(partition, encode_split(other), EPOCH), INVALID)
    assert "no split" in refuse(ReportSplit(partition, b"\xc1", EPOCH), INVALID)
    refuse(ReportSplit(PartitionId(77), encode_split(split), EPOCH), RESOURCE_NOT_FOUND)


@pytest.mark.parametrize("taken_back", [False, True])
def test_of_a_deleted_table_the_right_half_goes_as_well(taken_back: bool) -> None:
    splitting = Splitting()
    right = splitting.plan()
    split = splitting.record()
    if taken_back:
        splitting.catalog.accept(RefuseSplit(splitting.id, right, ""))
    before = splitting.catalog.state.map().version
    splitting.catalog.accept(DeleteTable("orders"))
    splitting.report(split)
    found = splitting.catalog.state.map()
    assert in_ranges(found.deleted, right) and right not in found.partitions
    assert right in splitting.catalog.state.delta(before).removed_partitions
    splitting.report(split)


def test_settling_lets_go_of_everything_and_may_be_said_twice() -> None:
    splitting = Splitting()
    before = splitting.entry
    right = splitting.split()
    splitting.catalog.accept(SettleSplit(right.id))
    assert splitting.right(right.id).left == 0
    assert splitting.entry.split is None and splitting.entry.target == before.target
    known = splitting.catalog.state.rows()
    splitting.catalog.accept(SettleSplit(right.id))
    splitting.catalog.accept(SettleSplit(PartitionId(99)))
    assert splitting.catalog.state.rows() == known


def test_a_refusal_of_another_plan_or_of_a_split_that_is_done_changes_nothing() -> None:
    splitting = Splitting()
    right = splitting.plan()
    plan = splitting.entry
    splitting.catalog.accept(RefuseSplit(splitting.id, PartitionId(right + 1), "not this one"))
    assert splitting.entry == plan
    splitting.report(splitting.record())
    done = splitting.entry
    splitting.catalog.accept(RefuseSplit(splitting.id, right, "too late"))
    assert splitting.entry == done


def test_a_move_of_the_replicas_takes_the_plan_back() -> None:
    splitting = Splitting()
    before = splitting.voters()
    splitting.plan()
    spare = next(n for n in range(1, 7) if make_node(n).id not in {spec.node for spec in before})
    splitting.catalog.accept(SetTarget(splitting.id, [*before[:2], ReplicaSpec(make_node(spare).id)], splitting.fence))
    assert splitting.entry.split is None and not splitting.copies()
    assert "had to be moved first" in splitting.entry.split_refusal


def test_a_target_without_the_copies_takes_the_plan_back_even_if_it_moves_nothing() -> None:
    splitting = Splitting()
    splitting.plan()
    assert splitting.copies()
    splitting.catalog.accept(SetTarget(splitting.id, splitting.voters(), splitting.fence))
    assert splitting.entry.split is None and not splitting.copies()


def test_a_move_behind_a_split_that_is_done_leaves_the_copies_until_it_is_settled() -> None:
    splitting = Splitting()
    right = splitting.split()
    copies, before = splitting.copies(), splitting.voters()
    taken = {place.node for place in splitting.entry.target}
    spare = next(n for n in range(1, 7) if make_node(n).id not in taken)
    splitting.catalog.accept(SetTarget(splitting.id, [*before[:2], ReplicaSpec(make_node(spare).id)], splitting.fence))
    assert splitting.plan_made.done and splitting.copies() == copies
    assert make_node(spare).id in [place.node for place in splitting.entry.target]
    splitting.catalog.accept(SettleSplit(right.id))
    assert splitting.entry.split is None and not splitting.copies()


def repairs(splitting: Splitting, down: dict[int, float]) -> list[SetTarget]:
    found = splitting.catalog.state.map()
    seconds = dict.fromkeys(found.nodes, 0.0) | {make_node(n).id: away for n, away in down.items()}
    commands = plan_repairs(found, seconds, RepairRule(), splitting.fence).commands
    return [c for c in commands if isinstance(c, SetTarget) and c.partition == splitting.id]


def number_of(splitting: Splitting, node: str) -> int:
    return next(n for n in range(1, 10) if make_node(n).id == node)


@pytest.mark.parametrize("is_done", [False, True])
def test_repairs_leave_the_copies_alone(is_done: bool) -> None:
    splitting = Splitting()
    if is_done:
        splitting.split()
    else:
        splitting.plan()
    splitting.catalog.report([splitting.catalog.settled(splitting.entry)])
    assert splitting.copies() and repairs(splitting, {}) == []


def test_a_repair_behind_a_split_that_is_done_says_nothing_twice() -> None:
    splitting = Splitting(nodes=7)
    splitting.split()
    splitting.catalog.report([splitting.catalog.settled(splitting.entry)])
    copies = splitting.copies()
    lost = next(place for place in splitting.entry.target if place.role == "voter")
    down = {number_of(splitting, lost.node): GONE_FOR_GOOD}
    (command,) = repairs(splitting, down)
    splitting.catalog.accept(command)
    assert splitting.copies() == copies and len(splitting.voters()) == 3
    assert repairs(splitting, down) == []


def test_a_copy_that_is_away_for_long_ends_the_plan_and_nothing_else() -> None:
    splitting = Splitting()
    before = splitting.entry.target
    splitting.plan()
    down = {number_of(splitting, splitting.copies()[0].node): GONE_FOR_GOOD}
    (command,) = repairs(splitting, down)
    splitting.catalog.accept(command)
    assert splitting.entry.split is None and splitting.entry.target == before
    assert repairs(splitting, down) == []


def test_a_node_that_leaves_with_its_copy_ends_the_plan() -> None:
    splitting = Splitting()
    splitting.plan()
    left = splitting.copies()[0].node
    splitting.catalog.accept(NodeLeft(left, splitting.fence))
    for command in repairs(splitting, {}):
        splitting.catalog.accept(command)
    assert splitting.entry.split is None and not splitting.copies()


def test_a_table_gets_no_global_index_while_a_partition_is_being_split() -> None:
    splitting = Splitting()
    spec = IndexSpec(name="by-when", is_global=True, hash=[KeyAttribute("when", "S")])
    change = ChangeTable("orders", TableChange(), 1.0, spec)
    splitting.plan()
    assert "is being split" in splitting.catalog.refuse(change, RESOURCE_IN_USE)
    right = splitting.record().right
    splitting.report(splitting.record())
    assert "is being split" in splitting.catalog.refuse(change, RESOURCE_IN_USE)
    splitting.catalog.accept(SettleSplit(right))
    splitting.catalog.accept(change)
    assert "while index by-when is being filled" in splitting.catalog.refuse(PlanSplit(splitting.id), RESOURCE_IN_USE)


BY_WHEN = IndexSpec(name="by-when", is_global=True, hash=[KeyAttribute("when", "S")])


def partition_of_index(splitting: Splitting) -> PartitionEntry:
    name = index_table("orders", "by-when")
    (entry,) = (one for one in splitting.catalog.state.map().partitions.values() if one.table == name)
    return entry


def serve(splitting: Splitting) -> None:
    """Every partition has a master."""
    entries = splitting.catalog.state.map().partitions.values()
    splitting.catalog.report([splitting.catalog.settled(entry) for entry in entries if entry.table != CATALOG_TABLE])


def test_a_table_and_its_filled_index_are_split() -> None:
    splitting = Splitting()
    splitting.catalog.accept(ChangeTable("orders", TableChange(), 1.0, BY_WHEN))
    serve(splitting)
    splitting.catalog.refuse(PlanSplit(partition_of_index(splitting).id), RESOURCE_IN_USE)
    splitting.catalog.accept(ReportFilled(splitting.id, [1]))
    splitting.catalog.accept(PlanSplit(partition_of_index(splitting).id))
    right = splitting.split()
    assert right.table == "orders" and splitting.catalog.state.map().tables["orders"].indexes[0].filling == []


def test_an_index_that_came_before_anybody_knew_of_a_split_is_filled_by_both_halves() -> None:
    """The plan was taken back, but its record was in the log already."""
    splitting = Splitting()
    splitting.plan()
    record = splitting.record()
    splitting.catalog.accept(RefuseSplit(splitting.id, record.right, "moved"))
    splitting.catalog.accept(ChangeTable("orders", TableChange(), 1.0, BY_WHEN))
    splitting.report(record)
    serve(splitting)

    def index() -> IndexDefinition:
        return splitting.catalog.state.map().tables["orders"].indexes[0]

    assert index().filling == [splitting.id, record.right]
    splitting.catalog.accept(ReportFilled(splitting.id, [1]))
    assert (index().filling, index().status) == ([record.right], "CREATING")
    splitting.catalog.accept(ReportFilled(record.right, [1]))
    assert index().status == "ACTIVE"


def test_a_catalog_rebuilt_from_its_rows_knows_each_stage_of_a_split() -> None:
    splitting = Splitting()

    def is_the_same() -> None:
        rebuilt = CatalogState.from_rows(splitting.catalog.rows.items())
        assert rebuilt.map() == splitting.catalog.state.map()
        assert rebuilt.rows() == splitting.catalog.state.rows() == sorted(splitting.catalog.rows.items())
        assert not rebuilt._contents.waiting.get("orders")

    splitting.plan()
    is_the_same()
    right = splitting.record().right
    splitting.report(splitting.record())
    is_the_same()
    splitting.catalog.accept(SettleSplit(right))
    is_the_same()
    splitting.plan(b"\x40")
    splitting.catalog.accept(DeleteTable("orders"))
    is_the_same()
    assert splitting.catalog.state.map().partitions.keys() == {CATALOG_PARTITION}
