"""A membership change that a restarted member, or a new master, finds in its log and cannot count any more."""

import msgspec
import pytest

from keystead_core.ids import Epoch, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, RecoveredReplica, ReplicaState
from keystead_core.log.record import Kind, make_record
from keystead_core.replication import effects as ef
from keystead_core.replication import events as ev
from keystead_core.replication.membership import encode_membership
from keystead_core.replication.node import Node
from keystead_core.replication.settings import Settings
from tests.replication.rig import BOOT, FOUNDING, GROUP, A, founding_record

PAIR = msgspec.structs.replace(FOUNDING, members=FOUNDING.members[:2])
ALONE = PAIR.without(ReplicaId(2), Epoch(1))


def restarted() -> Node:
    """The last of a pair: its log ends with the record that removed the other, and it does not know that committed."""
    first = founding_record(PAIR)
    removal = make_record(GROUP, 1, 2, Kind.MEMBERSHIP, 1, first.hash, 0, encode_membership(ALONE))
    state = ReplicaState(ReplicaId(1), 1, ReplicaId(1), BOOT - 1, "", EMPTY_LOG, b"")
    node = Node(Settings(lock="none"), A, BOOT, [RecoveredReplica(GROUP, state, [first, removal], 1, 1)], 0, 1)
    node.start(0)
    node.step(ev.Registered(), 0)
    return node


@pytest.mark.parametrize(("named", "commit_lsn"), [((2, Epoch(1)), 2), ((2, Epoch(2)), 1), ((0, Epoch(0)), 1)])
def test_a_removal_commits_once_the_catalog_names_it(named: tuple[int, Epoch], commit_lsn: int) -> None:
    """Who was removed is gone: the old quorum can never be counted. Only the very record that is named counts."""
    node = restarted()
    node.step(ev.SetTarget(GROUP, [], 0, 1, named), 1)
    assert node.replicas[GROUP].commit_lsn == commit_lsn


@pytest.mark.parametrize(("named", "serves"), [((2, Epoch(1)), True), ((0, Epoch(0)), False)])
def test_the_member_that_is_left_serves_then_alone(named: tuple[int, Epoch], serves: bool) -> None:
    node = restarted()
    events: list[ev.Event] = [ev.SetTarget(GROUP, [], 0, 1, named)]
    now = 0
    for _ in range(1000):
        now += 10_000
        effects = [effect for event in [*events, ev.Tick()] for effect in node.step(event, now)]
        events = [answer for effect in effects for answer in answers(effect)]
    ship = node.replicas[GROUP].mastership
    assert bool(ship and ship.serving) == serves


def answers(effect: ef.Effect) -> list[ev.Event]:
    """What disk and rows say."""
    match effect:
        case ef.Persist():
            return [ev.Synced(effect.sequence)]
        case ef.Apply():
            return [ev.Applied(effect.partition, effect.records[-1].lsn)]
    return []
