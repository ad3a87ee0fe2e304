"""Which other nodes are there: whose connection was lost, and who has said nothing for a lease.

A machine that loses its power resets no connection: only its silence tells. Whoever takes part in a group that this
node masters answers heartbeats, several in a lease.
"""

from __future__ import annotations

from keystead_core.ids import Micros, NodeId


class Peers:
    """`patience`: for how long a node that is silent is taken to be there."""

    __slots__ = ("_heard_at", "_lost", "_patience")

    def __init__(self, patience: Micros) -> None:
        self._patience = patience
        self._lost: dict[NodeId, None] = {}
        self._heard_at: dict[NodeId, Micros] = {}

    def on_lost(self, node: NodeId) -> None:
        self._lost[node] = None

    def on_heard(self, node: NodeId, now: Micros) -> None:
        self._lost.pop(node, None)
        self._heard_at[node] = now

    def is_lost(self, node: NodeId) -> bool:
        """Was the connection to it lost, and nothing heard since?"""
        return node in self._lost

    def is_live(self, node: NodeId, now: Micros) -> bool:
        """Has it been heard of lately? What needs it would wait, else, for as long as it stays away."""
        heard_at = self._heard_at.get(node)
        return heard_at is not None and now - heard_at <= self._patience and node not in self._lost
