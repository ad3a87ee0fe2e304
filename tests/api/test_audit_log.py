"""The audit log has a line for each request that its level asks for, and nothing of any item."""

import gzip
import http.client
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead_core.access_policy import Policy
from keystead_node.api.audit import Audit, AuditFigures, missing_line
from keystead_node.api.auth import SignatureV4
from keystead_node.api.permissions import KeyPolicy
from keystead_node.line_file import LineFile
from keystead_node.tls_files import FilesUnusable
from tests.api.conftest import Front, create_table

ITEM = {"pk": {"S": "a secret of somebody"}}


class Audited:
    """A front with an audit log in memory."""

    def __init__(self, level: Any) -> None:
        self.written: list[bytes] = []
        keys = {"AKID": "s3cret", "NOTHING": "s3cret"}
        policies = {"NOTHING": KeyPolicy(Policy())}
        self.front = Front(SignatureV4(lambda: keys, time.time), lambda: policies, Audit(level, self.written.append))
        self.client = self.front.client("AKID", "s3cret")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written]

    def short(self) -> list[tuple[str, str, str]]:
        return [(line["key"], line["operation"], line["result"]) for line in self.lines()]


@pytest.fixture
def audited(request: pytest.FixtureRequest) -> Iterator[Audited]:
    made = Audited(request.param)
    yield made
    made.front.stop()


def do_a_bit_of_everything(audited: Audited) -> None:
    client = audited.client
    create_table(client, "orders")
    client.put_item(TableName="orders", Item=ITEM)
    client.get_item(TableName="orders", Key=ITEM)
    for key_id, secret in (("NOTHING", "s3cret"), ("AKID", "guess"), ("NOBODY", "s3cret")):
        refused = audited.front.client(key_id, secret)
        with pytest.raises(refused.exceptions.ClientError):
            refused.get_item(TableName="orders", Key=ITEM)
    with pytest.raises(client.exceptions.ClientError):
        client.put_item(TableName="none", Item=ITEM)


CREATED, PUT, GOT = ("AKID", "CreateTable", "ok"), ("AKID", "PutItem", "ok"), ("AKID", "GetItem", "ok")
DENIED = [
    ("NOTHING", "GetItem", "AccessDeniedException"),
    ("AKID", "GetItem", "InvalidSignatureException"),
    ("NOBODY", "GetItem", "UnrecognizedClientException"),
]
FAILED = ("AKID", "PutItem", "ResourceNotFoundException")


@pytest.mark.parametrize(
    ("audited", "expected"),
    [
        ("off", []),
        ("denied", DENIED),
        ("writes", [CREATED, PUT, *DENIED, FAILED]),
        ("all", [CREATED, PUT, GOT, *DENIED, FAILED]),
    ],
    indirect=["audited"],
)
def test_a_level_says_which_requests_have_a_line(audited: Audited, expected: list[tuple[str, str, str]]) -> None:
    do_a_bit_of_everything(audited)
    assert audited.short() == expected


