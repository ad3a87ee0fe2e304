"""Statuses are written when they say something new, and events tell what a person would ask about."""

from typing import Any

from keystead_operator.kube.events import transitions
from keystead_operator.kube.status_writer import completed


def status(available: str, reason: str = "Serving", **more: Any) -> dict[str, Any]:
    condition = {"type": "Available", "status": available, "reason": reason, "message": "m"}
    return {"conditions": [condition], **more}


def test_condition_that_says_the_same_keeps_its_time_and_the_status_is_equal() -> None:
    old = completed(status("True"), 3, {}, "2026-01-01T00:00:00Z")
    assert completed(status("True"), 3, old, "2026-02-02T00:00:00Z") == old


def test_condition_that_changes_gets_the_time_of_its_change() -> None:
    old = completed(status("True"), 3, {}, "2026-01-01T00:00:00Z")
    new = completed(status("False", "NoMaster"), 3, old, "2026-02-02T00:00:00Z")
    assert new["conditions"][0]["lastTransitionTime"] == "2026-02-02T00:00:00Z"


def test_status_says_which_generation_it_is_about() -> None:
    new = completed(status("True"), 4, {}, "2026-01-01T00:00:00Z")
    assert (new["observedGeneration"], new["conditions"][0]["observedGeneration"]) == (4, 4)


def test_loss_of_availability_and_its_return_are_told() -> None:
    assert transitions(status("True", partitions=2), status("False", "NoMaster", partitions=2))
    assert transitions(status("False", "NoMaster", partitions=2), status("True", partitions=2))


def test_becoming_available_for_the_first_time_is_not_told() -> None:
    assert transitions({}, status("False", "NotCreated")) == []
    assert transitions(status("False", "NotCreated"), status("True", partitions=1)) == []


def test_what_stays_as_it_is_is_not_told_again() -> None:
    assert transitions(status("True"), status("True", "Other")) == []
