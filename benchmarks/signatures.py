"""What it costs that requests are signed: nodes that check signatures against nodes that do not, the same requests.

Requests are signed beforehand, so that the load generator's own work is the same for both: puts write the same keys
again and again. Both clusters are under load at the same time, each with as much of the processors as the other. What
is looked for is less than what a shared machine's speed changes by from one second to the next, which so hits both:
rounds in turn gave anything from 0.5x to 1.1x.
"""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.load import LoadResult, run_load
from benchmarks.results import Row
from benchmarks.servers import TABLE, Keystead
from benchmarks.signing_node import KEY_ID, SECRET
from benchmarks.throughput import WARM_UP_SECONDS, ratio_row

REQUESTS = 4000
CONNECTIONS = 32
MUST, AIM = 0.85, 0.92
NODE_COMMAND = f"{sys.executable} {Path(__file__).with_name('signing_node.py')}"


def compare(rounds: int, seconds: float) -> list[Row]:
    """Rows for puts and gets. Raises if a node refuses requests."""
    signed, unsigned = Keystead(spread=False, node_command=NODE_COMMAND), Keystead(spread=False)
    signed.name, unsigned.name = "with authentication", "without"
    try:
        signed.start()
        unsigned.start()
        return [_compare_one(signed, unsigned, operation, rounds, seconds) for operation in ("PutItem", "GetItem")]
    finally:
        signed.stop()
        unsigned.stop()


def _compare_one(signed: Keystead, unsigned: Keystead, operation: str, rounds: int, seconds: float) -> Row:
    found: dict[str, list[LoadResult]] = {signed.name: [], unsigned.name: []}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(rounds + 1):
            for server in (signed, unsigned):
                path = Path(directory) / server.name
                path.write_bytes(_requests(operation, server.addresses[0]))  # anew: a signature holds for 15 minutes
            lasts = seconds if number else WARM_UP_SECONDS

            def load(server: Keystead, lasts: float = lasts) -> LoadResult:
                return run_load(server, "prepared", CONNECTIONS, lasts, 0, prepared=Path(directory) / server.name)

            with ThreadPoolExecutor(2) as both:
                results = list(both.map(load, (signed, unsigned)))
            for server, result in zip((signed, unsigned), results, strict=True):
                if result.errors:
                    raise RuntimeError(f"{server.name}: {result.errors} of {result.requests} {operation} refused")
                if number:
                    found[server.name].append(result)
    what = f"{operation} with authentication at {CONNECTIONS} connections / without, both at once"
    return ratio_row(what, found, MUST, AIM)


def _requests(operation: str, address: str) -> bytes:
    return b"\0".join(_request(operation, address, number) for number in range(REQUESTS))


def _request(operation: str, address: str, number: int) -> bytes:
    key = {"pk": {"S": f"k{number:015d}"}}
    members = {"Item": {**key, "v": {"S": f"{number:05d}" * 201}}} if operation == "PutItem" else {"Key": key}
    if operation == "GetItem":
        members["ConsistentRead"] = True
    body = json.dumps({"TableName": TABLE, **members}, separators=(",", ":")).encode()
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", f"http://{address}/", headers, body)
    SigV4Auth(Credentials(KEY_ID, SECRET), "dynamodb", "eu-west-2").add_auth(request)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST / HTTP/1.1\r\nHost: {address}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
