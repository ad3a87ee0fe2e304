"""Where things are in a data directory, and how small files are replaced whole."""

import contextlib
import os
import shutil
from pathlib import Path

import msgspec


class DataDir(msgspec.Struct, frozen=True):
    """The paths of a data directory."""

    root: Path

    @property
    def cluster_file(self) -> Path:
        return self.root / "cluster.json"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def supervisor_file(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def supervisor_log(self) -> Path:
        return self.run / "supervisor.log"

    @property
    def reconcile_file(self) -> Path:
        return self.run / "reconcile.json"

    @property
    def catalog_lock_file(self) -> Path:
        return self.root / "catalog.lock"

    @property
    def nodes(self) -> Path:
        return self.root / "nodes"

    def volume(self, name: str) -> Path:
        return self.nodes / name

    def node_config(self, name: str) -> Path:
        return self.run / f"{name}.config.json"

    def node_log(self, name: str) -> Path:
        return self.run / f"{name}.log"

    def audit_log(self, name: str) -> Path:
        return self.run / f"{name}.audit.jsonl"

    def node_pid(self, name: str) -> Path:
        return self.run / f"{name}.pid"


def remove_tree(path: Path) -> None:
    """Takes a directory away, first of all its name: what is cut off leaves a remainder that nobody takes for it."""
    doomed = path.with_name(f".{path.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        path.replace(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Writes the file whole and durably: a reader, and a crash, see the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
