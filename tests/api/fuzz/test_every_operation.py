"""Whatever is sent to an operation, it answers with its shape or an error, and what is refused changes nothing."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from keystead_node.api.actions import ACTIONS
from tests.api.conftest import Front
from tests.api.fuzz.bodies import bodies
from tests.api.fuzz.shapes import OPERATIONS
from tests.api.fuzz.trial import FrontTarget, Trial

EXAMPLES = 100
EXAMPLES_REFUSED = 10
"""Of an operation that is not served: little is read of its requests."""
QUICK = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    front = Front()
    running = Trial(FrontTarget(front))
    yield running
    running.close()
    front.stop()


@pytest.mark.parametrize("operation", sorted(ACTIONS))
def test_an_operation_answers_whatever_is_sent_to_it(trial: Trial, operation: str) -> None:
    before = trial.served, trial.refused

    @settings(max_examples=EXAMPLES, suppress_health_check=QUICK)
    @given(bodies(operation))
    def send(body: bytes) -> None:
        trial.send(operation, body)

    send()
    assert trial.served > before[0], "no request was good enough to be served"
    assert trial.refused > before[1], "no request was bad enough to be refused"


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - set(ACTIONS)))
def test_an_operation_that_is_not_served_is_refused_whatever_is_sent_to_it(trial: Trial, operation: str) -> None:
    @settings(max_examples=EXAMPLES_REFUSED, suppress_health_check=QUICK)
    @given(bodies(operation))
    def send(body: bytes) -> None:
        assert not trial.send(operation, body)

    send()
