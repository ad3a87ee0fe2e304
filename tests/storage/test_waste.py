"""Directories that are in the way: gone at once for whoever looks, deleted beside everything else."""

import errno
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keystead_node.storage.waste import WASTE, Waste

SECONDS_MAX = 10.0


def filled(directory: Path) -> Path:
    (directory / "deep").mkdir(parents=True)
    (directory / "one").write_bytes(b"1")
    (directory / "deep" / "two").write_bytes(b"2")
    return directory


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS_MAX
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_empty(data: Path) -> bool:
    return not list((data / WASTE).iterdir())


def test_what_is_thrown_away_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that takes its time to delete: the place is free all the same."""
    may_go, unlink = threading.Event(), Path.unlink

    def slow(path: Path, *arguments: Any) -> None:
        may_go.wait(SECONDS_MAX)
        unlink(path, *arguments)

    monkeypatch.setattr(Path, "unlink", slow)
    waste = Waste(tmp_path)
    rows = filled(tmp_path / "rows")
    waste.throw(rows)
    assert not rows.exists()
    waste.throw(filled(rows))
    assert not rows.exists() and not is_empty(tmp_path)
    may_go.set()
    wait_until(lambda: is_empty(tmp_path))
    waste.close()


def test_what_a_stop_left_over_goes_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as held:
        held.setattr(threading.Thread, "start", lambda thread: None)
        held.setattr(threading.Thread, "join", lambda thread: None)
        killed = Waste(tmp_path)
        killed.throw(filled(tmp_path / "rows"))
    assert not is_empty(tmp_path)
    waste = Waste(tmp_path)
    wait_until(lambda: is_empty(tmp_path))
    waste.close()


def test_a_full_disk_keeps_nothing_that_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    waste = Waste(tmp_path)
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    waste.throw(filled(tmp_path / "rows"))
    assert not (tmp_path / "rows").exists()
    waste.close()


def test_nothing_is_thrown_away_where_nothing_is(tmp_path: Path) -> None:
    waste = Waste(tmp_path)
    waste.throw(tmp_path / "rows")
    waste.close()
    assert is_empty(tmp_path)
