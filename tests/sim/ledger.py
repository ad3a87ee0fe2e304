"""What a group has committed, as one account for all replicas: each LSN is entered once, and for ever.

`digests[lsn]` is the digest of the rows that the log up to `lsn` makes; `writes[key]` the (lsn, value) of each write;
`written[value]` the LSN that wrote it; `answered_lsn` the last that a client was told of, in the epoch `served_epoch`.
"""

from collections.abc import Callable

from keystead_core.ids import Epoch, Lsn
from keystead_core.log.ops import decode_changes
from keystead_core.log.record import HEADER_BYTES, Kind, Record
from keystead_core.replication.membership import Membership, decode_membership
from keystead_core.split.record import Split, decode_split, membership_of
from tests.sim.rows import Key, Value, digest_of, key_bytes, key_of, row_digest


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
        self.splits: list[tuple[Lsn, Split]] = []
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
                self.writes.setdefault(key_of(key), []).append((record.lsn, int(value)))
                self.written[int(value)] = record.lsn
        elif record.kind == Kind.SPLIT:
            split = decode_split(record.body)
            self.splits.append((record.lsn, split))
            digest = self._keep(lambda key: key < split.at)
        self.digests.append(digest)

    def _keep(self, is_kept: Callable[[bytes], bool]) -> int:
        """Forgets the other rows; returns the digest of those that stay."""
        self.rows = {key: value for key, value in self.rows.items() if is_kept(key)}
        return digest_of(self.rows)

    def right_of(self, split: Split, rows: dict[bytes, bytes]) -> "Ledger":
        """The account of the right group: it begins as this one stands, at the split; `rows`: those before it."""
        right = Ledger()
        right.hashes, right.epochs = list(self.hashes), list(self.epochs)
        right.committed_in = [0] * len(self.committed_in)  # By another group, whose epochs do not count in this one.
        right.digests = list(self.digests)
        right.writes = {key: list(found) for key, found in self.writes.items() if key_bytes(key) >= split.at}
        right.written = dict(self.written)
        right.rows = rows
        right.digests[-1] = right._keep(lambda key: key >= split.at and (split.high is None or key < split.high))
        right.memberships = [(self.last_lsn, membership_of(split, self.epochs[-1]))]
        return right

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