@pytest.mark.parametrize("audited", ["all"], indirect=True)
def test_a_line_says_who_did_what_to_which_tables_and_nothing_of_items(audited: Audited) -> None:
    create_table(audited.client, "orders")
    answer = audited.client.batch_get_item(RequestItems={"orders": {"Keys": [ITEM]}})
    line = audited.lines()[1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("bytes_in") > 50
    assert line == {
        "log": "audit",
        "request": answer["ResponseMetadata"]["RequestId"],
        "key": "AKID",
        "source": "127.0.0.1",
        "operation": "BatchGetItem",
        "tables": ["orders"],
        "result": "ok",
        "bytes_out": int(answer["ResponseMetadata"]["HTTPHeaders"]["content-length"]),
    }
    audited.client.put_item(TableName="orders", Item=ITEM)
    assert b"somebody" not in b"".join(audited.written)


def test_what_cannot_be_read_has_a_line_all_the_same() -> None:
    written: list[bytes] = []
    front = Front(audit=Audit("all", written.append))
    try:
        connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
        named = {"X-Amz-Target": "DynamoDB_20120810.PutItem", "Content-Type": "application/x-amz-json-1.0"}
        packed = gzip.compress(b'{"TableName":"%s"}' % (b"x" * 900))
        for headers, body in (
            (named, b"no JSON"),
            (named | {"X-Amz-Target": "DynamoDB_20120810.Nothing"}, b"{}"),
            (named | {"Authorization": "AWS4-HMAC-SHA256 x"}, b"{}"),
            (named | {"Content-Encoding": "gzip"}, packed),
        ):
            connection.request("POST", "/", body, headers)
            connection.getresponse().read()
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
    finally:
        front.stop()
    lines = [json.loads(line) for line in written]
    assert [(line["key"], line["operation"], line["result"]) for line in lines] == [
        ("", "PutItem", "SerializationException"),
        ("", "", "UnknownOperationException"),
        ("", "PutItem", "ValidationException"),
        ("", "PutItem", "ValidationException"),
    ]
    assert [line["tables"] for line in lines] == [[], [], [], ["x" * 255]]
    assert lines[3]["bytes_in"] == len(packed)


# -- the file -------------------------------------------------------------------------------------------------------


def wait_for_lines(path: Path, count: int) -> list[str]:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.01)
    raise AssertionError(f"{path} has not {count} lines within 30 s")


def test_lines_are_written_in_order_and_flushed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"of the last process\n")
    file = LineFile(str(path), missing_line)
    for number in range(1000):
        file.put(b"%d\n" % number)
    file.close()
    assert path.read_text().splitlines() == ["of the last process", *map(str, range(1000))]
    assert (file.lines, file.dropped) == (1000, 0)


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    file = LineFile(str(path), missing_line)
    file.put(b"first\n")
    assert wait_for_lines(path, 1) == ["first"]
    path.rename(moved)
    file.put(b"second\n")
    assert wait_for_lines(path, 1) == ["second"]
    path.unlink()
    path.write_bytes(b"made by the rotation\n")
    file.put(b"third\n")
    assert wait_for_lines(path, 2) == ["made by the rotation", "third"]
    file.close()
    assert moved.read_text() == "first\n"
    assert moved.stat().st_mode & 0o777 == 0o600


def test_a_reader_that_is_slow_costs_lines_and_no_time_and_is_told_how_many(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    file = LineFile(str(path), missing_line, waiting_bytes_max=100_000)
    line = b"x" * 999 + b"\n"
    for _ in range(1000):  # a pipe holds 64 of them, the queue a hundred; all else would wait for the reader
        file.put(line)
    assert file.dropped >= 700
    dropped = file.dropped
    found = bytearray()
    taken = threading.Thread(
        target=lambda: [found.extend(piece) for piece in iter(lambda: os.read(reader, 65536), b"")]
    )
    taken.start()
    file.close()
    taken.join(30)
    os.close(reader)
    told = [json.loads(one) for one in bytes(found).splitlines() if one.startswith(b"{")]
    assert sum(one["dropped"] for one in told) == dropped
    assert bytes(found).count(line) == 1000 - dropped
    figures = {metric.name: metric.samples[0].value for metric in AuditFigures(file).collect()}
    assert figures == {"keystead_audit_lines": file.lines, "keystead_audit_lines_dropped": dropped}


def test_lines_that_the_disk_does_not_take_are_counted_and_told_once_it_does(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = LineFile(str(path), missing_line)
    path.unlink()
    path.mkdir()  # nothing can be opened there
    file.put(b"lost\n")
    end = time.monotonic() + 30
    while file.dropped == 0 and time.monotonic() < end:
        time.sleep(0.01)
    assert file.dropped == 1
    path.rmdir()
    file.put(b"there\n")
    first, second = wait_for_lines(path, 2)
    file.close()
    assert first == "there" and json.loads(second)["dropped"] == 1


def test_a_path_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FilesUnusable, match="No such file or directory"):
        LineFile(str(tmp_path / "none" / "audit.jsonl"), missing_line)
