"""Groups that are given up for what is left of them, as the catalog knows it: refused, heard of, chosen, finished."""

import pytest

from keystead_core.catalog.commands import (
    ChangeTable,
    DeleteTable,
    GoneNode,
    GroupReport,
    NodeLeft,
    PlanSplit,
    Recover,
    RegisterNode,
    ReplicaSpec,
    ReportFilled,
    ReportRetired,
    SetTarget,
)
from keystead_core.catalog.repair import RepairRule, plan_repairs
from keystead_core.catalog.results import (
    INVALID,
    NODE_LEFT,
    NODE_UNKNOWN,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
)
from keystead_core.catalog.state import CatalogState
from keystead_core.catalog.table_changes import TableChange
from keystead_core.cluster_map import EMPTY_MAP, IndexSpec, KeyAttribute, PartitionEntry, Survivor, in_ranges
from keystead_core.hosting import Hosted, plan_hosting, plan_removed
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId, ReplicaId
from tests.catalog.cluster import CLUSTER, make_catalog, make_node

AT = 77.0


class Recovering:
    """Six nodes, a table of one partition with three replicas, and what nodes and a person would say."""

    def __init__(self, **table: object) -> None:
        self.catalog = make_catalog(6)
        self.fence = self.catalog.take_office()
        (entry,) = self.catalog.make_table(partitions=1, **table)
        self.old = entry.id
        self.voters = [place.node for place in entry.members]

    @property
    def entry(self) -> PartitionEntry:
        (entry,) = self.catalog.partitions("orders")
        return entry

    def command(self, *gone: NodeId, partition: int = 0, boot: int = 1) -> Recover:
        return Recover(PartitionId(partition or self.entry.id), [GoneNode(node, boot) for node in gone], AT)

    def recover(self, *gone: NodeId) -> int:
        return int(self.catalog.accept(self.command(*gone)).counters[0])

    def others(self, *without: NodeId) -> list[NodeId]:
        known = self.catalog.state.map().nodes.values()
        return sorted(node.id for node in known if node.state != "left" and node.id not in without)

    def retire(self, node: NodeId, epoch: int = 0, lsn: int = 0, has_rows: bool = False) -> None:
        self.catalog.accept(ReportRetired(self.old, Survivor(node, epoch, lsn, has_rows)))

    def retire_all(self, *survivors: Survivor) -> None:
        """Every node that is not gone says that it takes part no more."""
        for node in self.others():
            found = next((one for one in survivors if one.node == node), Survivor(node, 0, 0, False))
            self.catalog.accept(ReportRetired(self.old, found))

    def serve(self) -> None:
        entry = self.entry
        self.catalog.report([GroupReport(entry.id, 9, 1, entry.target, entry.target[0].node)])

    def is_deleted(self, partition: int) -> bool:
        return in_ranges(self.catalog.state.map().deleted, partition)


@pytest.fixture
def recovering() -> Recovering:
    return Recovering()


