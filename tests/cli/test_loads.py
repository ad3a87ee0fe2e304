"""What `status` says of loads, balance and splits, and `--watch`."""

import os
import pty
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from keystead_cli.render import bar, cluster_picture, shown_load
from keystead_cli.watching import fitting
from keystead_core.cluster_map import SplitPlan
from keystead_core.ids import NodeId, PartitionId
from keystead_operator.cluster_view import ClusterView, NodePlace, cluster_view
from keystead_operator.node_status import NodeSelf, NodeStatus, ReplicaStatus
from tests.pictures.maps import make_map, make_partition, make_table


def make_view(partitions: int = 2, is_split: bool = False) -> ClusterView:
    entries = [make_partition(n + 2, "orders", (n, partitions)) for n in range(partitions)]
    if is_split:
        plan = SplitPlan(right=PartitionId(9), at=b"", members=[], reason="size")
        entries[0] = replace(entries[0], split=plan)
    cluster_map = make_map(3, [make_table("orders")], entries)
    statuses = {f"node-{n}": make_status(n, [entry.id for entry in entries]) for n in range(3)}
    places = [NodePlace(name=name, zone=f"zone-{n}", port=1, data_dir="", pid=1) for n, name in enumerate(statuses)]
    return cluster_view("c", "http://x", places, statuses, cluster_map)


def make_status(node: int, partitions: list[PartitionId]) -> NodeStatus:
    """node-0 masters everything at 450 + 50 units each; the others answer 100 reads each."""
    replicas = [
        ReplicaStatus(
            partition=partition,
            role="follower" if node else "master",
            epoch=1,
            members=[NodeId(f"n{n}") for n in range(3)],
            read_units=100.0 if node else 450.0,
            write_units=0.0 if node else 50.0,
            bytes=1000 + node,
        )
        for partition in partitions
    ]
    limits = {"partition_read_units": 1000, "partition_write_units": 500}
    return NodeStatus(NodeSelf(id=NodeId(f"n{node}"), name=f"node-{node}", **limits), replicas)  # type: ignore[arg-type]


def drawn(view: ClusterView, **options: Any) -> str:
    screen = Console(width=200, **options)
    with screen.capture() as captured:
        screen.print(fitting(view, screen))
    return captured.get()


def test_loads_are_shares_of_what_one_partition_gives() -> None:
    view = make_view()
    assert [(p.load, p.read_units, p.write_units, p.bytes) for p in view.tables[0].partitions] == [
        (0.75, 650.0, 50.0, 1000)
    ] * 2
    assert [(node.masters, node.replicas, node.load) for node in view.nodes] == [(2, 2, 1.1), (0, 2, 0.2), (0, 2, 0.2)]


def test_the_picture_has_bars_for_nodes_and_a_load_for_each_partition() -> None:
    text = drawn(make_view())
    assert "############ 110%" in text and "##.......... 20%" in text
    assert text.count("75%") == 2


def test_splits_under_way_are_shown_with_their_phase() -> None:
    assert "orders: partition 2 to be split (size): due" in drawn(make_view(is_split=True))
    assert "split" not in drawn(make_view())


def test_a_watched_terminal_gets_as_many_partitions_as_it_has_lines_for() -> None:
    assert "and 81 more partitions" in drawn(make_view(100), height=29, force_terminal=True, color_system=None)
    assert "more partitions" not in drawn(make_view(100))


def test_a_node_of_a_version_that_does_not_tell_what_a_partition_gives_has_no_load() -> None:
    assert NodeSelf(id=NodeId("n")).share(5000.0, 5000.0) == 0.0


@pytest.mark.parametrize(
    ("value", "most", "wanted"),
    [(0, 0, "...."), (0, 8, "...."), (0.01, 8, "#..."), (4, 8, "##.."), (8, 8, "####"), (9, 8, "####")],
)
def test_a_bar_is_empty_only_for_nothing(value: float, most: float, wanted: str) -> None:
    assert bar(value, most, 4) == wanted


def test_a_load_under_one_percent_is_not_none() -> None:
    assert [shown_load(load) for load in (0.0, 0.004, 0.256, 1.5)] == ["0%", "<1%", "26%", "150%"]


def test_the_catalog_and_every_node_are_in_the_picture_of_a_cluster_without_tables() -> None:
    screen = Console(width=200)
    with screen.capture() as captured:
        screen.print(cluster_picture(make_view(0)))
    assert "(catalog)" in captured.get() and "node-2" in captured.get()


def test_status_says_where_the_picture_is(running: Any) -> None:
    assert "picture http://127.0.0.1:" in running.ok("status")


def watching(keystead: Any, **streams: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "keystead_cli.main", "status", "--watch"]
    return subprocess.Popen(command, env=keystead.environment, preexec_fn=_may_be_interrupted, **streams)


def _may_be_interrupted() -> None:
    """Whatever the tests were started by: a shell has its background jobs ignore the signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_watch_shows_the_cluster_again_and_again_until_it_is_interrupted(running: Any) -> None:
    process = watching(running, stdout=subprocess.PIPE)
    assert process.stdout is not None
    headings = 0
    for line in process.stdout:
        headings += line.startswith(b"NODE ")
        if headings == 3:
            break
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(30) == 0


def test_watch_draws_in_place_on_a_terminal(running: Any) -> None:
    ours, theirs = pty.openpty()
    process = watching(running, stdout=theirs, stdin=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    until = time.monotonic() + 60
    while seen.count(b"node-2") < 2 and time.monotonic() < until:
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(ours)
    # The alternate screen, which leaves the terminal as it was.
    assert b"\x1b[?1049h" in seen and seen.count(b"node-2") >= 2


def test_watch_is_no_stream_of_json(running: Any) -> None:
    done = running("status", "--watch", "-o", "json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "leave -o json out" in done.stderr
