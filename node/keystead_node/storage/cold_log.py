"""STAND-IN until the storage author's version lands."""

import os
from pathlib import Path

import zstandard

from keystead_core.log.entries import EMPTY_LOG, LogPoint
from keystead_core.log.record import Record, decode_records


class DirectoryStore:
    def __init__(self, path: Path) -> None:
        self.path = path


class ColdLog:
    def __init__(self, store: DirectoryStore, partition: int) -> None:
        self.path = store.path
        self.files = sorted(self.path.glob("*.seg")) if self.path.is_dir() else []
        self.start_lsn = int(self.files[0].name.split("-")[0]) if self.files else 0
        self.end = EMPTY_LOG
        if self.files:
            last = self._read(self.files[-1])[-1]
            self.end = LogPoint(last.epoch, last.lsn, last.hash)

    def _read(self, f: Path) -> list[Record]:
        return decode_records(zstandard.decompress(f.read_bytes()))

    def seal(self, records: list[Record]) -> None:
        name = f"{records[0].lsn:020d}-{records[-1].lsn:020d}.seg"
        tmp = self.path / (name + ".tmp")
        with tmp.open("wb") as fh:
            fh.write(zstandard.compress(b"".join(r.raw for r in records)))
            fh.flush()
            os.fsync(fh.fileno())
        tmp.rename(self.path / name)
        self.files.append(self.path / name)
        self.start_lsn = self.start_lsn or records[0].lsn
        self.end = LogPoint(records[-1].epoch, records[-1].lsn, records[-1].hash)

    def read_from(self, lsn: int, max_bytes: int) -> list[Record]:
        out: list[Record] = []
        size = 0
        for f in self.files:
            if int(f.name.split("-")[1].split(".")[0]) < lsn:
                continue
            for r in self._read(f):
                if r.lsn >= lsn:
                    out.append(r)
                    size += len(r.raw)
                    if size >= max_bytes:
                        return out
        return out
