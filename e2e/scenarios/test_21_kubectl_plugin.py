"""`kubectl keystead`, as kubectl itself finds and runs it: what it shows, a node out and in again, and the bundle."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from e2e.harness.commands import CommandFailed, kubectl
from e2e.harness.store import Store
from e2e.harness.waiting import NotYet, wait_for

pytestmark = pytest.mark.timeout(420)


def plugin(store: Store, *arguments: str) -> str:
    return kubectl("keystead", *arguments, "--namespace", store.namespace)


def nodes(store: Store) -> dict[str, dict[str, Any]]:
    """Pod -> what `status` shows of it."""
    return {node["name"]: node for node in json.loads(plugin(store, "status", "--output", "json"))["nodes"]}


def masters_nothing(store: Store, pod: str) -> bool:
    mastered = store.masters().get(pod)
    if mastered != 0:
        raise NotYet(f"{pod} masters {mastered}")
    return True


def test_the_plugin_shows_the_cluster_and_takes_a_node_out_and_in(store: Store) -> None:
    assert "Available=True" in plugin(store, "status")
    assert plugin(store, "why", store.table) == "All 3 partitions have a master and all their replicas.\n"
    master = store.main_master()
    assert nodes(store)[master]["state"] == "active"

    assert plugin(store, "hand-over", master).startswith(f"{master} hands over ")
    wait_for("masterships are handed over", lambda: masters_nothing(store, master), 20)

    assert plugin(store, "maintain", master) == f"{master} is in maintenance\n"
    try:
        assert nodes(store)[master]["state"] == "maintenance"
        other = next(pod for pod in sorted(store.identities()) if pod != master)
        with pytest.raises(CommandFailed, match="replicas still wait"):
            plugin(store, "maintain", other)
    finally:
        for pod in store.identities():
            plugin(store, "resume", pod)
    store.wait_healthy(60)


def test_the_bundle_has_every_node_and_no_key(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "report.tar.gz"
    plugin(store, "report", "--file", str(target))
    with tarfile.open(target) as bundle:
        files = {entry.name.partition("/")[2]: bundle.extractfile(entry) for entry in bundle.getmembers()}
        content = {name: file.read().decode() for name, file in files.items() if file is not None}
    for pod in store.identities():
        assert json.loads(content[f"nodes/{pod}/status.json"])["replicas"]
        assert content[f"logs/{pod}.log"]
    assert json.loads(content["objects/tables.json"])["items"]
    assert any("keystead-operator" in name for name in content if name.startswith("logs/"))
    assert not any("PRIVATE KEY" in text for text in content.values())
    missing = [line for line in content["problems.txt"].splitlines() if ".previous.log: " not in line]
    assert not missing, missing
