"""What `make test` simulates: other seeds every day, those that once found something, a sample of the planted bugs."""

import os
import subprocess
import sys
from datetime import date

import pytest

from tests.sim.planted import BUGS
from tests.sim.planted.hunt import hunt
from tests.sim.planted.table import found_within, never_found
from tests.sim.runner import report, run_batch, run_seed
from tests.sim.scenario import draw
from tests.sim.shrink import shrink

BATCH = 500
FIRST = int(os.environ.get("SIM_FROM", 0)) or 1000 * date.today().toordinal()
"""Other seeds every day; SIM_FROM=n repeats a day's."""

REGRESSIONS = {
    101568: "a log-only voter that no cold log reached any more",
    103387: "the same, with the master's cold log trimmed while it was a follower",
    104296: "two batches of one sync: the torn first was taken for damage that nothing repairs",
    105759: "a voter that was slow and got a copy never counted again, because one member was lost",
    113879: "a write behind the removal of all others never committed: nobody was left to ack it",
    119224: "a voter that no log reached stood again and again, and masters gave up before it was copied",
    120747: "the cold log was trimmed beyond the state's base: after a power loss the log was forgotten",
    156337: "the same; where the log was kept, the members that the trimmed part named were not known",
    121041: "a voter whose founding record had rotted knew nobody to ask for it",
    121788: "a learner that lost its log could be promoted for what it had acked before",
    122009: "a master without a lease stayed one while nobody wrote, and served no read",
    124807: "a change of membership that could not commit was waited for without end",
    124825: "two members that both had to leave handed the mastership to each other for ever",
    127102: "a repaired replica did not stand for election",
    142588: "a power loss left a promise in its index copy alone, and nothing wrote it again before that rotted",
    757376: "the one node of the right half was to leave the left group as the split committed: it never began",
    777450: "an index copy had rotted, then its block: the node did not know any more that it had a replica",
    754729: "the same the other way round: the block alone was there, without its index copy, and rotted",
    146611: "each answer to a candidate that a network doubled doubled its next question: a storm",
    155142: "the one full voter that was left did not know of the log-only one that had everything",
    165553: "a torn batch was taken for damage at the start after the next: later batches named it as synced",
    181196: "a group of one took a second voter just as that was left down for good (the simulator's mistake)",
    186932: "the same, of a group of three that had lost one: the learner in its place was left down",
    219862: "a member whose master went while it was in maintenance never stood for election",
    224703: "a batch that was torn in part was taken for damage at the start after the next",
    226249: "a log-only learner forgot its log at a restart, before a record named it",
    261034: "a target named a node twice: a new replica, and a former member again (the simulator's mistake)",
    263191: "a master could not copy rows that were behind its log, nor commit without the copy",
    402188: "an old copy of a volume that had seen an old copy of another made the latter's node give up its identity",
    600339: "a former master with a branch that nobody follows never counted again after its copy",
    601536: "a learner that the catalog wanted back had been promoted meanwhile: no step made a voter a learner",
    630603: "a machine was left down before another had noticed that its cold log had rotted (the simulator's mistake)",
    650156: "a member whose going was not committed, and whose rows had rotted, gave up its log and counted as before",
    650356: "a node that was killed just behind its taking a replica on dropped it by the older map on its disk",
    659069: "whoever was to follow a member was lost, and another was to go: nobody wanted the member again",
    664512: "of a right half that was planned only, the one volume in another zone was lost (the simulator's mistake)",
    665037: "the same: its master asked for the split before it noticed",
    681633: "a replica of a change that did not come to be was held to the group's log (the simulator's mistake)",
    702336: "an old copy of a volume that the end of all faults started was never refused (the simulator's mistake)",
    718541: "a group was to go on in one zone: the only node free in the other had its member by another id",
    724056: "a lost volume's node never left, as the one in its place had left: splits onto it were planned for ever",
    859920: "a machine was left down that the target before could not do without, which its master still went by"
    " (the simulator's mistake)",
    873289: "a group's only voter lost its power twice: what may never have been synced then counted as lost for good",
    893540: "one message brought more records than its tiny hot log took at once (the simulator's mistake)",
    897835: "a voter that did not know its group's members asked only those who were to follow them for a lost record",
    739941177: "a damaged voter whom no machine was left to replace",
    739941183: "a late master of an epoch that was over, taken for one that lacks what was committed",
    738000099: "a torn batch beside a lost volume left no quorum that could decide",
}
"""What each seed showed; schedules change, so that the older ones stand for their kind, and tests/ for their bug."""

SAMPLE = {name: seeds for name, seeds in found_within().items() if seeds <= 20}
"""What is found soonest of the table in docs/simulation.md; `make sim-nightly` hunts it all."""


def test_a_batch_of_simulated_clusters_keeps_every_promise_and_meets_every_fault() -> None:
    print(f"seeds {FIRST} to {FIRST + BATCH - 1}")
    totals = run_batch(FIRST, BATCH)
    print(report(totals))
    assert not totals.failed, f"again: SIM_FROM={FIRST}\n{report(totals)}"
    assert not totals.silent_faults, report(totals)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_seeds_that_once_found_a_bug_pass(seed: int) -> None:
    result = run_seed(seed)
    assert not result.failure, (REGRESSIONS[seed], result.failure, result.story)


def test_same_seed_gives_the_same_trace_under_any_hash_seed() -> None:
    program = "from tests.sim.runner import run_seed; print([run_seed(n).trace_hash for n in (5, 650026)])"
    hashes = set()
    for hash_seed in ("0", "1", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) == 1


@pytest.mark.parametrize("name", SAMPLE)
def test_planted_bug_is_found(name: str) -> None:
    found = hunt(name, SAMPLE[name])
    assert found.seeds, f"{name} ({BUGS[name].rule}) was not found within {SAMPLE[name]} seeds"


def test_every_planted_bug_has_its_row_in_the_table() -> None:
    assert len(found_within()) >= 25
    assert sorted([*found_within(), *never_found()]) == sorted(BUGS)


def test_a_failing_schedule_is_made_smaller() -> None:
    with BUGS["failover-quorum-one-short"].active():
        scenario, failure = next((draw(n), found) for n in range(1, 30) if (found := run_seed(n).failure))
        smaller, result = shrink(scenario, failure, print)
    assert result.failure == failure
    assert len(smaller.faults) < len(scenario.faults)
