"""An embedded cluster driven the way a person drives it: by the `keystead` command line, and by signals.

Node processes start through node_under_test.py, so that their links and disks can be made to fail from outside.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from keystead_cli.terminal import open_cluster, view_of
from tests.faults.links import Links

REPOSITORY = Path(__file__).resolve().parents[2]
NODE_COMMAND = f"{sys.executable} {Path(__file__).with_name('node_under_test.py')}"
COMMAND_SECONDS_MAX = 150


class CommandFailed(AssertionError):
    """A command of the line ended with another exit code than 0; the text has all that it said."""


class Cluster:
    """Nodes n1, n2, ... in zones of their own, in a directory of their own, on free ports.

    `settings` go to `keystead up --set`. `links`: where given, nodes talk to each other through them. `node_command`:
    None starts the nodes as users do.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int = 3,
        settings: dict[str, Any] | None = None,
        links: Links | None = None,
        node_command: str | None = NODE_COMMAND,
    ) -> None:
        self.data = directory / "cluster"
        self.nodes = nodes
        self.settings = {"hot_log_mb": 64, **(settings or {})}
        self.links = links
        # The code of this very tree, whatever else is installed.
        parts = [REPOSITORY, *(REPOSITORY / part for part in ("core", "node", "operator"))]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, parts))}
        if node_command is not None:
            self._environment["KEYSTEAD_NODE_COMMAND"] = node_command
        if links is not None:
            links.resolve = self._node_of_peer_port
            self._environment["KEYSTEAD_TEST_LINKS"] = links.address

    # ---- the command line

    def try_cli(
        self, *arguments: str, stdin: str = "", seconds_max: float = COMMAND_SECONDS_MAX
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "keystead_cli.main", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=seconds_max,
        )

    def cli(self, *arguments: str, stdin: str = "", seconds_max: float = COMMAND_SECONDS_MAX) -> str:
        """What the command printed. Raises CommandFailed."""
        done = self.try_cli(*arguments, "--data", str(self.data), stdin=stdin, seconds_max=seconds_max)
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}"
            raise CommandFailed(f"keystead {' '.join(arguments)} ended with {done.returncode}:\n{said}\n{self.logs()}")
        return done.stdout

    def up(self) -> "Cluster":
        sets = [f"--set={key}={value}" for key, value in self.settings.items()]
        fresh = [] if self.data.exists() else ["--port", "0"]
        shape = ["--nodes", str(self.nodes), "--zones", str(self.nodes)]
        self.cli("up", *fresh, *shape, "--detach", *sets)
        return self

    def down(self) -> None:
        self.cli("down")

    def create_table(self, name: str, partitions: int = 2, **spec: Any) -> None:
        """A table with the hash key `pk` (S), applied as a manifest; returns when it serves."""
        manifest = {
            "apiVersion": "keystead.io/v1alpha1",
            "kind": "Table",
            "metadata": {"name": name},
            "spec": {
                "attributes": [{"name": "pk", "type": "S"}],
                "keySchema": {"hashKey": "pk"},
                "partitions": {"count": partitions},
                **spec,
            },
        }
        self.cli("apply", "-f", "-", "--timeout", "300", stdin=yaml.safe_dump(manifest), seconds_max=330)
        self.wait_until(f"table {name} serves", lambda: self.table_serves(name), 60)

    def status(self) -> dict[str, Any]:
        """What `keystead status -o json` prints, got the way the command gets it, without a process for each look."""
        found: dict[str, Any] = json.loads(msgspec.json.encode(view_of(open_cluster(self.data))))
        return found

    # ---- what there is

    def names(self) -> list[str]:
        return [str(place["name"]) for place in self._places()]

    def _places(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.data / "cluster.json").read_bytes())["places"]
        return found

    def _node_of_peer_port(self, port: int) -> str:
        return next(str(place["name"]) for place in self._places() if place["peer_port"] == port)

    def endpoints(self) -> list[str]:
        return [f"http://127.0.0.1:{place['api_port']}" for place in self._places()]

    def endpoint(self, name: str) -> str:
        return next(f"http://127.0.0.1:{place['api_port']}" for place in self._places() if place["name"] == name)

    def admin_address(self, name: str) -> str:
        return next(f"127.0.0.1:{place['admin_port']}" for place in self._places() if place["name"] == name)

    def volume(self, name: str) -> Path:
        return self.data / "nodes" / name

    def pid(self, name: str) -> int:
        """The process of a node, or 0 if it does not run."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return self._if_ours(int((self.data / "run" / f"{name}.pid").read_text()))
        return 0

    def supervisor_pid(self) -> int:
        """0 if it does not run."""
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            return self._if_ours(int(json.loads((self.data / "run" / "supervisor.json").read_bytes())["pid"]))
        return 0

    def _if_ours(self, pid: int) -> int:
        """The pid, if that process works for this very directory: a pid in a file may long be another's."""
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return 0
        return pid if os.fsencode(self.data) in arguments else 0

    def partitions(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = next(
            (one["partitions"] for one in self.status()["tables"] if one["name"] == table), []
        )
        return found

    def masters(self, table: str) -> list[str]:
        """The node that masters each partition, in key order. A machine that stands still for longer than a lease
        costs a master; the next one is waited for. Raises AssertionError where a partition gets none."""
        found: list[str] = []

        def are_known() -> bool:
            found[:] = [partition["master"] for partition in self.partitions(table)]
            return bool(found) and all(found)

        self.wait_until(f"every partition of {table} has a master", are_known, 60)
        return found

    def table_serves(self, table: str) -> bool:
        partitions = self.partitions(table)
        return bool(partitions) and all(partition["master"] for partition in partitions)

    def all_level(self, table: str) -> bool:
        """Every partition has its master, and all its replicas are eligible and hardly behind."""
        return self.are_level(self.partitions(table))

    def are_level(self, partitions: list[dict[str, Any]]) -> bool:
        """The same of the partitions of one status."""
        return bool(partitions) and all(
            partition["master"]
            and all(
                replica["role"] in ("master", "follower") and replica["eligible"] and (replica["lag"] or 0) <= 8
                for replica in partition["replicas"]
            )
            and len(partition["replicas"]) >= min(3, self.nodes)
            for partition in partitions
        )

    def logs(self, lines: int = 12) -> str:
        """The last words of the supervisor and of every node."""
        parts = []
        for path in sorted((self.data / "run").glob("*.log")) if self.data.exists() else []:
            text = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"--- {path.name}\n" + "\n".join(text))
        return "\n".join(parts)

    def wait_until(self, what: str, done: Callable[[], bool], seconds: float) -> float:
        """How long it took, in seconds. Raises AssertionError with the state of the cluster."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            with contextlib.suppress(CommandFailed):
                if done():
                    return time.monotonic() - start
            time.sleep(0.2)
        status = self.try_cli("status", "--data", str(self.data)).stdout
        raise AssertionError(f"{what}: not within {seconds:.0f} s\n{status}\n{self.logs()}")

    # ---- faults of processes

    def send_signal(self, name: str, number: signal.Signals) -> None:
        _send(self.pid(name), number)

    def kill(self, name: str) -> None:
        """kill -9; the supervisor starts the node again."""
        self.send_signal(name, signal.SIGKILL)

    def kill_and_wait_for_restart(self, name: str) -> None:
        pid = self.pid(name)
        self.kill(name)
        self.wait_until(f"{name} is started again", lambda: self.pid(name) not in (0, pid), 60)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP for as long as the block runs."""
        pid = self.pid(name)
        _send(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            _send(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def held_down(self, *names: str) -> Iterator[None]:
        """Nodes killed and not started again before the block ends: the supervisor is frozen meanwhile."""
        supervisor = self.supervisor_pid()
        _send(supervisor, signal.SIGSTOP)
        try:
            pids = [self.pid(name) for name in names]
            for pid in pids:
                _send(pid, signal.SIGKILL)
            for pid in pids:
                _wait_for_end(pid)
            yield
        finally:
            _send(supervisor, signal.SIGCONT)

    @contextlib.contextmanager
    def run_by_hand(self, *names: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Node processes that the supervisor, being frozen, does not know of; killed at the end if they still run."""
        data = open_cluster(self.data).data
        command = self._environment["KEYSTEAD_NODE_COMMAND"].split()
        found = []
        for name in names:
            with data.node_log(name).open("ab") as log:
                arguments = [*command, "--config", str(data.node_config(name))]
                found.append(subprocess.Popen(arguments, env=self._environment, stdout=log, stderr=log))
        try:
            yield found
        finally:
            for process in found:
                process.kill()
                process.wait()

    def kill_everything(self) -> None:
        """The machine's power, as far as processes go: the nodes at once, then the supervisor, which starts none."""
        if supervisor := self.supervisor_pid():
            _send(supervisor, signal.SIGSTOP)
        pids = [pid for pid in (*map(self.pid, self.names()), self.supervisor_pid()) if pid]
        for pid in pids:
            _send(pid, signal.SIGKILL)
        for pid in pids:
            _wait_for_end(pid)

    # ---- faults of disks

    def set_disk_faults(self, name: str, **faults: Any) -> None:
        """What node_under_test.py makes of the node's disk from now on; nothing given: a good disk again."""
        path = self.data / "run" / f"{name}.disk-faults.json"
        if not faults:
            path.unlink(missing_ok=True)
            return
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(faults))
        temporary.replace(path)

    def delete_volume(self, name: str) -> None:
        shutil.rmtree(self.volume(name))

    def take_volume_away(self, name: str) -> Path:
        """Where it is now; renamed back to `volume(name)` it is as it was."""
        aside = self.data / f"{name}-taken-away"
        self.volume(name).rename(aside)
        return aside

    # ---- the end

    def destroy(self) -> None:
        """Stops whatever is left, without a word."""
        supervisor = self.supervisor_pid()
        if supervisor:
            _send(supervisor, signal.SIGCONT)
        if (self.data / "cluster.json").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.try_cli("down", "--data", str(self.data))
            self.kill_everything()


def _send(pid: int, number: signal.Signals) -> None:
    """A signal to one process. Raises ProcessLookupError if there is none: pid 0 would mean our own group."""
    if pid <= 0:
        raise ProcessLookupError(f"no process to send {number.name} to")
    os.kill(pid, number)


def _wait_for_end(pid: int, seconds: float = 10.0) -> None:
    """Waits until a process that is not our child is gone, or a zombie of somebody else."""
    end = time.monotonic() + seconds
    while pid and time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.01)


@contextlib.contextmanager
def running_cluster(directory: Path, **options: Any) -> Iterator[Cluster]:
    """A cluster that is up, and is destroyed at the end whatever happens."""
    cluster = Cluster(directory, **options)
    try:
        yield cluster.up()
    finally:
        cluster.destroy()
