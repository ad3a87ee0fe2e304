"""kubectl port-forward, for as long as a block runs."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator

from e2e.harness.commands import ENVIRONMENT
from e2e.harness.waiting import NotYet, wait_for


@contextlib.contextmanager
def forwarded(namespace: str, target: str, port: int) -> Iterator[int]:
    """A port of this machine's loopback that leads to a port of `target` (pod/NAME, service/NAME)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own: int = probe.getsockname()[1]
    command = ["kubectl", "--namespace", namespace, "port-forward", target, f"{own}:{port}"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            try:
                socket.create_connection(("127.0.0.1", own), timeout=1).close()
            except OSError as problem:
                raise NotYet(str(problem)) from problem
            return True

        wait_for(f"kubectl port-forward {target}", answers, 20)
        yield own
    finally:
        process.terminate()
        process.wait(10)
