"""A bundle for bug reports: what the API server has on a cluster, what its nodes say of themselves, and logs.

    REPORT/objects/KIND.json            resources, pods, volume claims, services, events, Leases
    REPORT/nodes/POD/{status,map}.json  REPORT/nodes/POD/metrics.txt
    REPORT/logs/POD.log  REPORT/logs/POD.previous.log
    REPORT/problems.txt                 what could not be had, and why

Secrets are not asked for, and everything passes redaction.py. No row of a table is in it: statuses and maps have ranges
of hashes, logs no items.
"""

import io
import json
import tarfile
from pathlib import Path
from typing import Final

import msgspec

from keystead_cli.kube_view import all_at_once, name_of, selector_of
from keystead_cli.kubectl_run import Kubectl, KubectlFailed, Object
from keystead_cli.redaction import redacted, redacted_text

LABELLED: Final = (
    "pods",
    "persistentvolumeclaims",
    "services",
    "endpointslices",
    "configmaps",
    "poddisruptionbudgets",
    "networkpolicies",
    "serviceaccounts",
    "roles",
    "rolebindings",
)
WHOLE_NAMESPACE: Final = ("storageclusters.keystead.io", "tables.keystead.io", "events", "leases")
PATHS: Final = (("/status", "status.json"), ("/map", "map.json"), ("/metrics", "metrics.txt"))
LOG_LINES: Final = 20_000


class _Part(msgspec.Struct, frozen=True):
    """One file of the bundle: how it is got."""

    file: str
    arguments: tuple[str, ...]
    is_json: bool


def write_report(kubectl: Kubectl, cluster: str, target: Path, written_at: float, operator: str) -> list[str]:
    """Writes the bundle to `target`; what could not be had. `operator`: its namespace, "" to leave its logs out.

    Raises OSError, and KubectlFailed if the API server does not list the pods.
    """
    pods = [name_of(pod) for pod in kubectl.items("pods", selector_of(cluster))]
    parts = [*_objects(cluster), *(part for pod in pods for part in _node(pod))]
    if operator:
        parts += _operator(kubectl, operator)
    found = all_at_once(lambda part: _get(kubectl, part), parts)
    problems = [f"{part.file}: {content}" for part, (fine, content) in zip(parts, found, strict=True) if not fine]
    files = {part.file: content for part, (fine, content) in zip(parts, found, strict=True) if fine}
    files["problems.txt"] = "".join(f"{problem}\n" for problem in problems)
    _pack(target, f"keystead-report-{cluster}", files, written_at)
    return problems


def _objects(cluster: str) -> list[_Part]:
    selected = [(kind, (kind, f"--selector={selector_of(cluster)}")) for kind in LABELLED]
    whole = [(kind, (kind,)) for kind in WHOLE_NAMESPACE]
    return [
        _Part(f"objects/{kind.partition('.')[0]}.json", ("get", *arguments, "--output=json"), True)
        for kind, arguments in (*selected, *whole)
    ]


def _node(pod: str) -> list[_Part]:
    asked = [
        _Part(
            f"nodes/{pod}/{file}",
            ("exec", "--container=node", pod, "--", "keystead-node", "ask", "GET", path),
            file.endswith("json"),
        )
        for path, file in PATHS
    ]
    return [*asked, *_logs(pod, ())]


def _logs(pod: str, namespace: tuple[str, ...]) -> list[_Part]:
    arguments = ("logs", *namespace, pod, "--all-containers", f"--tail={LOG_LINES}")
    return [
        _Part(f"logs/{pod}.log", arguments, False),
        _Part(f"logs/{pod}.previous.log", (*arguments, "--previous"), False),
    ]


def _operator(kubectl: Kubectl, namespace: str) -> list[_Part]:
    flag = f"--namespace={namespace}"
    try:
        pods = kubectl.get("pods", flag, "--selector=app.kubernetes.io/name=keystead-operator")["items"]
    except KubectlFailed:
        pods = []
    if not pods:
        return [_Part("objects/operator-pods.json", ("get", "pods", flag, "--output=json"), True)]
    return [part for pod in pods for part in _logs(name_of(pod), (flag,))]


def _get(kubectl: Kubectl, part: _Part) -> tuple[bool, str]:
    """(True, content) or (False, why not)."""
    try:
        content = kubectl.run(*part.arguments)
    except KubectlFailed as problem:
        return False, redacted_text(str(problem))
    if not part.is_json:
        return True, redacted_text(content.decode(errors="replace"))
    try:
        found: Object = json.loads(content)
    except ValueError as problem:
        return False, f"not JSON: {problem}"
    return True, json.dumps(redacted(found), indent=1, sort_keys=True) + "\n"


def _pack(target: Path, directory: str, files: dict[str, str], written_at: float) -> None:
    with tarfile.open(target, "w:gz") as bundle:
        for name in sorted(files):
            content = files[name].encode()
            entry = tarfile.TarInfo(f"{directory}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(written_at), 0o600
            bundle.addfile(entry, io.BytesIO(content))
