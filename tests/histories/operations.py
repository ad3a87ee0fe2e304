"""What clients did to one key, and what a checker says about it.

Times are integers of one clock that all clients share: monotonic nanoseconds of one machine, or the simulator's
virtual microseconds. One operation precedes another only if it returned at an earlier time than the other was invoked.
"""

from collections.abc import Hashable
from typing import Literal

import msgspec

Kind = Literal["read", "write", "delete"]
Outcome = Literal["ok", "unknown", "failed"]
Value = Hashable
"""A register's content. None means that the item is absent."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One request of one client to one key.

    `value`: what a write wrote or a read returned; None for a delete and for a read that found nothing.
    `outcome`: ok; unknown (it may take effect at any time after `invoked`, or never); failed (it took no effect).
    `returned`: when the answer came; ignored unless the outcome is ok.
    `consistent`: False for an eventually consistent read.
    `lsn`: of an acknowledged write, its LSN; of an eventually consistent read, the LSN up to which the answering
    replica said that its rows are; None where not known.
    """

    kind: Kind
    value: Value = None
    invoked: int
    returned: int = 0
    outcome: Outcome = "ok"
    client: str = ""
    key: str = ""
    consistent: bool = True
    lsn: int | None = None


class Verdict(msgspec.Struct, frozen=True):
    """`explanation` is empty if `ok`; else text for a person. `window`: the operations that contradict each other."""

    ok: bool
    explanation: str = ""
    window: tuple[Operation, ...] = ()


def describe(operation: Operation) -> str:
    """One operation in words: `read "v1"`, `write "v2" (unknown)`."""
    shown = "nothing" if operation.value is None else repr(operation.value)
    if len(shown) > 48:
        shown = shown[:45] + "..."
    words = "delete" if operation.kind == "delete" else f"{operation.kind} {shown}"
    if not operation.consistent:
        words = f"eventual {words}"
    if operation.lsn is not None:
        words += f" at LSN {operation.lsn}"
    return words if operation.outcome == "ok" else f"{words} ({operation.outcome})"


def timeline(operations: list[Operation], columns: int = 32, lines_max: int = 24) -> str:
    """The operations in order of their start, one a line, each with a bar that shows when it ran."""
    ordered = sorted(operations, key=lambda operation: (operation.invoked, operation.returned))
    ends = [operation.returned for operation in ordered if operation.outcome == "ok"]
    start = ordered[0].invoked
    end = max([*ends, *(operation.invoked + 1 for operation in ordered)])
    lines = []
    for operation in ordered[:lines_max]:
        left = (operation.invoked - start) * (columns - 1) // (end - start)
        open_ended = operation.outcome != "ok"
        right = columns - 1 if open_ended else (operation.returned - start) * (columns - 1) // (end - start)
        bar = " " * left + "|" + "-" * max(0, right - left - 1) + (">" if open_ended else "|" * (right > left))
        until = "..." if open_ended else str(operation.returned)
        words = f"{operation.client or '-':>8}  {describe(operation)}  [{operation.invoked}, {until}]"
        lines.append(f"  {bar:<{columns + 1}} {words}")
    if len(ordered) > lines_max:
        lines.append(f"  ... and {len(ordered) - lines_max} more")
    return "\n".join(lines)
