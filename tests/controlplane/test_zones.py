"""Zones are those of machines that take our pods."""

from typing import Any

import pytest

from keystead_operator.kube.seen import Json
from keystead_operator.kube.zones import takes_pods


def machine(labels: dict[str, str] | None = None, **spec: Any) -> Json:
    return {"metadata": {"name": "m", "labels": labels or {}}, "spec": spec}


def test_ordinary_machine_takes_pods() -> None:
    assert takes_pods(machine(), {})
    assert takes_pods(machine(taints=[{"key": "busy", "effect": "PreferNoSchedule"}]), {})


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_tainted_machine_does_not(effect: str) -> None:
    assert not takes_pods(machine(taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": effect}]), {})


def test_cordoned_machine_does_not() -> None:
    assert not takes_pods(machine(unschedulable=True), {})


@pytest.mark.parametrize(
    ("toleration", "takes"),
    [
        ({"key": "for", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "for", "operator": "Equal", "value": "tables", "effect": "NoSchedule"}, True),
        ({"key": "for", "value": "tables"}, True),
        ({"key": "for", "value": "logs"}, False),
        ({"key": "for", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tainted_machine_takes_the_pods_that_put_up_with_it(toleration: Json, takes: bool) -> None:
    tainted = machine(taints=[{"key": "for", "value": "tables", "effect": "NoSchedule"}])
    assert takes_pods(tainted, {"tolerations": [toleration]}) == takes


def test_machine_without_a_wanted_label_does_not() -> None:
    wanted = {"nodeSelector": {"disk": "nvme", "pool": "a"}}
    assert takes_pods(machine({"disk": "nvme", "pool": "a", "more": "x"}), wanted)
    assert not takes_pods(machine({"disk": "nvme"}), wanted)
