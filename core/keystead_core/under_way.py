"""What a map says is on its way: splits, and replicas that move. For people: nothing is decided by it. Pure."""

import msgspec

from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import NodeId, PartitionId


class SplitUnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that is being divided, `right` being the other half. `at`: the row key that it is cut at, b"" while
    that is not chosen. `phase`: copies (learners are made where the right half is to live) | due | settling (divided;
    the right half is being brought level). `reason`: size | traffic | capacity | request, or ""."""

    partition: PartitionId
    right: PartitionId
    at: bytes
    reason: str
    phase: str
    copies: int

    def said(self) -> str:
        """A sentence."""
        why = f" ({self.reason})" if self.reason else ""
        match self.phase:
            case "copies":
                what = f"to be split{why}: {self.copies} {'copy is' if self.copies == 1 else 'copies are'} made first"
            case "due":
                what = f"to be split{why}: due"
            case _:
                what = f"split{why}: partition {self.right} is being brought level"
        return f"partition {self.partition} {what}"


class MoveUnderWay(msgspec.Struct, frozen=True):
    """Nodes that are to have a replica of the group, or a fuller one, and nodes that are to have none any more."""

    joining: list[NodeId]
    leaving: list[NodeId]


def split_of(entry: PartitionEntry) -> SplitUnderWay | None:
    """None: the partition is not being split."""
    plan = entry.split
    if plan is None:
        return None
    copies = sum(place.role == "learner" for place in entry.target)
    phase = "settling" if plan.done else "copies" if copies else "due"
    return SplitUnderWay(
        partition=entry.id, right=plan.right, at=plan.at, reason=plan.reason, phase=phase, copies=copies
    )


def move_of(entry: PartitionEntry) -> MoveUnderWay | None:
    """None: the group last reported the members that it is to have. Copies that a split makes are no moves."""
    if not entry.epoch:
        return None
    members = {member.replica: member.role for member in entry.members}
    wanted = {place.replica for place in entry.target}
    joining = [p.node for p in entry.target if p.role != "learner" and members.get(p.replica) != p.role]
    leaving = [m.node for m in entry.members if m.replica not in wanted and m.role != "learner"]
    return MoveUnderWay(joining, leaving) if joining or leaving else None
