"""keystead up and down: a cluster starts, is recovered, heals its processes and stops; refusals touch nothing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def _snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_detached_cluster_is_ready_and_stops(keystead: Any) -> None:
    assert "ready: http://127.0.0.1:" in keystead.ok("up", "--port", "0", "--detach")
    status = json.loads(keystead.ok("status", "-o", "json"))
    assert [node["state"] for node in status["nodes"]] == ["active"] * 3
    assert len({node["zone"] for node in status["nodes"]}) == 3
    assert keystead.ok("down") == "stopped\n"
    assert keystead.ok("down") == "was not running\n"
    assert [node["state"] for node in json.loads(keystead.ok("status", "-o", "json"))["nodes"]] == ["stopped"] * 3


def test_second_up_recovers_the_same_cluster_and_its_tables(keystead: Any) -> None:
    example = str(Path(__file__).parents[2] / "examples" / "orders.yaml")
    keystead.ok("up", "--port", "0", "--detach")
    keystead.ok("apply", "-f", example)
    before = json.loads(keystead.ok("status", "-o", "json"))
    keystead.ok("down")
    assert "recovering cluster" in keystead.ok("up", "--detach")
    after = json.loads(keystead.ok("status", "-o", "json"))
    assert after["cluster"] == before["cluster"]
    assert after["endpoint"] == before["endpoint"]
    assert [node["id"] for node in after["nodes"]] == [node["id"] for node in before["nodes"]]
    assert [table["name"] for table in after["tables"]] == ["orders"]


def test_wipe_deletes_the_directory(keystead: Any) -> None:
    keystead.ok("up", "--port", "0", "--nodes", "1", "--detach")
    keystead.ok("down", "--wipe")
    assert not keystead.data.exists()


def test_killed_node_process_is_started_again(keystead: Any, eventually: Any) -> None:
    keystead.ok("up", "--port", "0", "--detach")
    before = keystead.pid_of("node-1")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: keystead.pid_of("node-1") != before, "a new process of node-1")
    eventually(
        lambda: json.loads(keystead.ok("status", "-o", "json"))["nodes"][1]["state"] == "active",
        "node-1 is active again",
    )


def test_deleted_directory_comes_back_as_a_new_node(keystead: Any, eventually: Any) -> None:
    keystead.ok("up", "--port", "0", "--detach")
    old = json.loads(keystead.ok("get", "nodes", "node-2", "-o", "json"))["id"]
    shutil.rmtree(keystead.data / "nodes" / "node-2")
    eventually(
        lambda: json.loads(keystead.ok("get", "nodes", "node-2", "-o", "json"))["id"] not in (old, None),
        "a new node id",
    )


def test_killed_supervisor_takes_its_nodes_along_and_up_recovers(keystead: Any, eventually: Any) -> None:
    keystead.ok("up", "--port", "0", "--detach")
    supervisor = json.loads((keystead.data / "run" / "supervisor.json").read_text())["pid"]
    pids = [keystead.pid_of(f"node-{n}") for n in range(3)]
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the nodes end too")
    assert "ready" in keystead.ok("up", "--detach")


def test_foreground_shows_changes_and_stops_cleanly_at_ctrl_c(keystead: Any) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keystead_cli.main", "up", "--port", "0"],
        env=keystead.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith("ready: "):
            break
    pid = keystead.pid_of("node-0")
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=30) == 0
    assert rest.strip().endswith("stopped")
    assert any("node-0 is active (zone-a" in line for line in lines)
    assert "no authentication (insecure_no_auth): whoever is on this machine may do everything" in lines
    assert not Path(f"/proc/{pid}").exists()


def test_directory_in_use_is_refused(running: Any) -> None:
    before = _snapshot(running.data / "objects")
    done = running("up")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {running.data} is in use by another instance (pid ")
    assert done.stderr.count("\n") == 1
    assert _snapshot(running.data / "objects") == before


def test_port_in_use_is_refused_and_nothing_is_made(keystead: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = keystead("up", "--port", str(port))
    assert done.returncode == 6
    assert done.stderr == f"error: port {port} is in use by another program\n"
    assert not keystead.data.exists()


def test_newer_data_is_refused_and_stays_as_it_is(keystead: Any) -> None:
    keystead.data.mkdir()
    (keystead.data / "cluster.json").write_text('{"format": 2, "something": "new"}')
    before = _snapshot(keystead.data)
    for command in (("up",), ("status",), ("down",)):
        done = keystead(*command)
        assert done.returncode == 5
        assert "was written by a newer Keystead: its format is 2" in done.stderr
        assert done.stderr.count("\n") == 1
    assert _snapshot(keystead.data) == before


def test_directory_of_something_else_is_refused(keystead: Any) -> None:
    keystead.data.mkdir()
    (keystead.data / "letter.txt").write_text("dear")
    done = keystead("up", "--port", "0")
    assert done.returncode == 4
    assert done.stderr == f"error: {keystead.data} is not empty and holds no Keystead cluster\n"
    assert _snapshot(keystead.data) == {str(keystead.data / "letter.txt"): b"dear"}


def test_broken_cluster_file_is_refused(keystead: Any) -> None:
    keystead.data.mkdir()
    (keystead.data / "cluster.json").write_text("{")
    done = keystead("up")
    assert done.returncode == 9
    assert "cluster.json cannot be read" in done.stderr


def test_place_that_cannot_be_written_is_refused_in_one_line(keystead: Any) -> None:
    done = keystead("up", "--port", "0", "--data", "/proc/keystead")
    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert "/proc" in done.stderr
    assert done.stderr.count("\n") == 1


def test_node_that_refuses_its_volume_ends_up_with_its_line_and_code(keystead: Any) -> None:
    keystead.ok("up", "--port", "0", "--detach")
    keystead.ok("down")
    (keystead.data / "nodes" / "node-1" / "refuse").write_text("5 the volume was written by a newer program")
    done = keystead("up", "--detach")
    assert done.returncode == 5
    assert done.stderr == "error: node-1: the volume was written by a newer program\n"
    assert keystead.ok("down") == "was not running\n"


def test_an_audited_cluster_has_a_log_for_each_node(keystead: Any) -> None:
    keystead.ok("up", "--port", "0", "--nodes", "2", "--detach", "--set", "auditLog=denied")
    for node in ("node-0", "node-1"):
        config = json.loads((keystead.data / "run" / f"{node}.config.json").read_text())
        assert config["insecure_no_auth"]
        assert config["settings"]["audit_level"] == "denied"
        assert config["settings"]["audit_log"] == str(keystead.data / "run" / f"{node}.audit.jsonl")


def test_settings_reach_the_cluster_and_its_nodes(keystead: Any) -> None:
    keystead.ok(
        "up",
        "--port",
        "0",
        "--nodes",
        "1",
        "--detach",
        "--set",
        "failover.leaseSeconds=2",
        "--set",
        "seal_bytes=4096",
        "--set",
        "capacity.mode=observe",
        "--set",
        "capacity.burstSeconds=60",
    )
    cluster = json.loads(keystead.ok("get", "clusters", "keystead", "-o", "json"))
    assert cluster["spec"]["failover"]["leaseSeconds"] == 2
    config = json.loads((keystead.data / "run" / "node-0.config.json").read_text())
    assert config["settings"] == {
        "lease_ms": 2000,
        "lock": "preferred",
        "reads": "lease",
        "capacity_mode": "observe",
        "burst_seconds": 60,
        "seal_bytes": 4096,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "failover.leaseSeconds=forever"), "spec.failover.leaseSeconds"),
        (("--set", "capacity.mode=off"), "spec.capacity.mode"),
        (("--set", "failover.colour=red"), 'unknown field "spec.failover.colour"'),
        (("--set", "nonsense"), "KEY=VALUE was expected"),
        (("--nodes", "2", "--zones", "3"), "3 zones need as many nodes; 2 are asked for"),
    ],
)
def test_bad_options_are_refused_and_nothing_is_made(keystead: Any, arguments: tuple[str, ...], message: str) -> None:
    done = keystead("up", "--port", "0", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not keystead.data.exists()


def test_commands_without_a_cluster_say_how_to_make_one(keystead: Any) -> None:
    for command in (("status",), ("get", "tables"), ("why", "orders"), ("down",), ("delete", "table", "orders")):
        done = keystead(*command)
        assert done.returncode == 1
        assert done.stderr == (
            f'error: {keystead.data} holds no cluster: make one with "keystead up --data {keystead.data}"\n'
        )


def test_version_is_that_of_the_distribution(keystead: Any) -> None:
    assert keystead.ok("version").startswith("keystead 0.")
    assert json.loads(keystead.ok("version", "-o", "json"))["dataFormat"] == 1
