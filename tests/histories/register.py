"""Is the history of one key that of an atomic register?

The search is just-in-time linearization (Lowe, "Testing for linearizability", after Wing and Gong): it goes through the
events in time order and keeps the set of configurations that explain everything so far. A configuration is (value,
done, covered): the register's value, the open operations that took effect, and the open writes that may be taken to
have been overwritten at once. Three observations keep that set small:

- An open read that returns the current value may take effect now: nothing is lost by it.
- An open write whose value nobody reads can stand right before any other write that happens while it is open. So no
  subsets of silent writes are tried: they are `covered`, and may still take effect visibly later.
- A write of unknown outcome matters only if a read returns its value. Before such a read it is tried, else dropped.

So a history takes time proportional to its length, times a factor that depends on how much is open at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.histories.operations import Operation, Value, Verdict, timeline

Configuration = tuple[Value, int, int]
_INVOKE, _RETURN = 0, 1


class Contradiction(NamedTuple):
    """`operation` returned what no configuration allows; `possible` are the values that the register could have had."""

    operation: Operation
    possible: list[Value]


class _Register:
    """All configurations that explain the events fed so far. Open operations are bits, reused when they close."""

    def __init__(self, initial: Value) -> None:
        self.configurations: set[Configuration] = {(initial, 0, 0)}
        self.writes: dict[int, Value] = {}
        self.writers: defaultdict[Value, list[int]] = defaultdict(list)
        self.reads: defaultdict[Value, int] = defaultdict(int)
        self.must_happen = 0
        self._free: list[int] = []
        self._bits = 0

    def _take_bit(self) -> int:
        if self._free:
            return self._free.pop()
        self._bits += 1
        return 1 << (self._bits - 1)

    def open_read(self, value: Value) -> int:
        bit = self._take_bit()
        self.reads[value] |= bit
        self.configurations = {
            (now, done | bit if now == value else done, covered) for now, done, covered in self.configurations
        }
        return bit

    def open_write(self, value: Value, must_happen: bool) -> int:
        bit = self._take_bit()
        self.writes[bit] = value
        self.writers[value].append(bit)
        if must_happen:
            self.must_happen |= bit
        return bit

    def close_read(self, bit: int, value: Value) -> None:
        explained = set()
        for configuration in self.configurations:
            if configuration[1] & bit:
                explained.add(configuration)
            else:
                explained.update(reached for reached in self.reachable(configuration, bit) if reached[1] & bit)
        self.reads[value] &= ~bit
        if not self.reads[value]:
            del self.reads[value]
        self._forget(bit, explained)

    def close_write(self, bit: int) -> None:
        explained = set()
        for configuration in self.configurations:
            if configuration[1] & bit:
                explained.add(configuration)
                continue
            if configuration[2] & bit:
                explained.add(configuration)
            for reached in self.reachable(configuration):
                explained.add(reached if reached[1] & bit else self._write(reached, bit))
        self.drop_write(bit, explained)

    def drop_write(self, bit: int, explained: set[Configuration] | None = None) -> None:
        value = self.writes.pop(bit)
        self.writers[value].remove(bit)
        if not self.writers[value]:
            del self.writers[value]
        self.must_happen &= ~bit
        self._forget(bit, self.configurations if explained is None else explained)

    def _forget(self, bit: int, explained: set[Configuration]) -> None:
        self._free.append(bit)
        self.configurations = {(value, done & ~bit, covered & ~bit) for value, done, covered in explained}

    def _write(self, configuration: Configuration, bit: int) -> Configuration:
        _, done, covered = configuration
        value = self.writes[bit]
        done |= bit | self.reads.get(value, 0)
        return value, done, (covered | self.must_happen) & ~done

    def reachable(self, configuration: Configuration, wanted: int = 0) -> set[Configuration]:
        """The configurations after any sequence of open writes each of which an open read is waiting for.

        A configuration in which the read `wanted` took effect is not followed further.
        """
        found = {configuration}
        todo = [configuration]
        while todo:
            current = todo.pop()
            if current[1] & wanted:
                continue
            for value, waiting in self.reads.items():
                if waiting & ~current[1]:
                    for bit in self._candidates(value, current[1]):
                        following = self._write(current, bit)
                        if following not in found:
                            found.add(following)
                            todo.append(following)
        return found

    def _candidates(self, value: Value, done: int) -> Iterator[int]:
        """The open writes of a value that may take effect; of those of unknown outcome one is as good as another."""
        unknown_seen = False
        for bit in self.writers.get(value, ()):
            if done & bit or (unknown_seen and not bit & self.must_happen):
                continue
            unknown_seen = unknown_seen or not bit & self.must_happen
            yield bit

    def possible_values(self) -> list[Value]:
        values = {
            reached[0]: None for configuration in self.configurations for reached in self.reachable(configuration)
        }
        return sorted(values, key=repr)


def _events(history: Sequence[Operation]) -> Iterator[tuple[int, int, int, Operation]]:
    """The events that matter: (time, invoke before return, index, operation), in no order."""
    read_values = {operation.value for operation in history if operation.kind == "read" and operation.outcome == "ok"}
    for index, operation in enumerate(history):
        if operation.kind == "read" and (operation.outcome != "ok" or not operation.consistent):
            continue
        if operation.outcome == "failed" or (operation.outcome == "unknown" and operation.value not in read_values):
            continue
        yield operation.invoked, _INVOKE, index, operation
        if operation.outcome == "ok":
            assert operation.returned >= operation.invoked, operation
            yield operation.returned, _RETURN, index, operation


def find_contradiction(history: Sequence[Operation], initial: Value = None) -> Contradiction | None:
    """The first answer that no order of the operations explains, or None if the history is linearizable."""
    events = sorted(_events(history), key=lambda event: event[:3])
    last_read = {
        operation.value: position
        for position, (_, what, _, operation) in enumerate(events)
        if what == _RETURN and operation.kind == "read"
    }
    register = _Register(initial)
    open_bits: dict[int, int] = {}
    unknown: defaultdict[Value, list[int]] = defaultdict(list)
    for position, (_, what, index, operation) in enumerate(events):
        value = operation.value
        if what == _INVOKE:
            if operation.kind == "read":
                open_bits[index] = register.open_read(value)
            elif operation.outcome == "ok":
                open_bits[index] = register.open_write(value, must_happen=True)
            elif last_read.get(value, -1) > position:
                unknown[value].append(register.open_write(value, must_happen=False))
            continue
        before = register.configurations
        if operation.kind == "read":
            register.close_read(open_bits.pop(index), value)
            if last_read[value] == position:
                for bit in unknown.pop(value, []):
                    register.drop_write(bit)
        else:
            register.close_write(open_bits.pop(index))
        if not register.configurations:
            register.configurations = before
            return Contradiction(operation, register.possible_values())
    return None


def check_register(history: Sequence[Operation], initial: Value = None) -> Verdict:
    """Checks one key's operations (in any order) for linearizability, the register holding `initial` at first.

    Eventually consistent reads are left out: `check_eventual_reads` judges those.
    """
    contradiction = find_contradiction(history, initial)
    if contradiction is None:
        return Verdict(True)
    window = smallest_window(history, contradiction.operation, initial)
    return Verdict(False, _explain(history, window, initial), tuple(window))


def check_registers(history: Sequence[Operation], initial: Value = None) -> Verdict:
    """Checks each key of a history by itself; the verdict is the first bad key's."""
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    for key, operations in by_key.items():
        verdict = check_register(operations, initial)
        if not verdict.ok:
            return Verdict(False, f"key {key!r}: {verdict.explanation}", verdict.window)
    return Verdict(True)


