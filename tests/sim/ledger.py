"""What a group has committed, as one account for all replicas: each LSN is entered once, and for ever.

`digests[lsn]` is the digest of the rows that the log up to `lsn` makes; `writes[key]` the (lsn, value) of each write;
`written[value]` the LSN that wrote it; `answered_lsn` the last that a client was told of, in the epoch `served_epoch`.
"""

from keystead_core.ids import Epoch, Lsn
from keystead_core.log.ops import decode_changes
from keystead_core.log.record import HEADER_BYTES, Kind, Record
from keystead_core.replication.membership import Membership, decode_membership
from tests.sim.rows import Key, Value, row_digest


class Ledger:
    def __init__(self) -> None:
        self.hashes: list[int] = [0]
        self.epochs: list[Epoch] = [0]
        self.committed_in: list[Epoch] = [0]
        self.digests: list[int] = [0]
        self.writes: dict[Key, list[tuple[Lsn, Value]]] = {}
        self.written: dict[Value, Lsn] = {}
        self.rows: dict[bytes, bytes] = {}
        self.memberships: list[tuple[Lsn, Membership]] = []
        self.served_epoch: Epoch = 0
        self.answered_lsn: Lsn = 0

    @property
    def last_lsn(self) -> Lsn:
        return len(self.hashes) - 1

    def enter(self, record: Record, committed_in: Epoch) -> None:
        self.hashes.append(record.hash)
        self.committed_in.append(committed_in)
        self.epochs.append(record.epoch)
        if record.kind == Kind.MEMBERSHIP:
            self.memberships.append((record.lsn, decode_membership(record.body)))
        digest = self.digests[-1]
        if record.kind == Kind.DATA:
            for key, value in decode_changes(record.raw, HEADER_BYTES):
                assert value is not None
                old = self.rows.get(key)
                if old is not None:
                    digest ^= row_digest(key, old)
                self.rows[key] = value
                digest ^= row_digest(key, value)
                self.writes.setdefault(int(key[1:]), []).append((record.lsn, int(value)))
                self.written[int(value)] = record.lsn
        self.digests.append(digest)

    def membership_at(self, lsn: Lsn) -> Membership | None:
        """What the last membership record at or below `lsn` says."""
        return next((m for at, m in reversed(self.memberships) if at <= lsn), None)

    def last_before(self, epoch: Epoch) -> Lsn:
        """The last LSN that a master of an earlier epoch committed: what a master of this one must have."""
        lsn = self.last_lsn
        while self.committed_in[lsn] > epoch:
            lsn -= 1
        return lsn

    def value_at(self, key: Key, lsn: Lsn) -> tuple[Value | None, Lsn]:
        """The key's value, and the LSN that wrote it, in the state at `lsn`."""
        for at, value in reversed(self.writes.get(key, [])):
            if at <= lsn:
                return value, at
        return None, 0
