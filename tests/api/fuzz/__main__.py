"""`python -m tests.api.fuzz [--minutes 10] [--seed 1] [--only WORD] [--nodes]`: the fuzz for longer.

Goes round the operations until the time is up, each round with the next seed: against the API over a backend in memory
or, much slower, three running nodes. Exit code 1 at the first wrong answer; the smallest request found that gets
it is printed, with the seed of its round.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from keystead_node.api.actions import ACTIONS
from tests.api.conftest import Front
from tests.api.fuzz.bodies import bodies
from tests.api.fuzz.nodes import NodesTarget
from tests.api.fuzz.shapes import OPERATIONS
from tests.api.fuzz.trial import FrontTarget, Target, Trial
from tests.faults.cluster import running_cluster

EXAMPLES = 200


@contextlib.contextmanager
def target(on_nodes: bool) -> Iterator[Target]:
    if on_nodes:
        with tempfile.TemporaryDirectory() as directory, running_cluster(Path(directory), node_command=None) as cluster:
            yield NodesTarget(cluster)
        return
    front = Front()
    try:
        yield FrontTarget(front)
    finally:
        front.stop()


def fuzz(trial: Trial, operation: str, number: int) -> None:
    """One operation with the requests of one seed. Raises what the trial raises."""

    @seed(number)
    @settings(
        max_examples=EXAMPLES if operation in ACTIONS else EXAMPLES // 10,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies(operation))
    def send(body: bytes) -> None:
        trial.send(operation, body)

    send()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.api.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--only", default="", help="operations whose name contains this")
    parser.add_argument("--nodes", action="store_true", help="against running nodes")
    asked = parser.parse_args()
    operations = [operation for operation in OPERATIONS if asked.only in operation]
    if not operations:
        parser.error(f"no operation is named like {asked.only!r}")
    with target(asked.nodes) as server:
        return _rounds(Trial(server), operations, asked.seed, time.monotonic() + asked.minutes * 60)


def _rounds(trial: Trial, operations: list[str], number: int, end: float) -> int:
    try:
        while time.monotonic() < end:
            for operation in operations:
                print(f"\rseed {number}: {trial.served} served, {trial.refused} refused ", end="", flush=True)
                fuzz(trial, operation, number)
            number += 1
    except (AssertionError, OSError, ExceptionGroup) as wrong:
        print(f"\n{operation}, seed {number}: {wrong!r}\n" + "\n".join(getattr(wrong, "__notes__", [])))
        return 1
    finally:
        trial.close()
    print("\nno wrong answer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
