"""How long after its acknowledgement a put can be seen in a global index, while another load writes at full speed."""

import itertools
import statistics
import threading
import time

from benchmarks.load import LoadResult, run_load
from benchmarks.results import Row
from benchmarks.servers import Keystead, dynamodb, wait_until
from benchmarks.throughput import WARM_UP_SECONDS

INDEXED = "bench-indexed"
INDEX = "by-key"
CONNECTIONS = 32
PROBERS = 2
POLL_SECONDS = 0.002
LAG_SECONDS_MAX = 30.0


def lag(rounds: int, seconds: float) -> list[Row]:
    """p99 over all probes of a run, the largest of the runs."""
    server = Keystead(spread=False)
    found: list[tuple[LoadResult, list[float]]] = []
    try:
        server.start()
        _create_table(server)
        run_load(server, "put", CONNECTIONS, WARM_UP_SECONDS, 0, table=INDEXED)
        found = [_run(server, seconds) for _ in range(rounds)]
    finally:
        server.stop()
    if any(len(lags) < 20 for _, lags in found):
        raise RuntimeError(f"too few probes: {[len(lags) for _, lags in found]}")
    p99 = [round(1000 * statistics.quantiles(lags, n=100)[-1], 1) for _, lags in found]
    return [
        Row(
            what=f"global index behind its table under full write load ({CONNECTIONS} connections, 1 KiB), p99",
            value=max(p99),
            unit="ms",
            must=500,
            aim=100,
            better="less",
            raw={
                "p99 ms": p99,
                "p50 ms": [round(1000 * statistics.median(lags), 1) for _, lags in found],
                "puts/s": [round(load.rate, 1) for load, _ in found],
                "probes": [len(lags) for _, lags in found],
            },
            note="from the answer to a put until a Query of the index finds it",
        )
    ]


def _create_table(server: Keystead) -> None:
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    body = {
        "TableName": INDEXED,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": keys,
        "GlobalSecondaryIndexes": [{"IndexName": INDEX, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}],
    }
    address = server.addresses[0]
    dynamodb(address, "CreateTable", body)

    def is_active() -> bool:
        return bool(dynamodb(address, "DescribeTable", {"TableName": INDEXED})["Table"]["TableStatus"] == "ACTIVE")

    wait_until("the indexed table is active", is_active)


def _run(server: Keystead, seconds: float) -> tuple[LoadResult, list[float]]:
    lags: list[float] = []
    stop = threading.Event()
    probers = [
        threading.Thread(
            target=_probe, args=(server.addresses_of(INDEXED)[0], f"{time.monotonic_ns()}-{n}", stop, lags)
        )
        for n in range(PROBERS)
    ]
    for prober in probers:
        prober.start()
    try:
        load = run_load(server, "put", CONNECTIONS, seconds, 0, table=INDEXED)
    finally:
        stop.set()
        for prober in probers:
            prober.join()
    if load.errors:
        raise RuntimeError(f"{load.errors} of {load.requests} puts were refused")
    return load, lags


def _probe(address: str, name: str, stop: threading.Event, lags: list[float]) -> None:
    for number in itertools.count():
        if stop.is_set():
            return
        key = {"S": f"probe {name} {number}"}
        dynamodb(address, "PutItem", {"TableName": INDEXED, "Item": {"pk": key}})
        written = time.monotonic()
        query = {
            "TableName": INDEXED,
            "IndexName": INDEX,
            "KeyConditionExpression": "pk = :k",
            "ExpressionAttributeValues": {":k": key},
        }
        while not dynamodb(address, "Query", query)["Count"]:
            if time.monotonic() - written > LAG_SECONDS_MAX:
                raise RuntimeError(f"a put is not in the index after {LAG_SECONDS_MAX:.0f} s")
            time.sleep(POLL_SECONDS)
        lags.append(time.monotonic() - written)
