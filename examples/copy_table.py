"""Copies a table from one DynamoDB endpoint to another: keys, indexes, items and time to live.

    python examples/copy_table.py orders --from-region eu-west-1 --to http://127.0.0.1:8000

Without --from it reads from AWS, without --to it writes there; credentials are those that boto3 finds. The table is
made if the target has none, with capacity on demand. Items are put: what is there under the same key is replaced, so
the copy may be run again. It is no snapshot: a write that the source takes meanwhile may or may not be in it. Streams
and tags are not copied.

Exit code 0: every item that was read has been written.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

BATCH_ITEMS = 25
INDEXES = ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
PAUSE_SECONDS_MAX = 10.0


def client(endpoint: str | None, region: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=region,
        config=Config(retries={"mode": "standard", "total_max_attempts": 10}, max_pool_connections=64),
    )


def make_table(source: Any, target: Any, name: str) -> None:
    """Makes the table where it is not, and waits until it can be written."""
    described = source.describe_table(TableName=name)["Table"]
    wanted = {kind: [index_of(index) for index in described[kind]] for kind in INDEXES if described.get(kind)}
    try:
        target.create_table(
            TableName=name,
            KeySchema=described["KeySchema"],
            AttributeDefinitions=described["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
            **wanted,
        )
    except target.exceptions.ResourceInUseException:
        print(f"{name} is there already")
    target.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def index_of(described: dict[str, Any]) -> dict[str, Any]:
    return {member: described[member] for member in ("IndexName", "KeySchema", "Projection")}


def copy_time_to_live(source: Any, target: Any, name: str) -> None:
    found = source.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
        wanted = {"Enabled": True, "AttributeName": found["AttributeName"]}
        if target.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED":
            target.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)


def copy_segment(source: Any, target: Any, name: str, segment: int, segments: int) -> int:
    """Copies one segment of a parallel scan; returns how many items it has."""
    copied = 0
    for page in pages(source, name, segment, segments):
        for first in range(0, len(page), BATCH_ITEMS):
            put_all(target, name, page[first : first + BATCH_ITEMS])
        copied += len(page)
    return copied


def pages(source: Any, name: str, segment: int, segments: int) -> Iterator[list[Any]]:
    scan = source.get_paginator("scan")
    for page in scan.paginate(TableName=name, Segment=segment, TotalSegments=segments, ConsistentRead=True):
        yield page["Items"]


def put_all(target: Any, name: str, items: list[Any]) -> None:
    """Puts up to 25 items, those that come back as unprocessed again and again, with growing pauses."""
    left = {name: [{"PutRequest": {"Item": item}} for item in items]}
    pause_seconds = 0.05
    while left := target.batch_write_item(RequestItems=left)["UnprocessedItems"]:
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))
        pause_seconds = min(pause_seconds * 2, PAUSE_SECONDS_MAX)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--from", dest="source", metavar="URL", help="the source's endpoint; AWS, if left out")
    parser.add_argument("--from-region", default="us-east-1")
    parser.add_argument("--to", dest="target", metavar="URL", help="the target's endpoint; AWS, if left out")
    parser.add_argument("--to-region", default="us-east-1")
    parser.add_argument("--segments", type=int, default=8, help="scans at the same time")
    asked = parser.parse_args(arguments)
    source, target = client(asked.source, asked.from_region), client(asked.target, asked.to_region)
    make_table(source, target, asked.table)
    with ThreadPoolExecutor(asked.segments) as pool:
        copies = [
            pool.submit(copy_segment, source, target, asked.table, segment, asked.segments)
            for segment in range(asked.segments)
        ]
        copied = sum(copy.result() for copy in copies)
    copy_time_to_live(source, target, asked.table)
    print(f"{copied:,} items of {asked.table} copied")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
