"""Preferred masters, levelled: a group's first place goes to another of its members until no node has too many.

    level_masters(groups, may_be_first, others, changes_max) -> {number of a group: its new first}

A hand-over from a node to another that is first of at least two groups fewer makes the load more even. Where the two
share no group, a chain of hand-overs over nodes between them does the same, and leaves those as they were. When there
is no such chain either, no choice of firsts is more even (a semi-matching of least cost: Harvey, Ladner, Lovász, Tamir,
"Semi-Matchings for Bipartite Graphs and Load Balancing", 2003). Chains are the shortest there are, so hand-overs are
few; who is in a group never changes here. Between nodes that are within 2% of the mean, in whole groups, nothing is
handed over: a node gives that is above, and any gives to one that is below, such as one that has just come.
"""

from collections import deque
from collections.abc import Collection, Mapping

from keystead_core.ids import NodeId
from keystead_core.quotas import level_enough

WORTH_IT = 2
"""How many more groups the one end of a chain must be first of."""


def level_masters(
    groups: list[list[NodeId]],
    may_be_first: Collection[NodeId],
    others: Mapping[NodeId, int] | None = None,
    changes_max: int = 0,
) -> dict[int, NodeId]:
    """The groups to change, by their numbers in `groups`, whose first members are preferred now.

    `others`: how many further groups each node is first of. Only nodes of `may_be_first` give or take. No chain is
    begun once `changes_max` groups have changed (0: no limit).
    """
    levels = _Levels(groups, may_be_first, others or {})
    total, nodes = sum(levels.count.values()), max(1, len(levels.count))
    enough = level_enough(-(-total // nodes))
    low = total // nodes - total // nodes // 50
    again = True
    while again:
        again = False
        barren: set[NodeId] = set()
        for node in sorted(levels.count, key=lambda one: (-levels.count[one], one)):
            while chain := levels.chain_from(node, None if levels.count[node] > enough else low, barren):
                levels.hand_over(chain)
                again = True
                if changes_max and len(levels.changed) >= changes_max:
                    return levels.changes(groups)
    return levels.changes(groups)


class _Levels:
    """`_between[a][b]`: groups that a is first of and b is in too; may hold groups that have another first by now."""

    def __init__(
        self, groups: list[list[NodeId]], may_be_first: Collection[NodeId], others: Mapping[NodeId, int]
    ) -> None:
        may = set(may_be_first)
        self.count = {node: others.get(node, 0) for node in sorted(may)}
        self.changed: set[int] = set()
        self._first = [group[0] for group in groups]
        self._members = [[node for node in group if node in may] for group in groups]
        self._between: dict[NodeId, dict[NodeId, list[int]]] = {node: {} for node in self.count}
        for number, first in enumerate(self._first):
            if first in self.count:
                self.count[first] += 1
                self._note(number)

    def changes(self, groups: list[list[NodeId]]) -> dict[int, NodeId]:
        return {n: self._first[n] for n in sorted(self.changed) if self._first[n] != groups[n][0]}

    def chain_from(self, start: NodeId, below: int | None, barren: set[NodeId]) -> list[tuple[int, NodeId]]:
        """The shortest chain from the node to one with less, as (group, its new first), the last hand-over first.

        `below`: to one with less than that. `barren`: nodes from which, as was found before, none leads to any that has
        so little; what is found now goes in. It is for starts in the order of what they have, the most first.
        """
        most = self.count[start] - WORTH_IT
        if below is not None:
            most = min(most, below - 1)
            if start in barren or most < min(self.count.values()):
                return []
        came: dict[NodeId, tuple[NodeId, int]] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for other in list(self._between[node]):
                if other == start or other in came or (group := self._group(node, other)) is None:
                    continue
                came[other] = (node, group)
                if self.count[other] <= most:
                    chain = []
                    while other != start:
                        before, number = came[other]
                        chain.append((number, other))
                        other = before
                    return chain
                queue.append(other)
        if below is not None:
            barren |= {start, *came}
        return []

    def hand_over(self, chain: list[tuple[int, NodeId]]) -> None:
        for number, new in chain:
            self.count[self._first[number]] -= 1
            self.count[new] += 1
            self._first[number] = new
            self.changed.add(number)
            self._note(number)

    def _note(self, number: int) -> None:
        first = self._first[number]
        for other in self._members[number]:
            if other != first:
                self._between[first].setdefault(other, []).append(number)

    def _group(self, node: NodeId, other: NodeId) -> int | None:
        """A group that `node` could hand over to `other`."""
        numbers = self._between[node][other]
        while numbers and self._first[numbers[-1]] != node:
            numbers.pop()
        if not numbers:
            del self._between[node][other]
            return None
        return numbers[-1]
