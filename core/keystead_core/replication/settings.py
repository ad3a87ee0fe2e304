"""The protocol's constants of one cluster. All times in microseconds, all sizes in bytes."""

import msgspec

from keystead_core.ids import MILLISECOND, SECOND, Micros


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`drift_ppm` bounds how far the rates of two clocks differ. `lock`: required | preferred | none.

    `reads`: lease (a master inside its lease) | quorum (a heartbeat round begun after the request).
    """

    lease: Micros = SECOND
    heartbeat: Micros = 200 * MILLISECOND
    drift_ppm: int = 20_000
    gather_wait: Micros = 50 * MILLISECOND
    lock: str = "preferred"
    reads: str = "lease"
    resend: Micros = 400 * MILLISECOND
    commit_notice: Micros = 20 * MILLISECOND
    seal_bytes: int = 4 * 1024 * 1024
    append_bytes_max: int = 1024 * 1024
    window_bytes: int = 8 * 1024 * 1024
    backlog_bytes_max: int = 32 * 1024 * 1024
    level_records: int = 64

    @property
    def granted(self) -> Micros:
        """For how long a granter keeps its word, on its own clock: the lease with the drift bound applied."""
        return self.lease + self.lease * self.drift_ppm // 1_000_000
