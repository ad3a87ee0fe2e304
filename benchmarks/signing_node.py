"""Starts a node as the supervisor would, but one whose API takes requests signed with the one key KEY_ID alone."""

import json
import sys
from pathlib import Path

from keystead_node.main import main

KEY_ID = "BENCHMARK"
SECRET = "0123456789abcdef0123456789abcdef01234567"


def run(arguments: list[str]) -> int:
    at = arguments.index("--config") + 1
    path = Path(arguments[at])
    keys = path.with_suffix(".keys")
    keys.mkdir(exist_ok=True)
    (keys / KEY_ID).write_text(SECRET)
    config = json.loads(path.read_bytes()) | {"credentials_dir": str(keys)}
    config.pop("insecure_no_auth", None)
    signing = path.with_suffix(".signing.json")
    signing.write_text(json.dumps(config))
    return main([*arguments[:at], str(signing), *arguments[at + 1 :]])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
