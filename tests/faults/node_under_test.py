"""Starts a node process as the supervisor would, with two things that tests reach from outside.

- Its connections to peers go through the proxies of KEYSTEAD_TEST_LINKS (tests/faults/links.py), if that is set.
- Its disk fails as RUN/<name>.disk-faults.json says while that file is there.

The node's code is the production code; only the addresses that it dials are other ones.
"""

import functools
import json
import os
import socket
import sys
from pathlib import Path

from keystead_node.main import main
from keystead_node.storage.faults import ENVIRONMENT
from keystead_node.transport.peers import Connection, Peers


def run(arguments: list[str]) -> int:
    config = Path(arguments[arguments.index("--config") + 1])
    name = str(json.loads(config.read_bytes())["name"])
    os.environ[ENVIRONMENT] = str(config.with_name(f"{name}.disk-faults.json"))
    links = os.environ.get("KEYSTEAD_TEST_LINKS")
    if links:
        _dial_through(links, name)
    return main(arguments)


def _dial_through(links: str, name: str) -> None:
    host, _, port = links.rpartition(":")

    @functools.cache
    def way_to(address: str) -> str:
        with socket.create_connection((host, int(port)), timeout=5) as control:
            control.sendall(f"{name} {address.rpartition(':')[2]}\n".encode())
            return f"{host}:{int(control.makefile().readline())}"

    connect = Peers.connect

    async def connect_to_the_proxy(peers: Peers, address: str, from_seed: bool = False) -> Connection | None:
        return await connect(peers, way_to(address), from_seed)

    Peers.connect = connect_to_the_proxy  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
