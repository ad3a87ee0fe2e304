"""What `make up` runs: a cluster, a table, a few items written and read with boto3, and what to do next.

python -m keystead_cli.demo [DATA]
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from keystead_operator.local.cluster_file import read_cluster_file
from keystead_operator.local.files import DataDir
from keystead_operator.local.inspect import endpoint_of
from keystead_operator.local.preflight import absolute
from keystead_operator.local.setup import supervisor_runs

MANIFEST: Final = Path("examples/orders.yaml")
ITEMS: Final = (
    {"customer": "ada", "orderId": "2026-001", "total": 42, "status": "packed"},
    {"customer": "ada", "orderId": "2026-002", "total": 7, "status": "new"},
    {"customer": "grace", "orderId": "2026-003", "total": 1906, "status": "shipped"},
)


def main(arguments: list[str]) -> int:
    data = DataDir(absolute(Path(arguments[0] if arguments else ".keystead")))
    option = ["--data", str(data.root)]
    if supervisor_runs(data):
        print(f"the cluster of {data.root} runs already")
    elif not _keystead("up", "--detach", *option):
        return 1
    if not _keystead("apply", "-f", str(MANIFEST), *option):
        return 1
    cluster = read_cluster_file(data)
    assert cluster is not None, "a cluster that runs has a cluster.json"
    endpoint = endpoint_of(cluster)
    _write_and_read(endpoint)
    _next_steps(endpoint, data)
    return 0


def _keystead(*arguments: str) -> bool:
    print(f"$ keystead {' '.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", "keystead_cli.main", *arguments], check=False).returncode == 0


def _write_and_read(endpoint: str) -> None:
    """Each item is on two nodes' disks when `put_item` returns; the reads see all of them."""
    table: Any = boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 5}),
    ).Table("orders")
    for item in ITEMS:
        table.put_item(Item=item)
        print(f"wrote {item['customer']}/{item['orderId']}")
    for item in ITEMS:
        key = {"customer": item["customer"], "orderId": item["orderId"]}
        found = table.get_item(Key=key, ConsistentRead=True)["Item"]
        print(f"read  {found['customer']}/{found['orderId']}: {found['status']}, total {found['total']}")


def _next_steps(endpoint: str, data: DataDir) -> None:
    shown = data.root.relative_to(Path.cwd()) if data.root.is_relative_to(Path.cwd()) else data.root
    option = "" if str(shown) == ".keystead" else f" --data {shown}"
    print(f"\nThe DynamoDB endpoint is {endpoint} (any region, any credentials). Next:")
    print(f"  .venv/bin/keystead status{option}          # nodes, partitions, masters, replicas")
    print(f"  kill -9 $(cat {shown}/run/node-0.pid)      # a node dies: the others go on, and it comes back")
    print(f"  .venv/bin/keystead down{option}            # stop; add --wipe to delete everything")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
