"""Which replicas a node hosts, as the cluster map and its own replicas say. Pure; run on every change of the map.

The map only proposes: a replica is created where the map names it as founder, member or target, and dropped only when
the group's own committed membership, newer than the last that the replica belongs to, excludes its id (or the table is
gone).
"""

from collections.abc import Mapping

import msgspec

from keystead_core.cluster_map import ClusterMap, PartitionEntry
from keystead_core.ids import MILLISECOND, Epoch, NodeId, PartitionId, ReplicaId
from keystead_core.replication.events import DropReplica, HostReplica, SetTarget
from keystead_core.replication.membership import Membership, founding_membership
from keystead_core.replication.replica import Replica


class Hosted(msgspec.Struct, frozen=True):
    """A replica that is here. `version` and `epoch` name the last membership it knows that it belongs to; 0: none."""

    replica: ReplicaId
    version: int
    epoch: Epoch

    @classmethod
    def of(cls, r: Replica) -> "Hosted":
        last = r.own_last_membership
        return cls(r.id, last.version, last.epoch) if last else cls(r.id, 0, 0)

    def is_out(self, version: int, epoch: Epoch) -> bool:
        """Has a membership that was committed without this replica come after, or in the place of, its own?"""
        return version > self.version or (version == self.version and epoch not in (0, self.epoch))


def plan_hosting(
    entry: PartitionEntry,
    node: NodeId,
    hosted: Hosted | None,
    registered: bool,
    awaits_split: bool = False,
    may_be_older: bool = False,
) -> list[DropReplica | HostReplica | SetTarget]:
    """What the node's core is to be told about one partition of the map.

    A node that has not `registered` since its start takes on nothing but what it founds: its volume may be an old copy,
    which the catalog refuses, and then whatever it took on would be lost with it. `awaits_split`: a replica here of the
    group that this one was split from is going to make it, with its rows, which spares a copy. `may_be_older`: the map
    may be older than a replica here, as that on the disk is at a start: it says nothing against one that knows of no
    membership yet. Nothing is done about a group that is given up, or begins only: that is the recoverer's.
    """
    if entry.is_recovering:
        return []
    events: list[DropReplica | HostReplica | SetTarget] = []
    named = [t for t in [*entry.target, *entry.members, *entry.founders] if t.node == node]
    current = {t.replica for t in [*entry.target, *entry.members]}
    wanted = max((t.replica for t in named if t.replica in current), default=None)
    is_out = hosted is not None and hosted.is_out(entry.membership_version, entry.membership_epoch)
    if may_be_older and hosted is not None and not hosted.version:
        is_out = False
    if hosted is not None and is_out and hosted.replica not in current:
        events.append(DropReplica(entry.id, hosted.replica))
        hosted = None
    if hosted is None and wanted is not None:
        is_founder = any(t.replica == wanted for t in entry.founders) and not entry.founding_epoch
        if is_founder or (registered and not awaits_split):
            events.append(HostReplica(entry.id, wanted, founding_of(entry) if is_founder else None))
    if hosted is not None or wanted is not None:
        # Of the map's quorum only what exceeds a majority is a rule; a majority follows the number of voters.
        majority = len([t for t in entry.target if t.role != "learner"]) // 2 + 1
        minimum = entry.write_quorum if entry.write_quorum > majority else 0
        committed = (entry.membership_version, entry.membership_epoch)
        events.append(SetTarget(entry.id, entry.target, minimum, entry.durable_zones, committed))
    return events


def brings_rows(left: PartitionEntry | None, node: NodeId) -> bool:
    """Is the node to have a replica of that group, of whose rows it could make one of a right half?"""
    return left is not None and any(t.node == node and t.role != "log-only" for t in left.target)


def founding_of(entry: PartitionEntry) -> Membership:
    """The group's first membership: the same at every founder, whenever it makes it."""
    lease = entry.founding_lease_ms * MILLISECOND
    return founding_membership(entry.founders, entry.founding_write_quorum, entry.founding_durable_zones, lease)


def plan_removed(
    cluster_map: ClusterMap, hosted: Mapping[PartitionId, Hosted], removed: list[PartitionId]
) -> list[DropReplica]:
    """Drops of replicas whose partitions were deleted, which the catalog committed: with their table, or because
    another has taken their range."""
    gone = [p for p in removed if p not in cluster_map.partitions and cluster_map.is_deleted(p)]
    return [DropReplica(p, hosted[p].replica) for p in gone if p in hosted]
