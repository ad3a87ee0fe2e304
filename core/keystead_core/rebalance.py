"""Which replicas move when nodes come and go, or a cluster is out of level: as few as can be.

    plan_moves(partitions, sites, rule, pinned, version) -> RebalancePlan

The quota table (quotas.py) says what each of the wanted nodes `sites` should hold. Three kinds of moves lead there, in
this order: replicas on other nodes go (they are leaving), groups that lie in fewer zones than they could get into more,
and nodes above their quota give to nodes below it. Only a node below its quota takes a replica, so that

    moves = the sum, over the nodes below their quotas, of what they lack                     = moves_min

unless the zones of single groups force more (`moves_min` knows of those) or single groups do beyond that (it does not).
Nodes were added: only they lack something. Nodes go: only their replicas move. Nobody remembers a plan: after any part
of one was carried out, the plan made anew has just the moves that remain.

No move brings two replicas of a group under one fate, or lets the group span fewer zones than it could. Groups on the
same nodes (a run) move together as far as quotas allow, first of all to nodes that are peers already: that keeps peers
few. Where a group's rules leave a node short although another has too much, the two are joined by a chain over third
nodes (`_Board._chains`), at first such that only sends on what is on its way already.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection

import msgspec

from keystead_core.catalog.commands import ReplicaSpec, SetTarget
from keystead_core.cluster_map import PartitionEntry
from keystead_core.ids import NodeId, PartitionId
from keystead_core.ledger import PlacementRule, Site
from keystead_core.quotas import Quotas, fates_by_zone, level_enough, quotas_of, zone_bounds

NOWHERE = -1
"""The zone of a node that is to hold nothing."""

ROUNDS_MAX = 3
"""How often what is still out of level after a round of moves is looked at anew."""

CHAIN_CHECKS_MAX = 300_000
"""How many places are looked at for chains before what is out of level stays so in this round: half a second."""


class Move(msgspec.Struct, frozen=True):
    """One replica of a group goes from a node to another."""

    partition: PartitionId
    source: NodeId
    to: NodeId


class RebalancePlan(msgspec.Struct, frozen=True):
    """`moves`, those of one group one after the other. `moves_min`: below that no plan reaches the quotas.

    `unplaced`: replicas on nodes that go, for which there is no other place.
    """

    quotas: Quotas
    moves: list[Move]
    moves_min: int
    unplaced: int = 0


def quotas_for(groups: Collection[list[NodeId]], sites: list[Site], version: int = 0) -> Quotas:
    """The quota table for the groups as they are, each a list of nodes with the preferred master first."""
    shapes = Counter(map(len, groups))
    masters = Counter(group[0] for group in groups if group)
    held = Counter(node for group in groups for node in group)
    return quotas_of(shapes, sites, held, masters, version)


def plan_moves(
    partitions: list[PartitionEntry],
    sites: list[Site],
    rule: PlacementRule,
    pinned: Collection[PartitionId] = (),
    version: int = 0,
) -> RebalancePlan:
    """All moves to the quotas of the nodes `sites`. `pinned` groups leave nodes that go, and else stay as they are."""
    before = {entry.id: [place.node for place in entry.target] for entry in sorted(partitions, key=lambda one: one.id)}
    board = _Board(before, sites, rule, version)
    quotas, moves_min = board.quotas, board.moves_min(pinned)
    touched: set[PartitionId] = set()
    after = before
    for _ in range(ROUNDS_MAX):
        changed = board.carry_out(pinned)
        after = after | changed
        touched.update(changed)
        if not changed or board.is_done():
            break
        board = _Board(after, sites, rule, version)
    return RebalancePlan(quotas, _moves(before, after, sorted(touched), sites), moves_min, board.unplaced)


def _moves(
    before: dict[PartitionId, list[NodeId]],
    after: dict[PartitionId, list[NodeId]],
    touched: list[PartitionId],
    sites: list[Site],
) -> list[Move]:
    """The difference; a replica's new place is in its own zone where there is one."""
    zone = {site.node: site.zone for site in sites}
    moves = []
    for partition in touched:
        takers = [node for node in after[partition] if node not in before[partition]]
        for source in [node for node in before[partition] if node not in after[partition]]:
            if takers:
                taker = next((node for node in takers if zone[node] == zone.get(source)), takers[0])
                takers.remove(taker)
                moves.append(Move(partition, source, taker))
    return moves


