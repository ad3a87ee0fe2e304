"""The lock service: a counter for each group, raised by compare-and-set. It can be away."""

from keystead_core.ids import PartitionId


class LockService:
    def __init__(self) -> None:
        self.counters: dict[PartitionId, int] = {}
        self.away = False

    def take(self, partition: PartitionId, at_least: int) -> int:
        counter = max(self.counters.get(partition, 0), at_least) + 1
        self.counters[partition] = counter
        return counter
