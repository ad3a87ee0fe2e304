"""Disks that fail, fill up, slow down and rot."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import scenarios
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.damage import cold_segments, corrupt_cold_segment
from tests.faults.links import Links
from tests.faults.load import Load
from tests.faults.run import run_scenario

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("scenario", [scenarios.fail_an_fsync, scenarios.fail_a_write])
def test_a_failed_disk_operation_ends_the_process_and_loses_nothing(
    cluster: Cluster, links: Links, table: str, scenario: scenarios.Scenario
) -> None:
    run_scenario(scenario, cluster, links, table, seed=1)


def test_a_slow_disk_of_one_node_is_survived(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.slow_disk, cluster, links, table, seed=2)


def test_a_disk_without_space_refuses_growth_and_loses_nothing(cluster: Cluster, links: Links, table: str) -> None:
    run_scenario(scenarios.fill_a_disk, cluster, links, table, seed=3)


def test_a_master_without_space_gives_way_to_a_node_that_has_some(cluster: Cluster, links: Links, table: str) -> None:
    """Else its partitions would take no writes until a person makes room."""

    def fill_the_masters_disk(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
        full = cluster.masters(table)[0]
        pid = cluster.pid(full)
        cluster.set_disk_faults(full, enospc=True)
        try:
            moved = cluster.wait_until("others are masters", lambda: _masters_are_others(cluster, table, full), 60)
            answered = load.count("write")
            cluster.wait_until("writes go on", lambda: load.count("write") > answered + 20, 60)
            assert cluster.pid(full) == pid, "the node stopped: it was a failover, not a hand-over"
        finally:
            cluster.set_disk_faults(full)
        return f"disk of {full} full; its masterships were elsewhere after {moved:.1f} s"

    load = Load(cluster.endpoints(), table)
    run_scenario(fill_the_masters_disk, cluster, links, table, seed=3, load=load)


def test_a_rotten_block_of_the_hot_log_is_noticed_and_repaired_from_a_peer(
    cluster: Cluster, links: Links, table: str
) -> None:
    def notices() -> int:
        return sum(
            path.read_text().count("damage in the hot log") for path in (cluster.data / "run").glob("node-*.log")
        )

    before = notices()
    load = Load(cluster.endpoints(), table, value_bytes=2000)
    run_scenario(scenarios.corrupt_the_hot_log, cluster, links, table, seed=4, warm_up_seconds=2, load=load)
    assert notices() > before, "the damage was not noticed: the test hit nothing that is still needed"


def test_a_rotten_cold_segment_is_named_and_never_served(cluster: Cluster, links: Links, table: str) -> None:
    def rot_a_masters_segment_and_lose_another_volume(
        cluster: Cluster, links: Links, table: str, rng: random.Random
    ) -> str:
        names = cluster.names()
        cluster.wait_until(
            "segments are sealed", lambda: all(cold_segments(cluster.volume(name)) for name in names), 60
        )
        victim = cluster.masters(table)[0]
        segment = corrupt_cold_segment(cluster.volume(victim))
        assert "damage" in cluster.cli("log", "dump", "--node", victim, "--partition", segment.parts[-3])
        other = rng.choice([name for name in names if name != victim])
        with cluster.held_down(other):
            cluster.delete_volume(other)
        cluster.wait_until(f"{table} is whole", lambda: cluster.all_level(table), 90)
        return f"{segment.relative_to(cluster.data)} corrupted, volume of {other} deleted"

    load = Load(cluster.endpoints(), table, value_bytes=4000)
    run_scenario(rot_a_masters_segment_and_lose_another_volume, cluster, links, table, seed=5, load=load)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs the right to mount one (root)")
    mounted = tmp_path / "small"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(mounted)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def test_a_really_full_file_system_loses_nothing_and_serves_again_once_there_is_room(small_disk: Path) -> None:
    links = Links()
    with running_cluster(small_disk, links=links, settings={"hot_log_mb": 32}) as cluster:
        cluster.create_table("full", partitions=2)
        ballast = small_disk / "ballast"

        def fill(cluster: Cluster, links: Links, table: str, rng: random.Random) -> str:
            _fill_up(ballast)
            refused_before = load.errors.copy()
            cluster.wait_until("reads are still served", lambda: _reads_go_on(load), 60)
            ballast.unlink()
            refused = {kind: n - refused_before.get(kind, 0) for kind, n in load.errors.items()}
            return f"file system full; answers meanwhile: {refused}"

        load = Load(cluster.endpoints(), "full")
        run_scenario(fill, cluster, links, "full", seed=6, load=load)
    links.close()


def _masters_are_others(cluster: Cluster, table: str, name: str) -> bool:
    masters = [partition["master"] for partition in cluster.partitions(table)]
    return all(masters) and name not in masters


def _fill_up(ballast: Path) -> None:
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(bytes(MEGABYTE))
                file.flush()
        except OSError:
            return


def _reads_go_on(load: Load) -> bool:
    recent = [operation for operation in load.history[-200:] if operation.kind == "read" and operation.outcome == "ok"]
    return len(recent) > 10
