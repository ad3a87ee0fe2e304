"""The registry of planted bugs: name -> the rule that is taken away, and the functions that take its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec

Patch = tuple[Any, str, Any]


class Planted(msgspec.Struct, frozen=True):
    """One bug. `rule`: what no longer holds. `patches`: (owner, attribute, replacement). `steered`: it is hunted in
    runs where nodes come and go."""

    name: str
    rule: str
    patches: list[Patch]
    steered: bool = False

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """The bug is in the core for as long as this lasts."""
        before = [(owner, name, owner.__dict__[name]) for owner, name, _ in self.patches]
        for owner, name, replacement in self.patches:
            setattr(owner, name, replacement)
        try:
            yield
        finally:
            for owner, name, original in before:
                setattr(owner, name, original)


BUGS: dict[str, Planted] = {}


def plant(name: str, rule: str, *patches: Patch, steered: bool = False) -> None:
    assert name not in BUGS
    BUGS[name] = Planted(name, rule, list(patches), steered)
