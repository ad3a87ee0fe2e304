"""`python -m benchmarks.operator_figures [--only CASE ...] [--quick]`: the operator's figures of docs/operations.md.

A real kube-apiserver, the operator as a process with the rights it has in a cluster, and three nodes that the test
kubelet runs as local processes, encrypted as by default. Everything shares one machine. Exit code 1 if a `must` was
missed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import local

from benchmarks.results import REPOSITORY, Page, Row, as_text, machine
from tests.apiserver.conftest import admin_of, install_definitions
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.kubelet.faults import running_kubelet
from tests.apiserver.manifests import table
from tests.apiserver.operators import OperatorProcess, grant
from tests.apiserver.proxy import Proxy, running_proxy
from tests.apiserver.rest import Api, Object, wait_until
from tests.apiserver.running import RunningCluster, resolve_services

PAGE = Page(REPOSITORY / "docs" / "operations.md", REPOSITORY / "docs" / "operator.json")
MEGABYTE = 1e6
NAMESPACE = "figures"
IDLE_SECONDS = 120.0
SETTLE_SECONDS = 30.0
APPLIERS = 8
TABLES_SECONDS_MAX = 3600.0


class Stage:
    """A cluster of three nodes without tables, and its operator. `proxy` counts what the operator asks."""

    def __init__(
        self, control_plane: ControlPlane, cluster: RunningCluster, operator: OperatorProcess, proxy: Proxy
    ) -> None:
        self.control_plane = control_plane
        self.cluster = cluster
        self.operator = operator
        self.proxy = proxy

    def apply(self, count: int, replicas: int) -> None:
        """Creates Tables of one partition each, as fast as the API server takes them."""
        own = local()

        def one(number: int) -> None:
            if not hasattr(own, "api"):
                own.api = admin_of(self.control_plane)
            own.api.create(_small_table(f"table-{number:05}", replicas), NAMESPACE)

        with ThreadPoolExecutor(APPLIERS) as pool:
            list(pool.map(one, range(count)))

    def available(self) -> int:
        """How many Tables are Available."""
        return sum(_is_available(one) for one in self.cluster.api.objects("Table", NAMESPACE))


def _small_table(name: str, replicas: int) -> Object:
    return table(name, partitions={"count": 1}, replicas=replicas, durableZones=1)


def _is_available(one: Object) -> bool:
    conditions = one.get("status", {}).get("conditions") or []
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)


@contextmanager
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="keystead-bench-") as name:
        directory = Path(name)
        control_plane = ControlPlane(directory / "control-plane")
        try:
            control_plane.start()
            api = admin_of(control_plane)
            install_definitions(api)
            control_plane.start_controllers()
            with running_kubelet(api, directory / "kubelet") as kubelet, running_proxy(control_plane) as proxy:
                resolve_services(kubelet)
                api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
                wait_until("the account", lambda: api.find("ServiceAccount", NAMESPACE, "default"))
                grant(api, NAMESPACE)
                operator = OperatorProcess(control_plane, api, NAMESPACE, directory, server=proxy.url)
                operator.start()
                cluster = RunningCluster(api, kubelet, NAMESPACE, directory)
                cluster.create(tls={"enabled": True})
                cluster.wait_available()
                try:
                    yield Stage(control_plane, cluster, operator, proxy)
                finally:
                    operator.kill()
        finally:
            control_plane.stop()


def one_table(rounds: int) -> list[Row]:
    """From the moment that the API server has the Table to the one that it is Available."""
    times = []
    with stage() as found:
        for number in range(rounds):
            name = f"table-{number}"
            found.cluster.api.create(table(name), NAMESPACE)
            began = time.monotonic()
            wait_until(name, lambda name=name: _is_available(_table(found.cluster.api, name)), 60, 0.02)  # type: ignore[misc]
            times.append(time.monotonic() - began)
            time.sleep(1)
    return [
        Row(
            what=f"one Table applied -> Available, median of {rounds}",
            value=statistics.median(times),
            unit="s",
            must=5,
            aim=2,
            better="less",
            raw={"s": [round(one, 3) for one in times]},
            note=f"longest {max(times):.2f} s",
        )
    ]


def _table(api: Api, name: str) -> Object:
    return api.get("Table", NAMESPACE, name)


def many_tables(
    count: int, replicas: int, seconds_must: float, seconds_aim: float, megabytes_must: float, megabytes_aim: float
) -> list[Row]:
    """All applied at once; the operator's memory afterwards, and what it asks of the API server while idle."""
    with stage() as found:
        began = time.monotonic()
        found.apply(count, replicas)
        applied = time.monotonic() - began
        progress = []
        while (now_available := found.available()) < count:
            progress.append(now_available)
            assert time.monotonic() - began < TABLES_SECONDS_MAX, (
                f"{now_available} of {count}\n{found.operator.last_words()}"
            )
            assert found.operator.running, found.operator.last_words()
            time.sleep(max(1.0, count / 1000))
        took = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        since = time.monotonic()
        time.sleep(IDLE_SECONDS)
        asked = found.proxy.count(since) / IDLE_SECONDS
        memory = found.operator.memory_bytes() / MEGABYTE
        peak = found.operator.metrics()["keystead_operator_memory_max_bytes"] / MEGABYTE
    what = f"{count:,} tables"
    return [
        Row(
            what=f"{what} applied at once -> all Available",
            value=took,
            unit="s",
            must=seconds_must,
            aim=seconds_aim,
            better="less",
            raw={"applied after, s": [round(applied, 1)], "available meanwhile": [float(one) for one in progress]},
            note=f"one partition of {replicas} replicas each; the last was applied after {applied:.0f} s",
        ),
        Row(
            what=f"{what}: operator's memory",
            value=memory,
            unit="MB",
            must=megabytes_must,
            aim=megabytes_aim,
            better="less",
            raw={"peak, MB": [round(peak, 1)]},
            note=f"peak {peak:.0f} MB",
        ),
        Row(
            what=f"{what}: requests to the API server while idle",
            value=asked,
            unit="/s",
            must=1,
            aim=0.2,
            better="less",
            raw={"/s": [round(asked, 3)]},
            note=f"over {IDLE_SECONDS:.0f} s, its own Lease and lists included",
        ),
    ]


CASES: dict[str, Callable[[bool], list[Row]]] = {
    "one": lambda quick: one_table(3 if quick else 15),
    "1000": lambda quick: many_tables(50 if quick else 1000, 3, 600, 180, 200, 120),
    # Two cores do not carry the elections of 15,000 replicas: it is the operator that is measured here.
    "5000": lambda quick: many_tables(100 if quick else 5000, 1, 3600, 1800, 400, 250),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operator_figures", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(CASES), help="this case; may be given again")
    parser.add_argument("--quick", action="store_true", help="few tables, nothing written")
    options = parser.parse_args(arguments)
    missed = False
    for name in options.only or CASES:
        where = machine()
        print(f"{name} on {where}", flush=True)
        rows = CASES[name](options.quick)
        print(as_text(rows), flush=True)
        missed = missed or any(row.verdict == "missed" for row in rows)
        if not options.quick:
            results = PAGE.read()
            results.cases[name], results.machines[name] = rows, where
            PAGE.write(results)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
