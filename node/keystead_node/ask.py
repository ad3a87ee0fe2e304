"""Requests of a program on the node's own machine to the node's admin port: `ask`, and what runs before a pod stops.

`prestop` takes the node into maintenance: its masterships are handed over, and its replicas count in no quorum any
more. Where too few others would be left, it asks again until they are there or its time is over; the node's own end
hands over whatever was not. Meanwhile clients are asked to go elsewhere, and for DRAIN_SECONDS at least, in which all
of Kubernetes hears that the pod ends. Maintenance by `prestop` ends with the node's next start.
"""

import http.client
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from keystead_node.config import NodeConfig, TlsConfig
from keystead_node.tls_files import FilesUnusable, dialling_context

PAUSE_SECONDS: Final = 0.2
ASK_SECONDS_MAX: Final = 30.0
DRAIN_SECONDS: Final = 2.0


def ask(config: NodeConfig, method: str, path: str) -> int:
    """Prints the answer's body; 0 where its status is 2xx."""
    body = sys.stdin.buffer.read() if method == "POST" and not sys.stdin.isatty() else b""
    try:
        status, answer = exchange(config, method, path, body, ASK_SECONDS_MAX)
    except (OSError, http.client.HTTPException) as problem:
        return _fail(f"the node does not answer: {problem or type(problem).__name__}")
    sys.stdout.buffer.write(answer)
    return 0 if 200 <= status < 300 else 1


def prestop(config: NodeConfig, seconds_max: float) -> int:
    """0 once the node is in maintenance, 1 if it was not in time."""
    started = time.monotonic()
    try:
        exchange(config, "POST", "/drain", b"", seconds_max)
    except ConnectionRefusedError:
        return 0  # no node runs, and nothing is to be handed over
    except (OSError, http.client.HTTPException) as problem:
        return _fail(f"the node does not answer: {problem or type(problem).__name__}")
    reason = _maintain(config, started + seconds_max)
    time.sleep(max(0.0, min(DRAIN_SECONDS, seconds_max) - (time.monotonic() - started)))
    return _fail(f"not handed over in {seconds_max:g} s: {reason}") if reason else 0


def _maintain(config: NodeConfig, deadline: float) -> str:
    """Why the node is not in maintenance by then; "" once it is."""
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            _, answer = exchange(config, "POST", "/maintain", b"", left)
            said: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as problem:
            reason = str(problem) or type(problem).__name__
        else:
            if said.get("ok"):
                return ""
            reason = str(said.get("reason") or said.get("error"))
        time.sleep(PAUSE_SECONDS)
    return reason


def exchange(config: NodeConfig, method: str, path: str, body: bytes, seconds_max: float) -> tuple[int, bytes]:
    """(status, body). Raises OSError (as which TLS errors come), http.client.HTTPException."""
    connection: http.client.HTTPConnection
    if config.tls is None:
        connection = http.client.HTTPConnection(config.bind, config.admin_port, timeout=seconds_max)
    else:
        connection = _TlsConnection(config, config.tls, seconds_max)
    try:
        connection.request(method, path, body or None, {"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class _TlsConnection(http.client.HTTPConnection):
    """Shows the node's own certificate, and looks for the nodes' common name in the one that it is shown."""

    def __init__(self, config: NodeConfig, tls: TlsConfig, seconds_max: float) -> None:
        super().__init__(config.bind, config.admin_port, timeout=seconds_max)
        self._tls = tls

    def connect(self) -> None:
        try:
            context = dialling_context(Path(self._tls.dir))
        except FilesUnusable as error:
            raise OSError(str(error)) from error
        super().connect()
        self.sock = context.wrap_socket(self.sock, server_hostname=self._tls.peer_name)


def _fail(message: str) -> int:
    print(f"keystead-node: {message}", file=sys.stderr)
    return 1