def test_another_partition_takes_the_range_with_the_one_that_is_left(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    assert recovering.recover(b, c) == recovering.old
    nodes = recovering.catalog.state.map().nodes
    assert [nodes[node].state for node in (a, b, c)] == ["active", "left", "left"]
    recovering.retire_all(Survivor(a, 3, 40, True))
    made = recovering.entry
    assert made.id != recovering.old and (made.low, made.high) == (b"", None)
    assert [(place.node, place.role) for place in made.target] == [(a, "voter")]
    assert made.founding_epoch == 3 and made.recovery is not None and made.recovery.old == recovering.old
    assert not recovering.is_deleted(recovering.old), "its replicas are needed until the new one has served"
    recovering.serve()
    assert recovering.is_deleted(recovering.old)
    recovery = recovering.entry.recovery
    assert recovery is not None and recovery.done and recovery.gone == sorted([b, c]) and recovery.at == AT
    assert recovery.source == Survivor(a, 3, 40, True)


def test_nothing_is_chosen_before_every_node_takes_part_no_more(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    recovering.recover(b, c)
    *most, last = recovering.others(a)
    recovering.retire(a, 3, 40, True)
    for node in most:
        recovering.retire(node)
    assert recovering.entry.id == recovering.old
    recovering.retire(last)
    assert recovering.entry.id != recovering.old


def test_a_node_that_leaves_meanwhile_is_not_waited_for(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    recovering.recover(b, c)
    *most, last = recovering.others(a)
    for node in most:
        recovering.retire(node)
    recovering.retire(a, 3, 40, True)
    recovering.catalog.accept(NodeLeft(last, recovering.fence))
    assert recovering.entry.id != recovering.old


@pytest.mark.parametrize(
    ("first", "second", "newest"),
    [((3, 40, True), (3, 41, True), 1), ((4, 40, True), (3, 99, True), 0), ((3, 40, True), (3, 99, False), 0)],
)
def test_the_newest_log_with_rows_is_gone_on_from(
    first: tuple[int, int, bool], second: tuple[int, int, bool], newest: int
) -> None:
    recovering = Recovering(replicas=5)
    a, b, *gone = recovering.voters
    recovering.recover(*gone)
    recovering.retire_all(Survivor(a, *first), Survivor(b, *second))
    assert recovering.entry.target[0].node == (a, b)[newest]


def test_a_replica_that_only_its_own_node_knows_of_counts_too(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    other = recovering.others(a, b, c)[0]
    recovering.recover(b, c)
    recovering.retire_all(Survivor(a, 3, 40, True), Survivor(other, 3, 50, True))
    assert recovering.entry.target[0].node == other


def test_without_rows_nothing_is_chosen(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    recovering.recover(b, c)
    recovering.retire_all(Survivor(a, 3, 40, False))
    assert recovering.entry.id == recovering.old and recovering.entry.is_recovering


def test_a_group_that_can_still_elect_is_not_given_up(recovering: Recovering) -> None:
    message = recovering.catalog.refuse(recovering.command(recovering.voters[2]), INVALID)
    assert "can go on" in message


def test_nodes_that_have_left_before_need_not_be_named(recovering: Recovering) -> None:
    _, b, c = recovering.voters
    recovering.catalog.accept(NodeLeft(b, recovering.fence))
    recovering.recover(c)
    assert recovering.entry.is_recovering


def test_a_group_of_which_nothing_is_left_is_not_given_up(recovering: Recovering) -> None:
    message = recovering.catalog.refuse(recovering.command(*recovering.voters), INVALID)
    assert "nothing would be left" in message


def test_the_catalogs_own_group_is_not_given_up(recovering: Recovering) -> None:
    founders = [place.node for place in recovering.catalog.state.map().partitions[CATALOG_PARTITION].members]
    message = recovering.catalog.refuse(recovering.command(*founders[1:], partition=CATALOG_PARTITION), INVALID)
    assert "majority of its volumes" in message


def test_a_node_that_has_registered_again_is_not_gone(recovering: Recovering) -> None:
    _, b, c = recovering.voters
    number = int(b, 16)
    recovering.catalog.accept(RegisterNode(CLUSTER, make_node(number, boot=2)))
    message = recovering.catalog.refuse(recovering.command(b, c), RESOURCE_IN_USE)
    assert "not gone" in message
    recovering.catalog.refuse(recovering.command(NodeId("nobody"), c), NODE_UNKNOWN)
    recovering.catalog.refuse(recovering.command(b, c, partition=99), RESOURCE_NOT_FOUND)


def test_a_lost_node_that_comes_back_is_refused(recovering: Recovering) -> None:
    _, b, c = recovering.voters
    recovering.recover(b, c)
    recovering.catalog.refuse(RegisterNode(CLUSTER, make_node(int(b, 16), boot=2)), NODE_LEFT)
    recovering.catalog.refuse(ReportRetired(recovering.old, Survivor(b, 9, 99, True)), NODE_LEFT)


def test_said_again_it_changes_nothing_and_with_more_nodes_it_gives_up_those_too() -> None:
    recovering = Recovering(replicas=5)
    a, b, c, d, e = recovering.voters
    recovering.recover(c, d, e)
    before = recovering.catalog.state.rows()
    assert recovering.recover(d, c, e) == recovering.old
    assert recovering.catalog.state.rows() == before
    recovering.retire(a, 3, 40, True)
    recovering.recover(b)
    assert recovering.catalog.state.map().nodes[b].state == "left"
    recovering.retire_all(Survivor(a, 3, 40, True))
    assert recovering.entry.target[0].node == a


def test_where_the_chosen_one_is_lost_too_the_next_is_chosen() -> None:
    recovering = Recovering(replicas=5)
    a, b, c, d, e = recovering.voters
    recovering.recover(c, d, e)
    recovering.retire_all(Survivor(a, 3, 41, True), Survivor(b, 3, 40, True))
    first = recovering.entry.id
    second = recovering.recover(a)
    assert recovering.entry.id == second not in (first, recovering.old)
    assert recovering.entry.target[0].node == b
    assert recovering.is_deleted(first) and not recovering.is_deleted(recovering.old)
    assert "nothing would be left" in recovering.catalog.refuse(recovering.command(b), INVALID)
    recovering.serve()
    assert recovering.is_deleted(recovering.old)


def test_its_replicas_stay_where_they_are_until_it_has_served(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    recovering.recover(b, c)
    move = SetTarget(recovering.old, [ReplicaSpec(a)], recovering.fence)
    recovering.catalog.refuse(move, RESOURCE_IN_USE)
    recovering.catalog.refuse(PlanSplit(recovering.old), RESOURCE_IN_USE)
    plan = plan_repairs(recovering.catalog.state.map(), dict.fromkeys(recovering.others(), 0.0), RepairRule(), 1)
    assert not [one for one in plan.commands if isinstance(one, SetTarget) and one.partition == recovering.old]
    recovering.retire_all(Survivor(a, 3, 40, True))
    recovering.serve()
    plan = plan_repairs(recovering.catalog.state.map(), dict.fromkeys(recovering.others(), 0.0), RepairRule(), 1)
    (filled,) = [one for one in plan.commands if isinstance(one, SetTarget) and one.partition == recovering.entry.id]
    assert filled.target[0].node == a and len(filled.target) == 3


def test_no_node_makes_or_drops_a_replica_before_it_has_served(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    recovering.recover(b, c)
    assert plan_hosting(recovering.entry, a, None, True) == []
    recovering.retire_all(Survivor(a, 3, 40, True))
    assert plan_hosting(recovering.entry, a, None, True) == []
    known = recovering.catalog.state.map()
    hosted = {recovering.old: Hosted(ReplicaId(4), 1, 1)}
    assert plan_removed(known, hosted, [recovering.old]) == []
    recovering.serve()
    assert len(plan_removed(recovering.catalog.state.map(), hosted, [recovering.old])) == 1


def test_nodes_that_follow_deltas_know_the_same_as_those_that_get_the_map_whole(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    state = recovering.catalog.state
    seen = EMPTY_MAP.apply_delta(state.delta(0))

    def follow() -> None:
        nonlocal seen
        seen = seen.apply_delta(state.delta(seen.version))
        assert seen == EMPTY_MAP.apply_delta(state.delta(0)) == state.map()
        assert CatalogState.from_rows(state.rows()).map() == state.map()

    recovering.recover(b, c)
    follow()
    recovering.retire_all(Survivor(a, 3, 40, True))
    follow()
    recovering.serve()
    follow()


def test_a_split_that_was_only_planned_is_taken_back(recovering: Recovering) -> None:
    _, b, c = recovering.voters
    right = recovering.catalog.accept(PlanSplit(recovering.old, b"\x80")).counters[0]
    recovering.recover(b, c)
    assert recovering.entry.split is None and recovering.is_deleted(right)
    assert all(place.role == "voter" for place in recovering.entry.target)


def test_a_table_that_is_deleted_takes_all_of_it_along(recovering: Recovering) -> None:
    a, b, c = recovering.voters
    recovering.recover(b, c)
    recovering.retire_all(Survivor(a, 3, 40, True))
    made = recovering.entry.id
    recovering.catalog.accept(DeleteTable("orders"))
    assert recovering.is_deleted(made) and recovering.is_deleted(recovering.old)


def test_an_index_waits_for_the_rows_of_the_new_partition(recovering: Recovering) -> None:
    spec = IndexSpec(name="by", is_global=True, hash=[KeyAttribute("x", "S")])
    recovering.catalog.accept(ChangeTable("orders", TableChange(), 2.0, new_index=spec))
    a, b, c = recovering.voters
    recovering.recover(b, c)
    recovering.retire_all(Survivor(a, 3, 40, True))
    index = recovering.catalog.state.map().tables["orders"].indexes[0]
    assert index.filling == [recovering.entry.id]
    recovering.catalog.accept(ReportFilled(recovering.entry.id, [index.id]))
    assert recovering.catalog.state.map().tables["orders"].indexes[0].filling == []
