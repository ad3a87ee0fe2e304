"""What an eventually consistent read promises: a state that the item really had, and truth about how old it is.

Without a stated LSN: the value was written (or was there at first) before the read returned, by a write that did not
fail. With one, the answer must be the item's state at exactly that LSN of the partition's log, as far as the
acknowledged writes with known LSNs tell: not older, not newer. A write of unknown outcome has some LSN or none.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from tests.histories.operations import Operation, Value, Verdict, describe, timeline


def check_eventual_reads(history: Sequence[Operation], initial: Value = None) -> Verdict:
    """Checks the eventually consistent reads of one key. The other operations are taken as facts."""
    writes = [operation for operation in history if operation.kind != "read" and operation.outcome != "failed"]
    placed = sorted(
        (operation for operation in writes if operation.outcome == "ok" and operation.lsn is not None),
        key=lambda operation: operation.lsn or 0,
    )
    floating = [operation for operation in writes if operation.outcome != "ok" or operation.lsn is None]
    reads = [
        operation
        for operation in history
        if operation.kind == "read" and operation.outcome == "ok" and not operation.consistent
    ]
    for read in reads:
        verdict = _check_origin(read, writes, initial)
        if verdict.ok and read.lsn is not None:
            verdict = _check_position(read, read.lsn, placed, floating, initial)
        if not verdict.ok:
            return verdict
    return _check_floating_values([read for read in reads if read.lsn is not None], placed, floating, initial)


def _bad(why: str, *window: Operation) -> Verdict:
    return Verdict(False, f"{why}:\n{timeline(list(window))}", window)


def _check_origin(read: Operation, writes: list[Operation], initial: Value) -> Verdict:
    if read.value == initial:
        return Verdict(True)
    sources = [write for write in writes if write.value == read.value]
    if not sources:
        return _bad(f"{describe(read)} returned what no write that could have taken effect ever wrote", read)
    if all(write.invoked > read.returned for write in sources):
        return _bad(f"{describe(read)} returned a value before anybody wrote it", read, sources[0])
    return Verdict(True)


def _check_position(
    read: Operation, lsn: int, placed: list[Operation], floating: list[Operation], initial: Value
) -> Verdict:
    position = bisect_right([write.lsn or 0 for write in placed], lsn)
    covered = placed[:position]
    for write in covered:
        if write.invoked > read.returned:
            return _bad(f"{describe(read)} claims to include a write that was sent later", read, write)
    if any(write.value == read.value and write.invoked <= read.returned for write in floating):
        return Verdict(True)
    expected = covered[-1].value if covered else initial
    if read.value == expected:
        return Verdict(True)
    if covered and read.value == initial and initial is not None:
        return _bad(f"{describe(read)} returned the first value, older than the LSN it states", read, covered[-1])
    newer = [write for write in placed[position:] if write.value == read.value]
    if newer:
        return _bad(f"{describe(read)} returned a value from above the LSN it states", read, newer[0])
    return _bad(f"{describe(read)} is older than the LSN it states", read, *covered[-1:])


def _check_floating_values(
    reads: list[Operation], placed: list[Operation], floating: list[Operation], initial: Value
) -> Verdict:
    """A value that was written once, at an unknown LSN, can't be seen on both sides of another write."""
    placed_values = {write.value for write in placed}
    floating_count: defaultdict[Value, int] = defaultdict(int)
    for write in floating:
        floating_count[write.value] += 1
    by_value: defaultdict[Value, list[Operation]] = defaultdict(list)
    for read in reads:
        if floating_count[read.value] == 1 and read.value not in placed_values and read.value != initial:
            by_value[read.value].append(read)
    for seen in by_value.values():
        first = min(seen, key=lambda read: read.lsn or 0)
        last = max(seen, key=lambda read: read.lsn or 0)
        for write in placed:
            if (first.lsn or 0) < (write.lsn or 0) <= (last.lsn or 0):
                return _bad(
                    f"{describe(last)} returned a value that was overwritten below that LSN", first, write, last
                )
    return Verdict(True)
