"""Stands in for kubectl and an API server: objects from files, `exec` as the real program with the pod's environment.

DIRECTORY/objects/KIND.json   a list of objects; a kind without a file is forbidden
DIRECTORY/pods.json           pod -> {"config", "environment", "log"}
DIRECTORY/calls               a line for each call
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DIRECTORY = Path(os.environ["FAKE_KUBECTL"])


def main(arguments: list[str]) -> int:
    with (DIRECTORY / "calls").open("a") as calls:
        calls.write(" ".join(arguments) + "\n")
    words = [word for word in arguments if not word.startswith("--") or word == "--"]
    match words:
        case ["get", kind, *names]:
            return get(kind, names, next((word[11:] for word in arguments if word.startswith("--selector=")), ""))
        case ["exec", pod, "--", "keystead-node", *rest]:
            return execute(pod, rest)
        case ["logs", pod] if "--previous" not in arguments:
            print(Path(pods()[pod]["log"]).read_text(), end="")
            return 0
    return fail(f"Error: {' '.join(arguments)} is not known here")


def get(kind: str, names: list[str], selector: str) -> int:
    path = DIRECTORY / "objects" / f"{kind.partition('.')[0]}.json"
    if not path.exists():
        return fail(f'Error from server (Forbidden): {kind} is forbidden: User "ada" cannot list resource')
    items = json.loads(path.read_text())
    if selector:
        key, _, value = selector.partition("=")
        items = [one for one in items if one["metadata"].get("labels", {}).get(key) == value]
    if not names:
        print(json.dumps({"kind": "List", "items": items}))
        return 0
    found = [one for one in items if one["metadata"]["name"] == names[0]]
    if not found:
        return fail(f'Error from server (NotFound): {kind} "{names[0]}" not found')
    print(json.dumps(found[0]))
    return 0


def execute(pod: str, rest: list[str]) -> int:
    found = pods().get(pod)
    if found is None:
        return fail(f'Error from server (NotFound): pods "{pod}" not found')
    command = [sys.executable, "-m", "keystead_node.main", *rest, "--config", found["config"]]
    done = subprocess.run(command, env=os.environ | found["environment"], stdin=sys.stdin)
    if done.returncode:
        print(f"command terminated with exit code {done.returncode}", file=sys.stderr)
    return done.returncode


def pods() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DIRECTORY / "pods.json").read_text())
    return found


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
