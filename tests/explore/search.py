"""Breadth-first search over all states that a scenario can reach; the shortest way to a violation is its trace.

A state is the local state of each node (core and volume), the messages that have been sent to each, the ledger and
what is left of the budget. The network is the set of all that was ever sent: any of it may arrive at any time, in any
order, any number of times or never. So loss, delay, reordering and doubling need no events of their own.

States are exact: each part has a number of its own (two parts share one just if they are equal), and a state is those
numbers side by side in one integer. Nothing is left to a hash.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import NamedTuple

from tests.explore import invariants
from tests.explore.invariants import Ledger
from tests.explore.scenario import Budget, Scenario, begin
from tests.explore.steps import NODES, Broken, Event, Steps, can_stand, is_serving, text_of

BITS = 24
MASK = (1 << BITS) - 1
ROOT = 0xFFFFFFFF


class Found(NamedTuple):
    """`violation`: '' or what is wrong at the end of `trace`. `exhausted`: no state within the budget is left.

    `depth`: the number of events up to which every order was tried."""

    states: int
    transitions: int
    depth: int
    exhausted: bool
    violation: str
    trace: list[str]
    local_states: int


Move = tuple[int, Event, int, tuple[tuple[int, int], ...], int, int, str]
"""(cost kind, event, view after, sends, commit LSN, snipped LSN, what is broken) of one event at one node."""

FREE, ELECTION, TIMER, WRITE, CRASH = range(5)
Progress = Callable[[int, int, int], None]


class Search:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.steps = Steps()
        self._views: list[tuple[int, tuple[int, ...]]] = []  # (local state, numbers of the messages sent to it)
        self._view_numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self._joined: dict[tuple[int, int], int] = {}
        self._moves: dict[tuple[int, int], list[Move]] = {}
        self._rests: list[tuple[Ledger, Budget]] = []
        self._rest_numbers: dict[tuple[Ledger, Budget], int] = {}
        self._judged: dict[tuple[int, ...], str] = {}
        self._states: dict[int, int] = {}
        self._keys: list[int] = []
        self._parents = array("I")
        self._events: list[tuple[int, Event]] = []
        self.transitions = 0

    # -- numbers ------------------------------------------------------------------------------------------------------

    def _view(self, local: int, inbox: tuple[int, ...]) -> int:
        key = (local, inbox)
        number = self._view_numbers.get(key)
        if number is None:
            number = self._view_numbers[key] = len(self._views)
            assert number <= MASK
            self._views.append(key)
        return number

    def _join(self, view: int, letter: int) -> int:
        """The view after a message was sent to it."""
        key = (view, letter)
        number = self._joined.get(key)
        if number is None:
            local, inbox = self._views[view]
            if letter not in inbox:
                inbox = tuple(sorted((*inbox, letter)))
            number = self._joined[key] = self._view(local, inbox)
        return number

    def _rest(self, ledger: Ledger, budget: Budget) -> int:
        key = (ledger, budget)
        number = self._rest_numbers.get(key)
        if number is None:
            number = self._rest_numbers[key] = len(self._rests)
            self._rests.append(key)
        return number

    # -- what can happen ----------------------------------------------------------------------------------------------

    def _moves_of(self, view: int, rest: int) -> list[Move]:
        """All events at one node but elections; those without any consequence are left out."""
        key = (view, rest)
        found = self._moves.get(key)
        if found is not None:
            return found
        local, inbox = self._views[view]
        budget = self._rests[rest][1]
        steps = self.steps
        waiting = len(steps.disk(local).waiting)
        events = [(FREE, Event("deliver", letter)) for letter in inbox]
        if waiting:
            events.append((FREE, Event("sync")))
        if budget.writes and is_serving(steps.core(local)):
            events.append((WRITE, Event("propose", budget.writes)))
        if budget.timers and steps.core(local).role != "follower":
            events.append((TIMER, Event("timer")))
        if budget.crashes:
            events.extend((CRASH, Event("crash", survivors)) for survivors in range(waiting + 1))
        moves = []
        for cost, event in events:
            outcome = steps.outcome(local, event)
            if outcome.local == local and not outcome.sends and not outcome.broken:
                continue
            after = self._view(outcome.local, inbox)
            moves.append((cost, event, after, outcome.sends, outcome.commit_lsn, outcome.snipped, outcome.broken))
        self._moves[key] = moves
        return moves

    # -- the search ---------------------------------------------------------------------------------------------------

    def run(
        self,
        depth_max: int = 1 << 30,
        states_max: int = 1 << 31,
        until: float = float("inf"),
        progress: Progress | None = None,
    ) -> Found:
        """Explores until all is seen or a limit is reached; `until` is a time of `time.monotonic()`."""
        try:
            locals_, inboxes, ledger = begin(self.scenario, self.steps)
        except Broken as error:
            return Found(0, 0, 0, False, str(error), ["on the way to where the exploration begins"], 0)
        views = [self._view(local, tuple(sorted(inbox))) for local, inbox in zip(locals_, inboxes, strict=True)]
        self._add(views, self._rest(ledger, self.scenario.budget), ROOT, (0, Event("begin")))
        depth, position, level_end = 0, 0, 1
        while position < len(self._keys):
            if position == level_end:
                depth, level_end = depth + 1, len(self._keys)
                if depth >= depth_max:
                    break
            if position & 0x3FF == 0:
                if progress is not None:
                    progress(len(self._keys), depth, len(self._keys) - position)
                if len(self._keys) >= states_max or time.monotonic() > until:
                    break
            broken = self._expand(position)
            if broken:
                return self._found(depth, False, broken)
            position += 1
        return self._found(depth, position == len(self._keys), "")

    def _found(self, depth: int, exhausted: bool, broken: str) -> Found:
        trace = self.trace(len(self._keys) - 1) if broken else []
        states = len(self._keys)
        return Found(states, self.transitions, depth, exhausted, broken, trace, self.steps.local_states)

    def _add(self, views: list[int], rest: int, parent: int, event: tuple[int, Event]) -> str:
        """Takes a state in, if it is new, and says what is wrong with it."""
        self.transitions += 1
        key = views[0] | views[1] << BITS | views[2] << 2 * BITS | rest << 3 * BITS
        if key in self._states:
            return ""
        self._states[key] = len(self._keys)
        self._keys.append(key)
        self._parents.append(parent)
        self._events.append(event)
        return self._judge(views, rest)

    def _judge(self, views: list[int], rest: int) -> str:
        """The invariants rest on the facts and the ledger alone: each combination is judged once."""
        ledger = self._rests[rest][0]
        locals_ = [self._views[view][0] for view in views]
        key = (self._ledger_number(ledger), *(self.steps.facts_number[local] for local in locals_))
        verdict = self._judged.get(key)
        if verdict is None:
            verdict = invariants.violation(ledger, [self.steps.facts[local] for local in locals_])
            self._judged[key] = verdict
        return verdict

    def _ledger_number(self, ledger: Ledger) -> int:
        return self._rest(ledger, Budget())

    def _expand(self, position: int) -> str:
        key = self._keys[position]
        views = [key & MASK, key >> BITS & MASK, key >> 2 * BITS & MASK]
        rest = key >> 3 * BITS
        for index in range(len(NODES)):
            for move in self._moves_of(views[index], rest):
                broken = self._make(views, rest, index, move, position)
                if broken:
                    return broken
        if self._rests[rest][1].elections:
            return self._elections(views, rest, position)
        return ""

    def _make(self, views: list[int], rest: int, index: int, move: Move, parent: int) -> str:
        cost, event, after, sends, commit_lsn, snipped, broken = move
        new = views.copy()
        new[index] = after
        for to, letter in sends:
            new[to] = self._join(new[to], letter)
        if cost or commit_lsn or snipped or broken:
            ledger, budget = self._rests[rest]
            if snipped and not broken:
                before = self.steps.facts[self._views[views[index]][0]]
                broken = invariants.snip_violation(ledger, index, before, snipped)
            if commit_lsn and not broken:
                facts = [self.steps.facts[self._views[view][0]] for view in new]
                ledger, broken = invariants.commit(ledger, index, facts, commit_lsn, self.scenario.durable_zones)
            if broken:
                self._parents.append(parent)
                self._events.append((index, event))
                self._keys.append(-1)
                return broken
            rest = self._rest(ledger, spent(budget, cost))
        return self._add(new, rest, parent, (index, event))

    def _elections(self, views: list[int], rest: int, parent: int) -> str:
        """Each follower that may stand does, on the word of each of its peers."""
        for index in self.scenario.candidates:
            local = self._views[views[index]][0]
            if not can_stand(self.steps.core(local)):
                continue
            for peer in range(len(NODES)):
                if peer == index:
                    continue
                peer_local, peer_inbox = self._views[views[peer]]
                answered, answer = self.steps.answer_to_dry_round(local, peer_local)
                event = Event("stand", answer)
                outcome = self.steps.outcome(local, event)
                asked = views.copy()
                asked[peer] = self._view(answered.local, peer_inbox)
                after = self._view(outcome.local, self._views[views[index]][1])
                move = (ELECTION, event, after, outcome.sends, outcome.commit_lsn, outcome.snipped, outcome.broken)
                broken = self._make(asked, rest, index, move, parent)
                if broken:
                    return broken
        return ""

    # -- traces -------------------------------------------------------------------------------------------------------

    def trace(self, position: int) -> list[str]:
        """The events that lead to a state, one line each."""
        lines = []
        while position != ROOT:
            index, event = self._events[position]
            lines.append(f"n{index + 1} {self._text(event)}")
            position = self._parents[position]
        return lines[-2::-1]

    def _text(self, event: Event) -> str:
        if event.what not in ("deliver", "stand"):
            return f"{event.what} {event.arg}" if event.what in ("propose", "crash") else event.what
        letter = self.steps.letters[event.arg]
        verb = "stands, answered by" if event.what == "stand" else "receives from"
        return f"{verb} {letter.sender}: {text_of(letter.message)}"


def spent(budget: Budget, cost: int) -> Budget:
    match cost:
        case 1:
            return budget._replace(elections=budget.elections - 1)
        case 2:
            return budget._replace(timers=budget.timers - 1)
        case 3:
            return budget._replace(writes=budget.writes - 1)
        case 4:
            return budget._replace(crashes=budget.crashes - 1)
        case _:
            return budget
