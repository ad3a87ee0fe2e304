"""What a group has committed, as one account for all replicas: each LSN is entered once, and for ever.

`digests[lsn]` is the digest of the rows that the log up to `lsn` makes; `writes[key]` the (lsn, value) of each write.
"""

from keystead_core.ids import Epoch, Lsn
from keystead_core.log.record import Record
from tests.sim.rows import Key, RowState, Value


class Ledger:
    def __init__(self) -> None:
        self.hashes: list[int] = [0]
        self.epochs: list[Epoch] = [0]
        self.digests: list[int] = [0]
        self.writes: dict[Key, list[tuple[Lsn, Value]]] = {}
        self.state = RowState()
        self.served_epoch: Epoch = 0

    @property
    def last_lsn(self) -> Lsn:
        return len(self.hashes) - 1

    def enter(self, record: Record) -> None:
        self.hashes.append(record.hash)
        self.epochs.append(record.epoch)
        self.state.apply(record)
        self.digests.append(self.state.digest)
        if record.kind == 1:
            key = next(k for k, (_, lsn) in self.state.rows.items() if lsn == record.lsn)
            self.writes.setdefault(key, []).append((record.lsn, self.state.rows[key][0]))

    def value_at(self, key: Key, lsn: Lsn) -> tuple[Value | None, Lsn]:
        """The key's value, and the LSN that wrote it, in the state at `lsn`."""
        for at, value in reversed(self.writes.get(key, [])):
            if at <= lsn:
                return value, at
        return None, 0
