"""Eventually consistent reads may be old, but never invented, and never older or newer than they say."""

import pytest

from tests.histories.eventual import check_eventual_reads
from tests.histories.operations import Operation


def write(value: str, lsn: int, invoked: int) -> Operation:
    return Operation(kind="write", value=value, lsn=lsn, invoked=invoked, returned=invoked + 1)


def read(value: str | None, lsn: int | None = None, at: int = 100) -> Operation:
    return Operation(kind="read", value=value, lsn=lsn, invoked=at, returned=at + 1, consistent=False)


WRITES = [write("a", 10, 1), write("b", 20, 3), Operation(kind="delete", lsn=30, invoked=5, returned=6)]
UNKNOWN = Operation(kind="write", value="u", invoked=2, outcome="unknown")
FAILED = Operation(kind="write", value="f", invoked=2, outcome="failed")


@pytest.mark.parametrize(
    "reads",
    [
        [read("a"), read("b"), read(None), read("a")],
        [read(None, 9), read("a", 10), read("a", 19), read("b", 29), read(None, 30), read(None, 99)],
        [read("u", 15), read("u", 19)],
        [read("u", 35)],
    ],
)
def test_old_states_are_allowed_and_stated_lsns_are_exact(reads: list[Operation]) -> None:
    verdict = check_eventual_reads([*WRITES, UNKNOWN, *reads])
    assert verdict.ok, verdict.explanation


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ([read("q")], "ever wrote"),
        ([read("f")], "ever wrote"),
        ([read("b", at=1)], "before anybody wrote it"),
        ([read("a", 20)], "older than the LSN"),
        ([read("b", 19)], "from above the LSN"),
        ([read("b", 30)], "older than the LSN"),
        ([read(None, 15)], "from above the LSN"),
        ([read("a", 25, at=1)], "sent later"),
        ([read("u", 15), read("u", 25)], "overwritten below"),
    ],
)
def test_impossible_answers_are_refused_with_the_reason(reads: list[Operation], words: str) -> None:
    verdict = check_eventual_reads([*WRITES, UNKNOWN, FAILED, *reads])
    assert not verdict.ok
    assert words in verdict.explanation


def test_first_value_is_refused_once_the_stated_lsn_is_above_a_write() -> None:
    assert check_eventual_reads([*WRITES, read("first", 5)], initial="first").ok
    assert "first value" in check_eventual_reads([*WRITES, read("first", 15)], initial="first").explanation
