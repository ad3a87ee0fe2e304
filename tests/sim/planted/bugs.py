"""Planted bugs of the protocol: each rule that is taken away, and the functions that take its place.

Each names the schedule of docs/simulation.md that the rule stands against, where there is one.
"""

from __future__ import annotations

from typing import Any

from keystead_core.ids import NodeId
from keystead_core.replication import (
    catch_up,
    election,
    eligibility,
    follower,
    handover,
    master,
    node,
    pair_leases,
    read_index,
    read_lease,
    reconfiguration,
    replica,
    replica_log,
    support,
)
from keystead_core.replication.lease import GrantsFrom
from keystead_core.replication.membership import Membership
from keystead_core.replication.peers import Peers
from tests.sim.cluster import Cluster
from tests.sim.planted.registry import plant
from tests.sim.volume import Volume


def _own_ack_at_once(r: replica.Replica) -> int:
    return r.log.last_lsn


def _ackable_unsynced(r: replica.Replica) -> int:
    return min(r.log.last_lsn, r.matched_lsn)


plant("ack-before-sync", "an ack comes after Synced", (follower, "ackable_lsn", _ackable_unsynced))
plant("own-ack-before-sync", "the master's own copy counts after its own Synced", (master, "own_ack", _own_ack_at_once))


def _applicable_last(r: replica.Replica) -> int:
    return r.log.last_lsn


plant(
    "apply-above-commit",
    "nobody applies above the commit LSN that it knows",
    (replica.Replica, "applicable_lsn", _applicable_last),
)


def _sealable_last(r: replica.Replica) -> int:
    return r.log.durable_lsn


plant("seal-above-commit", "nobody seals above the commit LSN", (catch_up, "sealable_lsn", _sealable_last))


def _vote_at_once(r: replica.Replica, m: Any) -> None:
    """Support as it is, but the report leaves before the promise is durable."""
    waiting = r.node._waiting
    count = len(waiting)
    _on_support_request(r, m)
    for effect in waiting[count:]:
        r.node.emit(effect)
    del waiting[count:]


_on_support_request = support.on_support_request
plant(
    "vote-not-durable",
    "the promise is durable before the state is reported",
    (support, "on_support_request", _vote_at_once),
)


def _do_not_wait(r: replica.Replica) -> None:
    election.on_own_promise_synced(r)


plant(
    "own-promise-not-durable",
    "a candidate's promise to itself is durable before it asks",
    (election, "wait_for_own_promise", _do_not_wait),
)


def _epoch_of_the_log(r: replica.Replica) -> int:
    return max(r.log.last_epoch, r.promised if r.promised_to != r.id else r.promised - 1) + 1


plant("epoch-used-twice", "a candidate never uses an epoch twice", (election, "next_epoch", _epoch_of_the_log))


def _any_epoch(r: replica.Replica, lsn: int) -> bool:
    return True


plant(
    "earlier-epochs-by-counting",
    "only records of the master's own epoch commit by counting (schedule 4)",
    (master, "may_commit", _any_epoch),
)


def _newest_by_membership(r: replica.Replica) -> int:
    c = r.candidacy
    assert c is not None
    c.supporters[r.id] = (r.log.last_epoch, r.log.last_lsn)
    return r.id  # Whoever is newer is not asked: our own log wins.


plant(
    "newer-log-ignored",
    "a supporter's newer log is fetched first",
    (election, "newest_supporter", _newest_by_membership),
)


def _longer_is_newer(last_epoch: int, last_lsn: int, membership_version: int) -> tuple[int, int]:
    return (last_lsn, last_epoch)


def _newest_by_length(r: replica.Replica) -> int:
    c = r.candidacy
    assert c is not None
    c.supporters[r.id] = (r.log.last_epoch, r.log.last_lsn)
    best = max((lsn, epoch) for epoch, lsn in c.supporters.values())
    if (r.log.last_lsn, r.log.last_epoch) == best:
        return r.id
    return min(p for p, (epoch, lsn) in c.supporters.items() if (lsn, epoch) == best)


plant(
    "length-preferred-to-epoch", "newer is (epoch, LSN), epoch first", (election, "newest_supporter", _newest_by_length)
)


