"""The files of a partition's cold log, in memory (storage.cold_log.SegmentStore)."""


class SegmentFiles:
    """`bad`: files in which a bit was flipped, as they are since."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.bad: dict[str, bytes] = {}
        self._temporary: dict[str, bytes] = {}

    def names(self) -> list[str]:
        return sorted(self.files)

    def size_bytes(self, name: str) -> int:
        return len(self.files[name])

    def read(self, name: str, offset: int, length: int) -> bytes:
        return self.files[name][offset : offset + length]

    def write_temporary(self, name: str, data: bytes) -> None:
        self._temporary[name] = data

    def read_temporary(self, name: str) -> bytes:
        return self._temporary[name]

    def publish(self, name: str) -> None:
        self.files[name] = self._temporary.pop(name)

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def rot(self, name: str, a: float) -> None:
        """Flips a bit of a file."""
        content = bytearray(self.files[name])
        content[int(a * len(content))] ^= 1 << int(a * 7919) % 8
        self.files[name] = self.bad[name] = bytes(content)

    @property
    def is_sound(self) -> bool:
        self.bad = {name: content for name, content in self.bad.items() if self.files.get(name) is content}
        return not self.bad

    def copy(self) -> "SegmentFiles":
        other = SegmentFiles()
        other.files, other.bad = dict(self.files), dict(self.bad)
        return other
