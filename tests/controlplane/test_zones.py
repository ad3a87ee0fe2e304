"""Zones are those of machines that take our pods."""

import pytest

from keystead_operator.kube.zones import takes_pods


def test_ordinary_machine_takes_pods() -> None:
    assert takes_pods({"spec": {}})
    assert takes_pods({"spec": {"taints": [{"key": "busy", "effect": "PreferNoSchedule"}]}})


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_tainted_machine_does_not(effect: str) -> None:
    assert not takes_pods({"spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": effect}]}})


def test_cordoned_machine_does_not() -> None:
    assert not takes_pods({"spec": {"unschedulable": True}})
