"""Runs kubectl, which reaches whatever cluster the user's own kubectl does: contexts, plugins for logging in, proxies.

Nodes are asked from inside their pods, by `keystead-node ask`: the certificate that their admin ports want is there,
and whoever may `kubectl exec` into a pod may have it anyhow.
"""

import subprocess
from typing import Any, Final

import msgspec

SECONDS_MAX: Final = 60.0
CONTAINER: Final = "node"
Object = dict[str, Any]


class KubectlFailed(Exception):
    """kubectl, or the program that it ran, did not do it; the message is what was said."""


class Kubectl(msgspec.Struct, frozen=True):
    """`flags` choose the cluster and the namespace: --context, --kubeconfig, --namespace."""

    flags: tuple[str, ...] = ()

    def run(self, *arguments: str, body: bytes | None = None) -> bytes:
        """What it printed. Raises KubectlFailed."""
        try:
            done = subprocess.run(
                ["kubectl", *self.flags, *arguments],
                input=body,
                stdin=None if body is not None else subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS_MAX,
            )
        except FileNotFoundError as problem:
            raise KubectlFailed("kubectl is not on the PATH") from problem
        except subprocess.TimeoutExpired as problem:
            raise KubectlFailed(f"kubectl {arguments[0]}: no answer within {SECONDS_MAX:g} s") from problem
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise KubectlFailed(f"{said}{_answer(done.stdout)}" if said else f"exit code {done.returncode}")
        return done.stdout

    def get(self, *arguments: str) -> Object:
        """An object, or a list of them. Raises KubectlFailed."""
        return _decoded(self.run("get", *arguments, "--output=json"))

    def items(self, kind: str, selector: str = "") -> list[Object]:
        """Raises KubectlFailed."""
        found: list[Object] = self.get(kind, *([f"--selector={selector}"] if selector else []))["items"]
        return found

    def ask(self, pod: str, method: str, path: str, body: Object | None = None) -> bytes:
        """The answer of a node's admin port. Raises KubectlFailed, also where the node refuses."""
        content = msgspec.json.encode(body) if body is not None else None
        stdin = ["--stdin"] if content is not None else []
        command = ["keystead-node", "ask", method, path]
        return self.run("exec", *stdin, f"--container={CONTAINER}", pod, "--", *command, body=content)

    def order(self, pod: str, path: str, body: Object | None = None) -> Object:
        """Has a node do something. Raises KubectlFailed with the node's reason where it does not."""
        answer = _decoded(self.ask(pod, "POST", path, body or {}))
        if not answer.get("ok"):
            raise KubectlFailed(str(answer.get("error") or answer.get("reason") or answer))
        return answer


def _answer(content: bytes) -> str:
    """The reason in a node's own words, where it gave one before the program failed."""
    try:
        answer = msgspec.json.decode(content, type=Object)
    except msgspec.MsgspecError:
        return ""
    reason = answer.get("error") or answer.get("reason")
    return f": {reason}" if reason else ""


def _decoded(content: bytes) -> Object:
    try:
        return msgspec.json.decode(content, type=Object)
    except msgspec.MsgspecError as problem:
        raise KubectlFailed(f"not JSON: {problem}: {content[:200]!r}") from problem
