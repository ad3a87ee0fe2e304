"""Segments of several partitions are sealed in several threads at once; contexts of zstandard are not for sharing."""

import subprocess
import sys

PROGRAM = """
import os
from concurrent.futures import ThreadPoolExecutor
from keystead_core.log.record import Kind, make_record
from keystead_node.storage.cold_segment import encode_segment, reader_of

def work(partition):
    for _ in range(30):
        records, prev = [], 0
        for lsn in range(1, 200):
            record = make_record(partition, 1, lsn, Kind.DATA, 1, prev, 0, os.urandom(2000))
            records.append(record)
            prev = record.hash
        reader_of(encode_segment(records)).verify()
    return True

with ThreadPoolExecutor(4) as pool:
    assert all(pool.map(work, range(1, 9)))
print("whole")
"""


def test_segments_may_be_sealed_in_several_threads_at_once() -> None:
    """In a process of its own, since the fault it guards against ends the process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.stdout == "whole\n", (done.returncode, done.stderr[-500:])
