"""Changes of a row that depend on what the row holds: judged at the partition's master, in one turn with the write."""

import msgspec


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a row. `writes`: it becomes `value` (None: it is deleted); else it stays. `answer`: see below."""

    writes: bool
    value: bytes | None
    answer: bytes


def decide(change: bytes, value: bytes | None) -> Decision:
    raise NotImplementedError