def _one_short(self: Membership, supporters: Any) -> bool:
    inside = [m for m in self.voters if m.replica in supporters and not m.log_only]
    return len(inside) >= max(1, len(self.voters) // 2)


plant("failover-quorum-one-short", "a failover quorum is more than N/2", (Membership, "is_failover_quorum", _one_short))


def _no_zones(self: Membership, replicas: Any) -> bool:
    return sum(1 for m in self.voters if m.replica in replicas) >= self.write_quorum


plant("zones-not-counted", "a write reaches K zones", (Membership, "is_durable", _no_zones))


def _write_quorum_short(self: Membership, replicas: Any) -> bool:
    return sum(1 for m in self.voters if m.replica in replicas) >= max(1, self.write_quorum - 1)


plant("write-quorum-one-short", "a write reaches W voters", (Membership, "is_durable", _write_quorum_short))


def _always(*_arguments: Any) -> bool:
    return True


def _ack_level_only(progress: replica.Progress) -> bool:
    return progress.level


plant(
    "ineligible-acks",
    "an ineligible replica refuses to ack",
    (follower, "may_ack", _always),
    (master, "ack_counts", _ack_level_only),
)


def _ack_eligible_only(progress: replica.Progress) -> bool:
    return progress.eligible


plant(
    "unlevel-counted",
    "acks and grants count once the log is level with the epoch",
    (master, "ack_counts", _ack_eligible_only),
)


def _resume_below_commit(r: replica.Replica, first_lsn: int) -> None:
    r.log.snip(max(first_lsn - 2, r.log.base.lsn + 1))
    r.matched_lsn = min(r.matched_lsn, r.log.last_lsn)
    r.node.persist(replica.SnipEntry(r.partition, max(first_lsn - 2, r.log.base.lsn + 1), r.promised))


plant("snip-past-commit", "a snip never passes the commit LSN", (replica.Replica, "snip", _resume_below_commit))


def _snip_in_memory(r: replica.Replica, first_lsn: int) -> None:
    r.log.snip(first_lsn)
    r.matched_lsn = min(r.matched_lsn, first_lsn - 1)


plant(
    "snip-not-durable",
    "a snip is durable with or before what replaces the tail (schedule 7)",
    (replica.Replica, "snip", _snip_in_memory),
)


def _ack_over_gap(r: replica.Replica) -> int:
    return max([min(r.log.durable_lsn, r.matched_lsn), *r.log.ahead])


plant("ack-over-a-gap", "an ack names an unbroken chain (schedule 5)", (follower, "ackable_lsn", _ack_over_gap))


def _count_from_receipt(sent_at: int) -> int:
    return sent_at + 300_000


plant(
    "lease-from-receipt",
    "the holder counts a grant from when it sent the heartbeat",
    (GrantsFrom, "count_from", staticmethod(_count_from_receipt)),
)


def _no_silence(started_at: int, settings: Any) -> int:
    return started_at


plant(
    "grants-forgotten-at-restart",
    "a replica supports nobody for a lease after its start (schedule 10)",
    (node, "silence_until", _no_silence),
)
plant(
    "stale-reply-counted",
    "a reply renews exactly the set that it names (schedule 11)",
    (GrantsFrom, "reply_is_current", staticmethod(_always)),
    (pair_leases, "may_grant", _always),
)


def _any_release(r: replica.Replica, m: Any) -> bool:
    return r.role == replica.FOLLOWER and m.successor == r.id and r.log.durable_lsn == r.log.last_lsn


def _any_void(r: replica.Replica, release: Any, candidate: int) -> bool:
    return release is not None


plant(
    "late-hand-over-accepted",
    "a release is void for any other epoch and boot (schedule 11)",
    (handover, "release_is_for", _any_release),
    (handover, "voids_grant", _any_void),
)


def _half_granted(self: Any) -> int:
    return int(self.lease // 2)


plant(
    "grant-shorter-than-lease",
    "a granter keeps its word for the lease with the drift bound applied",
    (node.Settings, "granted", property(_half_granted)),
)


def _granted_without_drift(self: Any) -> int:
    return int(self.lease)


plant(
    "clock-drift-ignored",
    "a granter's clock may run faster than the holder's by the drift bound",
    (node.Settings, "granted", property(_granted_without_drift)),
)
plant(
    "clock-standing-still",
    "where clocks may stand still, a read waits for a round of heartbeats that began after it",
    (read_index, "granted_after", _always),
)


def _lease_never_ends(until: int, now: int) -> bool:
    return until >= 0


plant("lease-never-ends", "reads are served inside the lease only", (read_lease, "lease_holds", _lease_never_ends))


def _latest_only(r: replica.Replica) -> list[Membership]:
    return [r.log.memberships[-1][1]]


plant(
    "membership-by-the-new-quorum-alone",
    "a membership commits by the old and the new quorum",
    (master, "commit_rules", _latest_only),
)


def _no_refusal(r: replica.Replica) -> str:
    return "" if r.mastership is not None else "no master"


plant(
    "two-changes-at-once",
    "no change while another is uncommitted, or before the epoch has committed (schedule 9)",
    (reconfiguration, "refusal_to_change", _no_refusal),
)


def _not_lost(self: Peers, peer: NodeId, now: int) -> bool:
    return not self.is_lost(peer)


plant(
    "silent-member-counted-on",
    "a change counts on members that were heard of within a lease",
    (Peers, "is_live", _not_lost),
)


def _all_members(self: Membership) -> Any:
    return self.members


plant("learner-counted-as-voter", "learners count in no quorum", (Membership, "voters", property(_all_members)))
plant(
    "log-only-starts-too-late",
    "a log-only voter's log starts at or below what every full voter has (schedule 13)",
    (reconfiguration, "log_starts_early_enough", _always),
    (reconfiguration, "lowest_full_lsn", lambda r: r.commit_lsn),
)


def _grants_to_all(r: Any, candidate: Any) -> int:
    return 0


plant("grant-broken", "a granter supports nobody else inside its grant", (support, "remaining_grant", _grants_to_all))


def _serve_at_once(r: replica.Replica) -> bool:
    return True


plant(
    "serves-before-epoch-commits",
    "a new master serves once its epoch record is committed and applied",
    (master, "may_serve", _serve_at_once),
)


def _boot_ignored(self: node.Node, sender: Any, boot: int) -> bool:
    self.boots[sender] = max(boot, self.boots.get(sender, 0))
    return True


plant(
    "older-boot-accepted",
    "a peer that speaks from an old copy of its volume is refused (schedule 8)",
    (node.Node, "_boot_is_current", _boot_ignored),
)


def _leave_alone(r: replica.Replica) -> bool:
    return r.ineligible == "planned" or r.ineligible == "copied"


plant(
    "copied-voter-counts-at-once",
    "a voter whose log was replaced counts again only with a later master's commit",
    (catch_up, "COPIED", ""),
)
plant("resumes-without-acks", "leaving ineligibility needs acks", (eligibility, "may_leave", _leave_alone))


def _matches_anything(r: replica.Replica, m: Any) -> bool:
    return True


plant(
    "chain-not-checked", "a follower checks that the record before matches", (follower, "_matches", _matches_anything)
)


def _absorb_all(self: replica_log.ReplicaLog, epoch: int) -> int:
    _absorb_ahead(self, epoch)
    return self.last_lsn


_absorb_ahead = replica_log.ReplicaLog.absorb_ahead
plant(
    "old-branch-taken-for-the-masters",
    "what stood above a filled gap counts only if this master sent it",
    (replica_log.ReplicaLog, "absorb_ahead", _absorb_all),
)
plant(
    "earlier-standing-counted",
    "an ack from before the member's eligibility changed, or its log was replaced, is void",
    (master, "is_last_word", _always),
)
plant(
    "support-leaves-though-unfit",
    "a promise that waited for its sync is reported only by a replica that still stands by it",
    (support, "still_stands", _always),
)


def _as_before(self: Cluster, old: Volume | None) -> NodeId:
    return old.node_id if old is not None else _new_identity(self, old)


_new_identity = Cluster.identity_of_new
plant(
    "lost-volume-votes-as-before",
    "an empty volume is a new node, whatever its machine was (schedule 8)",
    (Cluster, "identity_of_new", _as_before),
)
