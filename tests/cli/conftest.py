"""A cluster of fake nodes behind the real command line, run as a user runs it: as a program."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYCACHE = Path(tempfile.gettempdir()) / "keystead-tests-pycache"
FAKE_NODE = Path(__file__).with_name("fake_node.py")


class Keystead:
    """The program and the data directory that it is pointed at."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.environment = {
            **os.environ,
            "KEYSTEAD_NODE_COMMAND": f"{sys.executable} {FAKE_NODE}",
            "KEYSTEAD_DATA": str(data),
            "COLUMNS": "200",
            "PYTHONPYCACHEPREFIX": str(PYCACHE),
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "keystead_cli.main", *arguments],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, *arguments: str, stdin: str = "") -> str:
        done = self(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        return "".join(f"\n--- {log.name}\n{log.read_text()}" for log in sorted(self.data.glob("run/*.log")))

    def pid_of(self, name: str) -> int:
        return int((self.data / "run" / f"{name}.pid").read_text())


@pytest.fixture
def keystead(tmp_path: Path) -> Iterator[Keystead]:
    """A directory without a cluster; whatever a test starts over it is stopped."""
    program = Keystead(tmp_path / "data")
    yield program
    if (program.data / "cluster.json").exists():
        program("down")


@pytest.fixture(scope="session")
def _first_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystead]:
    program = Keystead(tmp_path_factory.mktemp("running") / "data")
    program.ok("up", "--port", "0", "--detach")
    yield program
    program("down")
    shutil.rmtree(program.data)


@pytest.fixture
def running(_first_cluster: Keystead) -> Iterator[Keystead]:
    """A cluster that runs, without tables."""
    yield _first_cluster
    for path in (_first_cluster.data / "objects" / "tables").glob("*.json"):
        _first_cluster.ok("delete", "table", path.stem)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Waits until something holds; fails with its second argument if it does not."""

    def wait(holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + 30.0
        while not holds():
            assert time.monotonic() < until, f"not within 30 s: {what}"
            time.sleep(0.2)

    return wait
