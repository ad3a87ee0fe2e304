"""The simulated disk under the real hot log: 4 KiB blocks in memory, an explicit sync, and what goes wrong with disks.

What is written can be read at once; it is durable with the sync that follows. A power loss leaves of each block that
was not synced the old content, the new one, or a mixture of their 512-byte sectors. `rot` flips bits of what stands
on the disk; a write that is led astray lands elsewhere and leaves its own place as it was.
"""

from collections.abc import Sequence
from random import Random

BLOCK_BYTES = 4096
SECTOR_BYTES = 512
_EMPTY = bytes(BLOCK_BYTES)


class SimDisk:
    """Implements storage.block.Disk. `bad`: places that do not hold what was written there last, with what they hold
    instead; once the place is written again, it is as good as any."""

    __slots__ = ("_astray", "bad", "blocks", "size_bytes", "unsynced")

    def __init__(self, blocks: int) -> None:
        self.size_bytes = blocks * BLOCK_BYTES
        self.blocks = [_EMPTY] * blocks
        self.unsynced: list[tuple[int, bytes]] = []
        self.bad: dict[int, bytes] = {}
        self._astray: tuple[float, float] | None = None

    def read(self, offset: int, length: int) -> bytes:
        first = offset // BLOCK_BYTES
        if length == BLOCK_BYTES:
            return self.blocks[first]
        return b"".join(self.blocks[first : first + length // BLOCK_BYTES])

    def write(self, offset: int, data: bytes) -> None:
        place = offset // BLOCK_BYTES
        for begin in range(0, len(data), BLOCK_BYTES):
            self._put(place, data if len(data) == BLOCK_BYTES else data[begin : begin + BLOCK_BYTES])
            place += 1

    def _put(self, place: int, data: bytes) -> None:
        self.unsynced.append((place, self.blocks[place]))
        self.blocks[place] = data

    def write_all(self, writes: Sequence[tuple[int, bytes]]) -> bool:
        """Returns whether one of the blocks went astray."""
        for offset, data in writes:
            self.write(offset, data)
        if self._astray is None:
            return False
        return self._lead_astray(*self._astray)

    def _lead_astray(self, which: float, where: float) -> bool:
        """One of the blocks just written lands on a block that is none of them."""
        written = {place for place, _ in self.unsynced}
        at = int(which * len(self.unsynced))
        place, before = self.unsynced[at]
        victim = 1 + int(where * (len(self.blocks) - 2))  # Not the superblocks: they are written once.
        if victim in written or before == self.blocks[place]:
            return False
        self._astray = None
        self._put(victim, self.blocks[place])
        self.bad[victim] = self.blocks[victim]
        self.blocks[place] = before
        self.bad[place] = before
        return True

    def lead_astray(self, which: float, where: float) -> None:
        """One block of a batch that is written soon will land elsewhere; both numbers in [0, 1) say which and where."""
        self._astray = (which, where)

    def sync(self) -> None:
        self.unsynced.clear()

    def crash(self, random: Random, power: bool) -> bool:
        """What was not synced may be lost or torn, if the power went; a killed process may have been about to write
        the rest. Returns whether anything was lost."""
        lost = False
        if power:
            for place, before in reversed(self.unsynced):
                dice = random.random()
                if dice < 0.4:
                    self.blocks[place] = before
                    lost = True
                elif dice < 0.65:
                    self.blocks[place] = torn(random, before, self.blocks[place])
                    lost = True
        elif self.unsynced and random.random() < 0.4:
            for place, before in reversed(self.unsynced[random.randrange(len(self.unsynced)) :]):
                self.blocks[place] = before
                lost = True
        self.unsynced.clear()
        return lost

    def rot(self, place: int, bit: int) -> bool:
        """Flips a bit; returns False where nothing was ever written."""
        content = bytearray(self.blocks[place])
        if content == _EMPTY or any(at == place for at, _ in self.unsynced):
            return False
        content[bit // 8] ^= 1 << bit % 8
        self.blocks[place] = self.bad[place] = bytes(content)
        return True

    @property
    def is_sound(self) -> bool:
        """Whether everything bad has been written over since."""
        if self.bad:
            self.bad = {place: content for place, content in self.bad.items() if self.blocks[place] is content}
        return not self.bad and self._astray is None

    def copy(self) -> "SimDisk":
        assert not self.unsynced
        other = SimDisk(0)
        other.size_bytes = self.size_bytes
        other.blocks = list(self.blocks)
        other.bad = dict(self.bad)
        return other


def torn(random: Random, before: bytes, after: bytes) -> bytes:
    """Some sectors of the one, some of the other."""
    bits = random.getrandbits(BLOCK_BYTES // SECTOR_BYTES)
    sectors = []
    for number in range(BLOCK_BYTES // SECTOR_BYTES):
        source = after if bits >> number & 1 else before
        sectors.append(source[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES])
    return b"".join(sectors)
