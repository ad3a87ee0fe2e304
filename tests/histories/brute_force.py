"""Linearizability by trying every order: slow, and too simple to be wrong. The judge of the real checker's tests."""

from collections.abc import Sequence
from itertools import combinations, permutations

from tests.histories.operations import Operation, Value


def is_linearizable_by_brute_force(history: Sequence[Operation], initial: Value = None) -> bool:
    """Whether some order of the operations explains all results. For seven operations at most."""
    known = [operation for operation in history if operation.outcome == "ok"]
    maybe = [operation for operation in history if operation.outcome == "unknown" and operation.kind != "read"]
    for count in range(len(maybe) + 1):
        for happened in combinations(maybe, count):
            if any(_explains(order, initial) for order in permutations([*known, *happened])):
                return True
    return False


def _explains(order: tuple[Operation, ...], initial: Value) -> bool:
    value = initial
    for position, operation in enumerate(order):
        for later in order[position + 1 :]:
            if later.outcome == "ok" and later.returned < operation.invoked:
                return False
        if operation.kind == "read" and operation.value != value:
            return False
        if operation.kind != "read":
            value = operation.value
    return True
