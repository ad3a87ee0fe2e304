"""What `keystead recover` says and refuses before anything is done."""

from collections.abc import Sequence

import msgspec
import pytest
import typer

from keystead_cli.recovering import Seen, wanted_recovery
from keystead_core.catalog.commands import GoneNode, NodeLeft, Recover, ReportRetired
from keystead_core.cluster_map import Survivor
from keystead_core.ids import NodeId
from keystead_operator.cluster_view import NodePlace, cluster_view
from keystead_operator.node_status import NodeSelf, NodeStatus, ReplicaStatus
from keystead_operator.recovery_said import recovery_of
from keystead_operator.why import explain
from tests.catalog.cluster import make_catalog


class Loss:
    """A partition on three of five nodes; all answer, but for those that are lost."""

    def __init__(self, zones: int = 3, durable_zones: int = 1) -> None:
        self.catalog = make_catalog(5, zones=zones)
        (self.entry,) = self.catalog.make_table(partitions=1, durable_zones=durable_zones)
        self.a, self.b, self.c = [place.node for place in self.entry.members]
        self.what = f"orders/{self.entry.id}"
        self.statuses = {node: self.status(node) for node in self.catalog.state.map().nodes}

    def name(self, node: NodeId) -> str:
        return self.catalog.state.map().nodes[node].name

    def status(
        self,
        node: NodeId,
        role: str = "follower",
        members: Sequence[NodeId] = (),
        peers: Sequence[NodeId] = (),
        version: int = 0,
    ) -> NodeStatus:
        commit_lsn = 40 if role == "master" else 38
        replica = ReplicaStatus(
            partition=self.entry.id,
            role=role,
            epoch=3,
            membership_version=version,
            last_lsn=40,
            commit_lsn=commit_lsn,
            members=list(members),
        )
        own = NodeSelf(id=node, name=self.name(node), peers=list(peers))
        return NodeStatus(own, [replica] if node in (self.a, self.b, self.c) else [])

    def lose(self, *nodes: NodeId) -> None:
        for node in nodes:
            del self.statuses[node]

    def replace(self, node: NodeId) -> None:
        """Another volume is in its place."""
        del self.statuses[node]
        fresh = NodeId(f"new-{node}")
        self.statuses[fresh] = NodeStatus(NodeSelf(id=fresh, name=self.name(node)))

    @property
    def seen(self) -> Seen:
        return Seen(self.catalog.state.map(), list(self.statuses.values()))

    def wanted(self, *gone: NodeId, accepted: bool = True, what: str = "") -> Recover | None:
        return wanted_recovery(self.seen, what or self.what, list(gone), accepted)


@pytest.fixture
def loss() -> Loss:
    return Loss()


def refusal(
    loss: Loss, capsys: pytest.CaptureFixture[str], *gone: NodeId, accepted: bool = True, what: str = ""
) -> str:
    with pytest.raises(typer.Exit) as ended:
        loss.wanted(*gone, accepted=accepted, what=what)
    assert ended.value.exit_code == 1
    return capsys.readouterr().err


def test_nodes_that_are_named_are_given_up_with_the_boots_that_were_seen(loss: Loss, capsys: object) -> None:
    loss.lose(loss.b, loss.c)
    command = loss.wanted(loss.b, NodeId(loss.name(loss.c)))
    assert command is not None and command.partition == loss.entry.id
    assert sorted(one.node for one in command.gone) == sorted([loss.b, loss.c])
    assert {one.boot for one in command.gone} == {1}


def test_volumes_in_whose_places_others_are_need_not_be_named(loss: Loss, capsys: pytest.CaptureFixture[str]) -> None:
    loss.replace(loss.b)
    loss.replace(loss.c)
    command = loss.wanted()
    assert command is not None and sorted(one.node for one in command.gone) == sorted([loss.b, loss.c])
    said = capsys.readouterr().out
    assert f"kept: all up to record 40 on {loss.name(loss.a)}" in said and "lost: whatever" in said
    assert f"given up: {loss.name(min(loss.b, loss.c))}" in said and "your word" in said


def test_without_the_flag_it_is_only_said(loss: Loss, capsys: pytest.CaptureFixture[str]) -> None:
    loss.lose(loss.b, loss.c)
    assert "say --accept-data-loss" in refusal(loss, capsys, loss.b, loss.c, accepted=False)


def test_a_node_that_only_does_not_answer_is_not_given_up_unnamed(
    loss: Loss, capsys: pytest.CaptureFixture[str]
) -> None:
    loss.lose(loss.b, loss.c)
    said = refusal(loss, capsys, loss.b)
    assert "may still be there: start it" in said and f"--gone {loss.name(loss.c)}" in said


def test_a_node_that_answers_or_is_connected_is_not_gone(loss: Loss, capsys: pytest.CaptureFixture[str]) -> None:
    assert "answers: it is not gone" in refusal(loss, capsys, loss.b)
    loss.lose(loss.b, loss.c)
    loss.statuses[loss.a] = loss.status(loss.a, peers=[loss.c])
    assert "it runs, and may serve" in refusal(loss, capsys, loss.b, loss.c)


def test_a_master_that_lost_the_only_zone_its_writes_have_to_reach_is_recovered() -> None:
    """It keeps its lease, for the majority is there, and commits nothing more."""
    loss = Loss(zones=2, durable_zones=2)
    zone_of = {node.id: node.zone for node in loss.catalog.state.map().nodes.values()}
    zones = [zone_of[node] for node in (loss.a, loss.b, loss.c)]
    alone = (loss.a, loss.b, loss.c)[zones.index(min(zones, key=zones.count))]
    master = next(node for node in (loss.a, loss.b, loss.c) if node != alone)
    loss.replace(alone)
    loss.statuses[master] = loss.status(master, role="master", members=[loss.a, loss.b, loss.c])
    command = loss.wanted()
    assert command is not None and [one.node for one in command.gone] == [alone]
    loss.catalog.accept(command)


