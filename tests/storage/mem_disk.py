"""A disk in memory for tests: what is written and not synced may be lost, torn or kept, as the test says."""

from collections.abc import Callable, Iterable


class MemDisk:
    """`durable` is what a crash leaves for sure; `pending` holds the writes since the last sync, in order."""

    def __init__(self, size_bytes: int) -> None:
        self.durable = bytearray(size_bytes)
        self.visible = bytearray(size_bytes)
        self.pending: list[tuple[int, bytes]] = []
        self.syncs = 0

    @property
    def size_bytes(self) -> int:
        return len(self.visible)

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0 and offset + length <= len(self.visible), "read outside the disk"
        return bytes(self.visible[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        assert offset >= 0 and offset + len(data) <= len(self.visible), "write outside the disk"
        self.visible[offset : offset + len(data)] = data
        self.pending.append((offset, data))

    def write_all(self, writes: Iterable[tuple[int, bytes]]) -> None:
        for offset, data in writes:
            self.write(offset, data)

    def sync(self) -> None:
        for offset, data in self.pending:
            self.durable[offset : offset + len(data)] = data
        self.pending.clear()
        self.syncs += 1

    def crash(self, survives: Callable[[int], bool], sector_bytes: int = 512) -> "MemDisk":
        """The disk after a power failure: each unsynced sector is there if `survives(its running number)`."""
        after = MemDisk(len(self.durable))
        after.durable[:] = self.durable
        number = 0
        for offset, data in self.pending:
            for begin in range(0, len(data), sector_bytes):
                if survives(number):
                    part = data[begin : begin + sector_bytes]
                    after.durable[offset + begin : offset + begin + len(part)] = part
                number += 1
        after.visible[:] = after.durable
        return after

    def copy(self) -> "MemDisk":
        """The same disk as a killed process leaves it: everything written can be read."""
        after = MemDisk(len(self.visible))
        after.durable[:] = self.durable
        after.visible[:] = self.visible
        after.pending = list(self.pending)
        return after

    def flip_bit(self, offset: int, bit: int = 0) -> None:
        self.visible[offset] ^= 1 << bit
        self.durable[offset] = self.visible[offset]
