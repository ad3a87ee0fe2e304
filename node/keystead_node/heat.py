"""How much each partition is used here: units of reads and writes, and a sample of the keys.

Counted where a request reaches the rows, so that it costs a request next to nothing: units are those of the row as it
is stored, which is near enough for what is decided by them.
"""

from collections.abc import Container
from time import perf_counter
from typing import Final

from keystead_core.ids import PartitionId

SAMPLE_EVERY: Final = 8
SAMPLE_KEYS: Final = 256
WRITE_UNIT_BYTES: Final = 1024
READ_UNIT_BYTES: Final = 4096


class PartitionHeat:
    """Of one partition. `reads` and `writes`: units since the start; `cpu_seconds`: of the node's event loop, what its
    requests and its replication took. `read_rate`, `write_rate` and `cpu_share`: a second, as of the last `settle`.
    `sample`: the latest keys, one of SAMPLE_EVERY requests."""

    __slots__ = (
        "_place",
        "_turn",
        "cpu_seconds",
        "cpu_share",
        "read_rate",
        "reads",
        "sample",
        "settled",
        "write_rate",
        "writes",
    )

    def __init__(self) -> None:
        self.reads = 0.0
        self.writes = 0.0
        self.read_rate = 0.0
        self.write_rate = 0.0
        self.cpu_seconds = 0.0
        self.cpu_share = 0.0
        self.settled = (0.0, 0.0, 0.0, 0.0)
        self.sample: list[bytes] = []
        self._turn = 0
        self._place = 0

    def wrote(self, row_key: bytes, size: int) -> None:
        self.writes += 1 + (size - 1) // WRITE_UNIT_BYTES if size else 1
        self._note(row_key)

    def read(self, row_key: bytes, size: int, began: float) -> None:
        """`began`: the `perf_counter` when the rows were turned to."""
        self.cpu_seconds += perf_counter() - began
        self.reads += 1 + (size - 1) // READ_UNIT_BYTES if size else 1
        self._note(row_key)

    def settle(self, now: float) -> None:
        """Works the rates out anew; `now` in seconds of a clock that does not go back."""
        at, reads, writes, cpu_seconds = self.settled
        seconds = now - at
        if at and seconds > 0:
            self.read_rate, self.write_rate = (self.reads - reads) / seconds, (self.writes - writes) / seconds
            self.cpu_share = (self.cpu_seconds - cpu_seconds) / seconds
        self.settled = (now, self.reads, self.writes, self.cpu_seconds)

    def in_order(self) -> list[bytes]:
        """The sample, the oldest first."""
        return self.sample[self._place :] + self.sample[: self._place]

    def _note(self, row_key: bytes) -> None:
        self._turn += 1
        if self._turn < SAMPLE_EVERY:
            return
        self._turn = 0
        if len(self.sample) < SAMPLE_KEYS:
            self.sample.append(row_key)
        else:
            self.sample[self._place] = row_key
            self._place = (self._place + 1) % SAMPLE_KEYS


class Heat:
    """Of a node. A partition's is made at its first request."""

    def __init__(self) -> None:
        self._partitions: dict[PartitionId, PartitionHeat] = {}

    def of(self, partition: PartitionId) -> PartitionHeat:
        found = self._partitions.get(partition)
        if found is None:
            found = self._partitions[partition] = PartitionHeat()
        return found

    def spent(self, on: object, seconds: float) -> None:
        """Time of the event loop on an event or a message: counted where that is of a partition which is in use."""
        heat = self._partitions.get(getattr(on, "partition", PartitionId(0)))
        if heat is not None:
            heat.cpu_seconds += seconds

    def known(self, partition: PartitionId) -> PartitionHeat | None:
        return self._partitions.get(partition)

    def used(self) -> float:
        """Units of all partitions so far, less those of partitions that went: it changes where anything is used."""
        return sum(heat.reads + heat.writes for heat in self._partitions.values())

    def settle(self, now: float, here: Container[PartitionId]) -> None:
        """Works out all rates anew; forgets the partitions of which no replica is `here`."""
        for partition in [partition for partition in self._partitions if partition not in here]:
            del self._partitions[partition]
        for heat in self._partitions.values():
            heat.settle(now)

    def forget(self, partition: PartitionId) -> None:
        self._partitions.pop(partition, None)