def smallest_window(history: Sequence[Operation], culprit: Operation, initial: Value = None) -> list[Operation]:
    """A part of the history that is not linearizable by itself, and is so no more if any value or read is left out.

    Leaving out all operations of a value, or any read, can't make a good history bad; so the part convicts the whole.
    """
    window = _clipped(history, culprit.returned)
    if find_contradiction(window, initial) is None:
        window = [operation for operation in history if operation.outcome != "failed" and operation.consistent]
    window.sort(key=lambda operation: operation.invoked)
    values = list({operation.value: None for operation in window})

    def without_values(dropped: set[int]) -> list[Operation]:
        gone = {values[position] for position in dropped}
        return [operation for operation in window if operation.value not in gone]

    window = without_values(_most_droppable(len(values), lambda gone: _is_bad(without_values(gone), initial)))
    reads = [position for position, operation in enumerate(window) if operation.kind == "read"]

    def without_reads(dropped: set[int]) -> list[Operation]:
        gone = {reads[position] for position in dropped}
        return [operation for position, operation in enumerate(window) if position not in gone]

    return without_reads(_most_droppable(len(reads), lambda gone: _is_bad(without_reads(gone), initial)))


def _is_bad(history: Sequence[Operation], initial: Value) -> bool:
    return find_contradiction(history, initial) is not None


def _clipped(history: Sequence[Operation], end: int) -> list[Operation]:
    """The history as it looked at `end`: what had not returned by then is a write of unknown outcome, or left out."""
    clipped = []
    for operation in history:
        if operation.invoked > end or operation.outcome == "failed" or not operation.consistent:
            continue
        if operation.outcome == "ok" and operation.returned <= end:
            clipped.append(operation)
        elif operation.kind != "read":
            clipped.append(
                Operation(
                    kind=operation.kind,
                    value=operation.value,
                    invoked=operation.invoked,
                    outcome="unknown",
                    client=operation.client,
                    key=operation.key,
                )
            )
    return clipped


def _most_droppable(count: int, still_bad: Callable[[set[int]], bool]) -> set[int]:
    """Positions of 0..count-1 that can all go, the first ones preferred: what stays is close to the contradiction.

    Dropping more never turns good into bad, so the longest droppable run is found by bisection.
    """
    dropped: set[int] = set()
    start = 0
    while start < count:
        low, high = start, count
        while low < high:
            middle = (low + high + 1) // 2
            if still_bad(dropped | set(range(start, middle))):
                low = middle
            else:
                high = middle - 1
        dropped.update(range(start, low))
        start = low + 1
    return dropped


def _explain(history: Sequence[Operation], window: list[Operation], initial: Value) -> str:
    contradiction = find_contradiction(window, initial)
    assert contradiction is not None
    culprit, possible = contradiction
    assert culprit.kind == "read", "a write can always be put somewhere: only an answer contradicts"
    shown = "nothing" if culprit.value is None else repr(culprit.value)
    sources = [operation for operation in history if operation.kind != "read" and operation.value == culprit.value]
    could_be = " or ".join("nothing" if value is None else repr(value) for value in possible)
    if culprit.value != initial and not sources:
        why = f"returned {shown}, which nobody ever wrote"
    elif culprit.value != initial and all(o.outcome == "failed" for o in sources):
        why = f"returned {shown}, whose write definitely failed"
    elif culprit.value != initial and all(o.invoked > culprit.returned for o in sources):
        why = f"returned {shown} before anybody wrote it"
    else:
        why = f"returned {shown} where the register could only have held {could_be}"
    head = f"not linearizable: the read by {culprit.client or 'a client'} over "
    head += f"[{culprit.invoked}, {culprit.returned}] {why}. No order of these operations explains their results"
    if initial is not None:
        head += f" (the register held {initial!r} at first)"
    return f"{head}:\n{timeline(window)}"
