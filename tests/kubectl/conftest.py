"""A running cluster of three nodes as kubectl would show it, and the plugin over it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pods.pods import Pods, three_pods

Plugin = Callable[..., "subprocess.CompletedProcess[str]"]
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"


class Shown:
    """`plugin(...)` runs `kubectl keystead ...`; `objects` are what the API server has, by kind."""

    def __init__(self, cluster: Pods, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        (directory / "objects").mkdir()
        fake = directory / "kubectl"
        fake.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_kubectl.py")} "$@"\n')
        fake.chmod(0o755)
        self.set("storageclusters", [storage_cluster("orders")])
        self.set("events", [{"metadata": {"name": "e"}, "message": f"token=abc123 {KEY}"}])
        self.set("configmaps", [{"metadata": {"name": "orders-node", "labels": labels()}, "data": {"node.json": "{}"}}])
        self.show_pods()

    def set(self, kind: str, items: list[dict[str, Any]]) -> None:
        (self.directory / "objects" / f"{kind}.json").write_text(json.dumps(items))

    def show_pods(self, **states: dict[str, Any]) -> None:
        """Every pod runs, but for those of which another status is given (by place, with _ for -)."""
        running = {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
        self.set(
            "pods",
            [
                {
                    "metadata": {"name": f"orders-{place}", "labels": labels(place, pod.zone)},
                    "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]},
                    "status": states.get(place.replace("-", "_"), running),
                }
                for place, pod in self.cluster.pods.items()
            ],
        )
        entries = {
            f"orders-{place}": {
                "config": str(pod.config_file()),
                "environment": {k: v for k, v in pod.environment().items() if k.startswith("KEYSTEAD_")},
                "log": str(pod.log),
            }
            for place, pod in self.cluster.pods.items()
        }
        (self.directory / "pods.json").write_text(json.dumps(entries))

    def plugin(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {
            "PATH": f"{self.directory}:{os.environ['PATH']}",
            "FAKE_KUBECTL": str(self.directory),
        }
        return subprocess.run(
            [sys.executable, "-m", "keystead_cli.kubectl", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=self.directory,
            timeout=240,
        )

    def ok(self, *arguments: str) -> str:
        done = self.plugin(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        done = self.plugin(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout
        return done.stderr


def labels(place: str = "", zone: str = "") -> dict[str, str]:
    found = {"keystead.io/cluster": "orders", "keystead.io/node": place, "keystead.io/zone": zone}
    return {key: value for key, value in found.items() if value}


def storage_cluster(name: str) -> dict[str, Any]:
    condition = {"type": "Available", "status": "True", "reason": "Serving", "message": "3 nodes serve"}
    return {
        "metadata": {"name": name, "managedFields": [{"manager": "kubectl"}]},
        "status": {
            "clusterId": "c-pods",
            "endpoint": f"http://{name}.shop.svc:8000",
            "conditions": [condition],
        },
    }


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    directory: Path = tmp_path_factory.mktemp("pods")
    with three_pods(directory) as cluster:
        cluster.create_table(cluster.client("node-0"))
        yield cluster


@pytest.fixture
def shown(running: Pods, tmp_path: Path) -> Shown:
    return Shown(running, tmp_path)