class _Doors(msgspec.Struct):
    """Where a replica of a run may go when it leaves its node: `width` zones, and not these fates."""

    zones: list[bool]
    width: int
    fates: set[int]


Run = tuple[int, ...]


class _Board:
    """The groups as they are after the moves so far. Nodes are numbers: the wanted ones first, then those that go."""

    def __init__(
        self, groups: dict[PartitionId, list[NodeId]], sites: list[Site], rule: PlacementRule, version: int
    ) -> None:
        self.unplaced = 0
        self._rule = rule
        self._sites = sorted(sites, key=lambda site: site.node)
        self._ids = list(groups)
        wanted = {site.node for site in self._sites}
        others = {node for group in groups.values() for node in group} - wanted
        self._nodes = [site.node for site in self._sites] + sorted(others)
        number_of = {node: number for number, node in enumerate(self._nodes)}
        zones = fates_by_zone(self._sites)
        self._zones = len(zones)
        self._zone = [NOWHERE] * len(self._nodes)
        self._fate = [NOWHERE] * len(self._nodes)
        fate_number = 0
        for zone_number, fates in enumerate(zones.values()):
            for several in fates.values():
                for site in several:
                    self._zone[number_of[site.node]] = zone_number
                    self._fate[number_of[site.node]] = fate_number
                fate_number += 1
        self._before = [[number_of[node] for node in group] for group in groups.values()]
        self._after = [tuple(sorted(group)) for group in self._before]
        shapes = Counter(map(len, self._before))
        held = Counter(self._nodes[node] for group in self._before for node in group)
        self.quotas = quotas_for(groups.values(), self._sites, version)
        self.quota = [self.quotas.nodes[site.node].replicas for site in self._sites]
        self.load = [0] * len(self._nodes)
        self._touched: set[int] = set()
        self._fixed: set[int] = set()
        self._givers = {n for n, site in enumerate(self._sites) if held[site.node] > self.quota[n]}
        self._checks_left = CHAIN_CHECKS_MAX
        self._bounds = {size: zone_bounds(size, [len(fates) for fates in zones.values()]) for size in shapes}
        self._peers: list[dict[int, int]] = [{} for _ in self._nodes]
        self._runs: dict[Run, list[int]] = {}
        self._held: list[dict[Run, None]] = [{} for _ in self._nodes]
        self._stamp = [0] * len(self._nodes)
        self._barren: dict[tuple[int, int, int], int] = {}
        self._doors: dict[tuple[Run, int], _Doors] = {}
        runs: dict[Run, list[int]] = {}
        for number, run in enumerate(self._after):
            runs.setdefault(run, []).append(number)
        for run, numbers in sorted(runs.items(), key=lambda item: (-len(item[1]), item[0])):
            self._put(run, numbers)

    def moves_min(self, pinned: Collection[PartitionId]) -> int:
        """By zone, the larger of two: what its nodes lack to their quotas, and what the zones of single groups force
        into it, whatever the quotas are."""
        pinned_numbers = self._numbers(pinned)
        lacking, forced = [0] * self._zones, [0] * self._zones
        for node, quota in enumerate(self.quota):
            lacking[self._zone[node]] += max(0, quota - self.load[node])
        for run, numbers in self._runs.items():
            must, count = self._must_get(run), len(numbers)
            if all(self._zone[node] != NOWHERE for node in run):
                count -= sum(number in pinned_numbers for number in numbers)
            for zone, more in enumerate(must):
                forced[zone] += more * count
        return sum(map(max, lacking, forced))

    def _must_get(self, run: Run) -> list[int]:
        """How many replicas of one group of the run each zone gets in any plan."""
        staying = [self._zone[node] for node in run if self._zone[node] != NOWHERE]
        seats, bounds = len(run) - len(staying), self._bounds[len(run)]
        owed = [max(0, low - staying.count(zone)) for zone, (low, _) in enumerate(bounds)]
        if sum(owed) >= seats:
            return owed
        only = [zone for zone, (_, high) in enumerate(bounds) if high > staying.count(zone)]
        return [seats if zone in only else 0 for zone in range(self._zones)] if len(only) == 1 else owed

    def carry_out(self, pinned: Collection[PartitionId]) -> dict[PartitionId, list[NodeId]]:
        """All the steps; the groups that are other than before."""
        self.unplaced = self._empty_going()
        self._fix(pinned)
        self._spread_zones()
        self._level()
        return {
            self._ids[number]: [self._nodes[node] for node in self._after[number]]
            for number in sorted(self._touched)
            if set(self._after[number]) != set(self._before[number])
        }

    def is_done(self) -> bool:
        """Whether another round would find nothing: no node is off its quota by more than is worth a look."""
        return not self._too_full() and not self._too_empty() and not any(map(self._owed, self._runs))

    # ---- the steps

    def _numbers(self, pinned: Collection[PartitionId]) -> set[int]:
        return {number for number, partition in enumerate(self._ids) if partition in pinned} if pinned else set()

    def _fix(self, pinned: Collection[PartitionId]) -> None:
        """Takes the pinned groups out of what may move; their replicas still count."""
        self._fixed = self._numbers(pinned)
        for number in sorted(self._fixed):
            self._runs[self._after[number]].remove(number)
            self._forget_empty(self._after[number])

    def _empty_going(self) -> int:
        """Every replica on a node that goes finds another place; how many do not. Those that only one zone may take
        choose first."""
        going = list(range(len(self._sites), len(self._nodes)))
        for zones_max in (1, self._zones):
            self._pair_up(going, lambda donor: self.load[donor], zones_max)
        left = 0
        for donor in going:
            for run in list(self._held[donor]):
                while run in self._runs and (taker := self._least_full(run, donor)) is not None:
                    self._take(run, donor, taker, 1)
                left += len(self._runs.get(run, ()))
        return left

    def _spread_zones(self) -> None:
        """Groups that could span more zones, or span them more evenly, do."""
        for run in list(self._runs):
            while run in self._runs and (pair := self._towards_short_zone(run)) is not None:
                donor, taker = pair
                room = min(self._surplus(donor), self.quota[taker] - self.load[taker])
                self._take(run, donor, taker, max(1, min(len(self._runs[run]), room)))

    def _level(self) -> None:
        """Nodes that were above their quota give to nodes below it; then chains of free moves, at last of any."""
        self._pair_up([node for node in self._givers if self._surplus(node) > 0], self._surplus, self._zones)
        self._chains(paid=False)
        self._chains(paid=True)

    # ---- inside

    def _surplus(self, node: int) -> int:
        return self.load[node] - self.quota[node]

    def _pair_up(self, donors: list[int], surplus_of: Callable[[int], int], zones_max: int) -> None:
        """Nodes below their quota take from the donors, at first only what makes no peers beyond the limit."""
        for limit in (self._rule.peers_max, 2 * self._rule.peers_max, 4 * self._rule.peers_max, len(self._nodes)):
            short = [node for node in range(len(self._sites)) if self.load[node] < self.quota[node]]
            # Those who lack little first: while all donors have something left, what is scattered comes from many.
            for taker in sorted(short, key=lambda node: (self.quota[node] - self.load[node], node)):
                donors = [donor for donor in donors if surplus_of(donor) > 0]
                for donor in sorted(donors, key=lambda node: (-surplus_of(node), node)):
                    if self.load[taker] >= self.quota[taker]:
                        break
                    self._take_runs(donor, taker, surplus_of(donor), limit, zones_max)

    def _take_runs(self, donor: int, taker: int, surplus: int, limit: int, zones_max: int) -> None:
        zone, met = self._zone[taker], False
        if self._barren.get((donor, zone, zones_max)) == self._stamp[donor]:
            return
        for run in list(self._held[donor]):
            doors = self._door(run, donor)
            if not doors.zones[zone] or doors.width > zones_max:
                continue
            met = True
            if self._fate[taker] in doors.fates or self._excess(run, donor, taker, limit):
                continue
            count = min(surplus, self.quota[taker] - self.load[taker], len(self._runs[run]))
            self._take(run, donor, taker, count)
            surplus -= count
            if surplus <= 0 or self.load[taker] >= self.quota[taker]:
                return
        if not met:
            self._barren[donor, zone, zones_max] = self._stamp[donor]

    def _too_full(self) -> list[int]:
        return [node for node in range(len(self._sites)) if self.load[node] > level_enough(self.quota[node])]

    def _too_empty(self) -> list[int]:
        return [node for node in range(len(self._sites)) if level_enough(self.load[node]) < self.quota[node]]

    def _chains(self, paid: bool) -> None:
        """Nodes that have too much and such that are short are brought together over nodes between them. A chain is
        free where each node between sends on a replica that was only just given to it: no more move in all."""
        arrived: dict[int, dict[int, None]] = {}
        if self._too_full() or self._too_empty():
            for number in sorted(self._touched - self._fixed):
                for node in self._after[number]:
                    if node not in self._before[number]:
                        arrived.setdefault(node, {})[number] = None
            for start in range(len(self._sites)):
                while self._surplus(start) > 0 and self._checks_left > 0:
                    chain = self._chain_from(start, arrived, paid)
                    for number, donor, taker in chain:
                        self._move_group(number, donor, taker)
                        arrived.get(donor, {}).pop(number, None)
                        arrived.setdefault(taker, {})[number] = None
                    if not chain:
                        break

    def _chain_from(self, start: int, arrived: dict[int, dict[int, None]], paid: bool) -> list[tuple[int, int, int]]:
        """(group, donor, taker) from the last to the first; no group twice."""
        came: dict[int, tuple[int, int]] = {}
        takers = [node for node in range(len(self._sites)) if paid or node not in self._givers]
        queue = deque([start])
        while queue:
            node = queue.popleft()
            used = {came[one][1] for one in self._way(came, start, node)}
            if paid or (node == start and start in self._givers):
                groups = [number for run in self._held[node] for number in self._runs[run][: len(used) + 1]]
            else:
                groups = list(arrived.get(node, {}))
            for number in groups:
                for taker in takers:
                    if taker == start or taker in came or number in used:
                        continue
                    self._checks_left -= 1
                    if (paid or taker not in self._before[number]) and self._may_take(self._after[number], node, taker):
                        came[taker] = (node, number)
                        queue.append(taker)
                        if self.load[taker] < self.quota[taker]:
                            return [(came[one][1], came[one][0], one) for one in self._way(came, start, taker)]
        return []

    @staticmethod
    def _way(came: dict[int, tuple[int, int]], start: int, end: int) -> list[int]:
        way = []
        while end != start:
            way.append(end)
            end = came[end][0]
        return way

    def _towards_short_zone(self, run: Run) -> tuple[int, int] | None:
        """Donor and taker of a move that brings the groups of a run into a zone where they lack a replica."""
        if not self._owed(run):
            return None
        best: tuple[int, int, int, int] | None = None
        for donor in run:
            doors = self._door(run, donor)
            if self._zone[donor] == NOWHERE or doors.zones[self._zone[donor]]:
                continue
            taker = self._least_full(run, donor)
            if taker is not None:
                key = (-self._surplus(donor), self._surplus(taker), donor, taker)
                best = key if best is None else min(best, key)
        return None if best is None else (best[2], best[3])

    def _least_full(self, run: Run, donor: int) -> int | None:
        """The taker that is furthest below its quota, or least above it."""
        takers = (node for node in range(len(self._sites)) if self._may_take(run, donor, node))
        return min(
            takers,
            key=lambda node: (self._surplus(node), self._excess(run, donor, node, self._rule.peers_max), node),
            default=None,
        )

    def _owed(self, run: Run) -> int:
        """How many replicas of the run's groups must come into zones where there are too few."""
        held = [0] * self._zones
        for node in run:
            if self._zone[node] != NOWHERE:
                held[self._zone[node]] += 1
        return sum(max(0, low - have) for (low, _), have in zip(self._bounds[len(run)], held, strict=True))

    def _may_take(self, run: Run, donor: int, taker: int) -> bool:
        doors = self._door(run, donor)
        return doors.zones[self._zone[taker]] and self._fate[taker] not in doors.fates

    def _door(self, run: Run, donor: int) -> _Doors:
        doors = self._doors.get((run, donor))
        if doors is None:
            doors = self._doors[run, donor] = self._open(run, donor)
        return doors

    def _open(self, run: Run, donor: int) -> _Doors:
        staying = [node for node in run if node != donor and self._zone[node] != NOWHERE]
        bounds = self._bounds[len(run)]
        held = [0] * len(bounds)
        for node in staying:
            held[self._zone[node]] += 1
        owed = sum(max(0, low - have) for (low, _), have in zip(bounds, held, strict=True))
        if owed >= len(run) - len(staying):
            zones = [have < low for (low, _), have in zip(bounds, held, strict=True)]
        else:
            zones = [have < high for (_, high), have in zip(bounds, held, strict=True)]
        return _Doors(zones, sum(zones), {self._fate[node] for node in staying})

    def _excess(self, run: Run, donor: int, taker: int, limit: int) -> int:
        """How many pairs over the limit of peers the move would make."""
        mine = self._peers[taker]
        fresh = [node for node in run if node != donor and node not in mine and self._zone[node] != NOWHERE]
        if not fresh:
            return 0
        return max(0, len(mine) + len(fresh) - limit) + sum(len(self._peers[node]) >= limit for node in fresh)

    def _take(self, run: Run, donor: int, taker: int, count: int) -> None:
        groups = self._runs[run]
        moved, self._runs[run] = groups[:count], groups[count:]
        self._forget_empty(run)
        self._count(run, -len(moved))
        after = tuple(sorted(taker if node == donor else node for node in run))
        self._touched.update(moved)
        for number in moved:
            self._after[number] = after
        self._put(after, moved)

    def _move_group(self, number: int, donor: int, taker: int) -> None:
        groups = self._runs[self._after[number]]
        groups.remove(number)
        groups.insert(0, number)
        self._take(self._after[number], donor, taker, 1)

    def _put(self, run: Run, groups: list[int]) -> None:
        self._runs.setdefault(run, []).extend(groups)
        for node in run:
            self._held[node].setdefault(run)
            self._stamp[node] += 1
        self._count(run, len(groups))

    def _forget_empty(self, run: Run) -> None:
        if not self._runs[run]:
            del self._runs[run]
            for node in run:
                del self._held[node][run]

    def _count(self, run: Run, sign: int) -> None:
        for node in run:
            self.load[node] += sign
            peers = self._peers[node]
            for other in run:
                if other != node:
                    peers[other] = peers.get(other, 0) + sign
                    if not peers[other]:
                        del peers[other]


def move_target(entry: PartitionEntry, moves: list[Move], fence: int) -> SetTarget:
    """The command that carries a group's moves out: each new node takes an old one's place."""
    instead = {move.source: move.to for move in moves}
    return SetTarget(
        entry.id, [ReplicaSpec(instead.get(place.node, place.node), place.role) for place in entry.target], fence
    )
