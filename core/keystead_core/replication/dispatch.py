"""Which function takes which event and which message of one group. No decision is made here."""

from __future__ import annotations

from typing import assert_never

from keystead_core.replication import (
    catch_up,
    election,
    eligibility,
    follower,
    handover,
    master,
    read_index,
    reconfiguration,
    repair,
    retiring,
    splitting,
    support,
)
from keystead_core.replication import events as ev
from keystead_core.replication import messages as msg
from keystead_core.replication.replica import MASTER, RETIRED, Replica


def on_event(r: Replica, event: ev.Event) -> None:
    match event:
        case ev.Propose():
            master.propose(r, event)
        case ev.ProposeSplit():
            splitting.propose(r, event)
        case ev.ReadWanted():
            read_index.want(r, event.token)
        case ev.Applied():
            r.applied_lsn = max(r.applied_lsn, event.lsn)
            if r.role == MASTER:
                master.on_applied(r)
        case ev.LockTaken():
            election.on_lock_taken(r, event.counter)
        case ev.DropReplica():
            r.node.drop(r, event.replica)
        case ev.Conclude():
            retiring.conclude(r)
        case ev.SetTarget():
            reconfiguration.learn_committed(r, event.committed)
            reconfiguration.set_target(r, event.target, (event.write_quorum_min, event.durable_zones))
        case ev.HandOver():
            handover.begin(r, event.successor)
        case ev.Sealed():
            catch_up.on_sealed(r, event)
        case ev.SealWanted():
            catch_up.seal_if_due(r, wanted=True)
        case ev.ColdRead():
            catch_up.on_cold_read(r, event)
        case ev.CopyFinished():
            catch_up.on_copy_finished(r, event)
        case ev.CopyArrived():
            catch_up.on_copy_arrived(r, event)
        case ev.RowsLost():
            catch_up.on_rows_lost(r)
        case ev.CopyInstalled():
            catch_up.on_copy_installed(r, event)
        case ev.Received() | ev.Synced() | ev.Tick() | ev.PeerLost() | ev.HostReplica():
            raise AssertionError(event)
        case ev.Maintain() | ev.Resume() | ev.Rebalance() | ev.RoomMeasured() | ev.Registered() | ev.Retire():
            raise AssertionError(event)
        case _:
            assert_never(event)


def on_message(r: Replica, message: msg.GroupMessage) -> None:
    if r.ineligible == RETIRED and not isinstance(message, msg.Probe | msg.SupportRequest):
        return  # Who asks for support is told why there is none; else nothing is taken, and nothing given.
    match message:
        case msg.Append():
            follower.on_append(r, message)
        case msg.Appended():
            master.on_appended(r, message)
        case msg.AppendRefused():
            master.on_append_refused(r, message)
        case msg.AppendMismatch():
            master.on_mismatch(r, message)
        case msg.Probe():
            support.on_probe(r, message)
        case msg.ProbeReply():
            election.on_probe_reply(r, message)
        case msg.Release():
            handover.on_release(r, message)
        case msg.SupportRequest():
            support.on_support_request(r, message)
        case msg.Support():
            election.on_support(r, message)
        case msg.SupportRefused():
            election.on_support_refused(r, message)
        case msg.FetchLog():
            support.on_fetch_log(r, message)
        case msg.LogFetched():
            election.on_log_fetched(r, message)
        case msg.EligibilityRequest():
            eligibility.on_request(r, message)
        case msg.EligibilityReply():
            eligibility.on_reply(r, message)
        case msg.RepairRequest():
            repair.on_request(r, message)
        case msg.RepairReply():
            repair.on_reply(r, message)
        case msg.StartLog():
            follower.on_start_log(r, message)
        case _:
            assert_never(message)
