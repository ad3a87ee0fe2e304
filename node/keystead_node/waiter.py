"""Writes under way: proposed or about to be, and not yet applied here."""

import asyncio


class Waiter:
    """One row that is written, or a record of several. `wants_old`: answer with the row before it (a DATA write of one
    row, which becomes `value`). `before`: what was the row's last write when this one came, as long as this one may
    still be refused. `rows`: of a record of several, each of them; of one row, none."""

    __slots__ = ("before", "future", "is_over", "result", "row_key", "rows", "value", "wants_old")

    def __init__(
        self,
        future: "asyncio.Future[bytes | None]",
        row_key: bytes,
        value: bytes | None,
        wants_old: bool,
        rows: "tuple[Waiter, ...]" = (),
    ) -> None:
        self.future = future
        self.row_key = row_key
        self.value = value
        self.wants_old = wants_old
        self.rows = rows
        self.before: Waiter | None = None
        self.is_over = False
        self.result: bytes | None = None