def test_a_group_whose_change_of_members_cannot_commit_any_more_is_recovered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Found by the simulator (772796): the catalog knows only of the members before it, who could go on."""
    loss = Loss(zones=2, durable_zones=2)
    zone_of = {node.id: node.zone for node in loss.catalog.state.map().nodes.values()}
    members = [loss.a, loss.b, loss.c]
    third = next(node for node in members if [zone_of[one] for one in members].count(zone_of[node]) == 1)
    lost = next(node for node in members if node != third)
    new = next(node for node in zone_of if node not in members and zone_of[node] == zone_of[third])
    loss.catalog.accept(NodeLeft(lost, loss.catalog.take_office()))
    loss.lose(lost)
    loss.statuses[third] = loss.status(third, role="master", members=members)
    assert "can go on" in refusal(loss, capsys)
    loss.statuses[third] = loss.status(third, role="master", members=[lost, third, new], version=9)
    command = loss.wanted()
    assert command is not None and command.changing_to == [lost, third, new]
    loss.catalog.accept(command)


def test_a_partition_with_a_master_or_a_majority_is_left_alone(loss: Loss, capsys: pytest.CaptureFixture[str]) -> None:
    loss.lose(loss.c)
    assert "can go on" in refusal(loss, capsys, loss.c)
    loss.statuses[loss.a] = loss.status(loss.a, role="master")
    assert "has a master" in refusal(loss, capsys, loss.c)


def test_where_nothing_with_rows_is_left_there_is_nothing_to_go_on_with(
    loss: Loss, capsys: pytest.CaptureFixture[str]
) -> None:
    loss.lose(loss.b, loss.c)
    loss.statuses[loss.a] = loss.status(loss.a, role="log-only")
    assert "restore it from a backup" in refusal(loss, capsys, loss.b, loss.c)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("orders", "names no partition"),
        ("orders/99", "has no partition 99"),
        ("bills/2", "has no partition 2"),
        ("catalog/1", "put volumes of its majority back"),
    ],
)
def test_what_is_no_partition_is_refused(loss: Loss, capsys: pytest.CaptureFixture[str], what: str, said: str) -> None:
    assert said in refusal(loss, capsys, what=what)


def test_unknown_nodes_are_refused(loss: Loss, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not found" in refusal(loss, capsys, NodeId("node-99"))


def test_other_nodes_that_do_not_answer_are_said_to_be_waited_for(
    loss: Loss, capsys: pytest.CaptureFixture[str]
) -> None:
    other = next(node for node in loss.statuses if node not in (loss.a, loss.b, loss.c))
    loss.lose(loss.b, loss.c, other)
    assert loss.wanted(loss.b, loss.c) is not None
    assert f"waits for: {loss.name(other)}" in capsys.readouterr().out


def test_said_again_it_goes_on_and_behind_its_end_it_does_nothing(
    loss: Loss, capsys: pytest.CaptureFixture[str]
) -> None:
    loss.lose(loss.b, loss.c)
    command = loss.wanted(loss.b, loss.c)
    assert command is not None
    loss.catalog.accept(command)
    again = loss.wanted()
    assert again is not None and again.gone == []
    loss.catalog.accept(again)
    _finish(loss)
    capsys.readouterr()
    assert loss.wanted() is None
    assert f"partition {loss.entry.id} has been recovered at" in capsys.readouterr().out


def _finish(loss: Loss) -> None:
    for node in [node for node in loss.catalog.state.map().nodes if node not in (loss.b, loss.c)]:
        found = Survivor(node, 3, 40, True) if node == loss.a else Survivor(node, 0, 0, False)
        loss.catalog.accept(ReportRetired(loss.entry.id, found))
    (made,) = loss.catalog.partitions("orders")
    loss.catalog.report([msgspec.structs.replace(loss.catalog.settled(made), epoch=4)])


def test_every_step_of_it_is_told_and_its_loss_ever_after(loss: Loss) -> None:
    (entry,) = loss.catalog.partitions("orders")
    assert recovery_of(entry, loss.catalog.state.map().nodes) == ""
    fence = loss.catalog.take_office()
    gone = [GoneNode(loss.b, 1), GoneNode(loss.c, 1)]
    loss.catalog.accept(Recover(loss.entry.id, gone, 0.0))
    assert "must take part in its old group no more first" in _why(loss)
    for node in [node for node in loss.catalog.state.map().nodes if node not in (loss.a, loss.b, loss.c)]:
        loss.catalog.accept(NodeLeft(node, fence))
    loss.catalog.accept(ReportRetired(loss.entry.id, Survivor(loss.a, 3, 40, True)))
    assert f"it is made of what {loss.name(loss.a)}" in _why(loss)
    _finish(loss)
    assert "recovered at 1970-01-01 00:00 UTC from what" in _why(loss) and "up to record 40" in _why(loss)


def _why(loss: Loss) -> str:
    known = loss.catalog.state.map()
    places = [NodePlace(name=node.name, zone=node.zone, port=1, data_dir="") for node in known.nodes.values()]
    (made,) = loss.catalog.partitions("orders")
    replica = ReplicaStatus(partition=made.id, role="master", epoch=made.epoch, members=[loss.a])
    statuses = {loss.name(loss.a): NodeStatus(NodeSelf(id=loss.a), [replica] if made.epoch and made.id != 2 else [])}
    view = cluster_view("c", "", places, statuses, known)
    (one,) = explain(view, view.tables[0])
    return one.sentence
