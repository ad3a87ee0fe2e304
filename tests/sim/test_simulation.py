"""What `make test` simulates: a fixed batch, seeds that once found something, and a sample of the planted bugs."""

import os
import subprocess
import sys

import pytest

from tests.sim.planted.bugs import BUGS
from tests.sim.planted.hunt import hunt
from tests.sim.runner import report, run_batch, run_seed

BATCH = 200

OPEN = {
    46: "two of three voters wait for a copy, and nobody may make one",
}
"""Seeds of the batch that fail for a reason that is known. See docs/simulation.md."""

REGRESSIONS = {
    9: "a candidate that fetched a newer log waited on the gather timer in an endless loop",
    53: "a return from ineligibility counted before it was durable",
    73: "a log-only replica became a full one when a record removed it",
    182: "a master that inherited an uncommitted change never closed it",
    344: "the same, with the change committed by the old quorum alone",
    9025: "an ack left in an epoch whose promise was not durable",
    30064: "a volume lost between its ack and the commit",
    30127: "a change and the records behind it committed in one step",
}

FOUND_WITHIN = {
    "ack-before-sync": 3,
    "own-ack-before-sync": 3,
    "apply-above-commit": 3,
    "vote-not-durable": 3,
    "own-promise-not-durable": 3,
    "failover-quorum-one-short": 25,
    "write-quorum-one-short": 15,
    "ack-over-a-gap": 3,
    "snip-past-commit": 15,
    "membership-by-the-new-quorum-alone": 60,
    "learner-counted-as-voter": 25,
}


def test_a_batch_of_simulated_clusters_keeps_every_promise() -> None:
    totals = run_batch(1, BATCH)
    failed = [result for result in totals.failed if result.seed not in OPEN]
    print(report(totals))
    assert not failed, report(totals)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_seeds_that_once_found_a_bug_pass(seed: int) -> None:
    result = run_seed(seed)
    assert not result.failure, (REGRESSIONS[seed], result.failure, result.story)


def test_same_seed_gives_the_same_trace_under_any_hash_seed() -> None:
    program = "from tests.sim.runner import run_seed; print(run_seed(5).trace_hash)"
    hashes = set()
    for hash_seed in ("0", "1", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) == 1


@pytest.mark.parametrize("name", FOUND_WITHIN)
def test_planted_bug_is_found(name: str) -> None:
    found = hunt(name, FOUND_WITHIN[name])
    assert found.seeds, f"{name} ({BUGS[name].rule}) was not found within {FOUND_WITHIN[name]} seeds"
