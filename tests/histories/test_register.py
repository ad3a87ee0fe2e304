"""The linearizability checker accepts what an atomic register does, and nothing else."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories.brute_force import is_linearizable_by_brute_force
from tests.histories.operations import Kind, Operation, Outcome
from tests.histories.register import check_register, check_registers, find_contradiction


def write(value: str, invoked: int, returned: int, client: str = "w") -> Operation:
    return Operation(kind="write", value=value, invoked=invoked, returned=returned, client=client)


def read(value: str | None, invoked: int, returned: int, client: str = "r") -> Operation:
    return Operation(kind="read", value=value, invoked=invoked, returned=returned, client=client)


def delete(invoked: int, returned: int) -> Operation:
    return Operation(kind="delete", invoked=invoked, returned=returned, client="d")


def unknown_write(value: str, invoked: int) -> Operation:
    return Operation(kind="write", value=value, invoked=invoked, outcome="unknown", client="u")


GOOD = {
    "empty": [],
    "reads of an absent item": [read(None, 1, 2), read(None, 3, 4)],
    "reads during a write see old or new": [write("a", 1, 9), read(None, 2, 3), read("a", 4, 5)],
    "equal times are concurrent": [write("a", 1, 5), read(None, 5, 6)],
    "concurrent writes in either order": [write("a", 1, 5), write("b", 1, 5), read("a", 6, 7)],
    "each of three concurrent writes seen": [
        write("a", 1, 9),
        write("b", 1, 9),
        write("c", 1, 9),
        read("c", 2, 3),
        read("a", 4, 5),
        read("b", 6, 7),
    ],
    "a delete, then a write again": [
        write("a", 1, 2),
        delete(3, 4),
        read(None, 5, 6),
        write("b", 7, 8),
        read("b", 9, 9),
    ],
    "an unknown write that never happened": [write("a", 1, 2), unknown_write("b", 3), read("a", 100, 101)],
    "an unknown write that appears late": [
        write("a", 1, 2),
        unknown_write("b", 3),
        read("a", 100, 101),
        read("b", 102, 103),
    ],
    "an unknown write that appears after a later write": [
        unknown_write("b", 3),
        write("c", 4, 5),
        read("c", 6, 7),
        read("b", 8, 9),
    ],
    "an unknown delete that appears late": [
        write("a", 1, 2),
        Operation(kind="delete", invoked=3, outcome="unknown"),
        read("a", 5, 6),
        read(None, 7, 8),
    ],
    "a failed write that is never seen": [
        write("a", 1, 2),
        Operation(kind="write", value="b", invoked=3, outcome="failed"),
        read("a", 5, 6),
    ],
    "reads without an answer say nothing": [
        write("a", 1, 2),
        Operation(kind="read", value="z", invoked=3, outcome="unknown"),
    ],
    "the same value written twice": [write("a", 1, 2), write("b", 3, 4), write("a", 5, 6), read("a", 7, 8)],
}

BAD = {
    "stale read": ([write("a", 1, 2), write("b", 3, 4), read("a", 5, 6)], "could only have held 'b'"),
    "lost write": ([write("a", 1, 2), read(None, 3, 4)], "could only have held 'a'"),
    "resurrected delete": ([write("a", 1, 2), delete(3, 4), read(None, 5, 6), read("a", 7, 8)], "held nothing"),
    "split brain": (
        [
            write("a", 1, 10, "left"),
            write("b", 1, 10, "right"),
            read("a", 11, 12, "left"),
            read("b", 11, 12, "right"),
            read("a", 13, 14, "left"),
        ],
        "could only have held",
    ),
    "new then old within one write": ([write("a", 1, 9), read("a", 2, 3), read(None, 4, 5)], "held 'a'"),
    "two readers disagree on the order": (
        [
            write("a", 1, 20),
            write("b", 1, 20),
            read("a", 2, 3),
            read("b", 4, 5),
            read("a", 6, 7),
        ],
        "could only have held 'b'",
    ),
    "failed write seen": (
        [write("a", 1, 2), Operation(kind="write", value="b", invoked=3, outcome="failed"), read("b", 5, 6)],
        "definitely failed",
    ),
    "unknown write seen, then undone": (
        [write("a", 1, 2), unknown_write("b", 3), read("b", 5, 6), read("a", 7, 8)],
        "could only have held 'b'",
    ),
    "unknown write seen, overwritten, seen again": (
        [unknown_write("b", 3), read("b", 5, 6), write("c", 7, 8), read("c", 9, 10), read("b", 11, 12)],
        "could only have held 'c'",
    ),
    "value out of thin air": ([write("a", 1, 2), read("q", 3, 4)], "nobody ever wrote"),
    "value from the future": ([read("a", 1, 2), write("a", 3, 4)], "before anybody wrote it"),
    "unknown write from the future": ([read("a", 1, 2), unknown_write("a", 3)], "before anybody wrote it"),
    "acknowledged write lost after a restart": (
        [write("a", 1, 2), write("b", 3, 4), read("b", 5, 6), read("a", 100, 101)],
        "could only have held 'b'",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_checker_accepts_a_history_of_an_atomic_register(name: str) -> None:
    verdict = check_register(GOOD[name])
    assert verdict.ok, verdict.explanation
    assert is_linearizable_by_brute_force(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_checker_refuses_a_history_that_no_order_explains(name: str) -> None:
    history, words = BAD[name]
    verdict = check_register(history)
    assert not verdict.ok
    assert words in verdict.explanation, verdict.explanation
    assert not is_linearizable_by_brute_force(history)


def test_initial_value_may_be_read_until_it_is_overwritten() -> None:
    assert check_register([read("old", 1, 2)], initial="old").ok
    assert not check_register([read(None, 1, 2)], initial="old").ok
    assert not check_register([write("a", 1, 2), read("old", 3, 4)], initial="old").ok


def test_explanation_shows_only_the_operations_that_contradict_each_other() -> None:
    history = [write(f"v{n}", 10 * n, 10 * n + 4) for n in range(300)]
    history += [read(f"v{n}", 10 * n + 5, 10 * n + 6) for n in range(300)]
    history.append(read("v150", 1707, 1708, "stale"))
    verdict = check_register(history)
    assert not verdict.ok
    assert {operation.value for operation in verdict.window} <= {"v150", "v170"}
    assert len(verdict.window) == 3
    assert "stale" in verdict.explanation and "'v170'" in verdict.explanation


def test_keys_are_judged_apart_and_the_bad_one_is_named() -> None:
    good = Operation(kind="write", key="k1", value="a", invoked=1, returned=2)
    bad = Operation(kind="read", key="k2", value="a", invoked=3, returned=4)
    assert check_registers([good]).ok
    assert "key 'k2'" in check_registers([good, bad]).explanation


def atomic_register_history(seed: int, operations: int, clients: int) -> list[Operation]:
    """What `clients` see of a real atomic register: each operation takes effect at an instant while it is open."""
    rng = random.Random(seed)
    value: str | None = None
    history: list[Operation] = []
    free_at = [rng.randrange(5) for _ in range(clients)]
    effects: list[tuple[int, int, Operation]] = []
    for number in range(operations):
        client = rng.randrange(clients)
        invoked = free_at[client] + rng.randrange(4)
        effect = invoked + rng.randrange(8)
        returned = effect + rng.randrange(8)
        free_at[client] = returned + 1
        kind = rng.choice(["read", "read", "write", "write", "delete"] if number % 7 else ["unknown"])
        if kind == "unknown":
            effect += rng.choice([0, 50, 1000, 10**9])
            operation = Operation(kind="write", value=f"v{number}", invoked=invoked, outcome="unknown")
        elif kind == "write":
            operation = Operation(kind="write", value=f"v{number}", invoked=invoked, returned=returned)
        elif kind == "delete":
            operation = Operation(kind="delete", invoked=invoked, returned=returned)
        else:
            operation = Operation(kind="read", invoked=invoked, returned=returned)
        effects.append((effect, number, operation))
    for _, _, operation in sorted(effects, key=lambda effect: effect[:2]):
        if operation.kind == "read":
            history.append(read(value if isinstance(value, str) else None, operation.invoked, operation.returned))
        else:
            value = operation.value if isinstance(operation.value, str) else None
            history.append(operation)
    rng.shuffle(history)
    return history


@given(seed=st.integers(0, 2**32), operations=st.integers(1, 120), clients=st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_whatever_an_atomic_register_does_is_accepted(seed: int, operations: int, clients: int) -> None:
    verdict = check_register(atomic_register_history(seed, operations, clients))
    assert verdict.ok, verdict.explanation


values = st.sampled_from(["a", "b", "c", None])


@st.composite
def any_operation(draw: st.DrawFn) -> Operation:
    kind: Kind = draw(st.sampled_from(["read", "read", "write", "delete"]))
    invoked = draw(st.integers(0, 12))
    returned = invoked + draw(st.integers(0, 8))
    value = None if kind == "delete" else draw(values if kind == "read" else values.filter(bool))
    outcome: Outcome = draw(st.sampled_from(["ok", "ok", "ok", "unknown", "failed"]))
    return Operation(kind=kind, value=value, invoked=invoked, returned=returned, outcome=outcome)


@given(history=st.lists(any_operation(), max_size=6))
@settings(max_examples=600, deadline=None)
def test_checker_agrees_with_trying_every_order(history: list[Operation]) -> None:
    verdict = check_register(history)
    assert verdict.ok == is_linearizable_by_brute_force(history), verdict.explanation
    if not verdict.ok:
        assert not is_linearizable_by_brute_force(verdict.window)


@given(seed=st.integers(0, 2**32), operations=st.integers(2, 7), data=st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_histories_are_judged_as_by_trying_every_order(seed: int, operations: int, data: st.DataObject) -> None:
    history = atomic_register_history(seed, operations, 3)
    position = data.draw(st.integers(0, len(history) - 1))
    victim = history[position]
    others = [operation.value for operation in history]
    mutated = Operation(
        kind=victim.kind,
        value=data.draw(st.sampled_from(others)) if victim.kind == "read" else victim.value,
        invoked=victim.invoked,
        returned=max(victim.invoked, victim.returned - data.draw(st.integers(0, 6))),
        outcome=victim.outcome,
    )
    history[position] = mutated
    assert check_register(history).ok == is_linearizable_by_brute_force(history)


def test_thousands_of_operations_on_a_key_are_checked_without_a_blow_up() -> None:
    history = atomic_register_history(seed=7, operations=10_000, clients=6)
    started = time.process_time()
    assert find_contradiction(history) is None
    print(f"10,000 operations of 6 clients: {time.process_time() - started:.2f} s")


def test_a_hundred_writes_at_once_are_checked_without_a_blow_up() -> None:
    writes = [write(f"v{n}", n, 1000 + n, f"c{n}") for n in range(100)]
    reads = [read(f"v{(37 * n) % 100}", 200 + 8 * n, 203 + 8 * n) for n in range(90)]
    assert find_contradiction([*writes, *reads]) is None
    never_read = f"v{(37 * 95) % 100}"
    assert find_contradiction([*writes, *reads, read(never_read, 1200, 1201)]) is None
    verdict = check_register([*writes, *reads, read("v0", 1200, 1201)])
    assert not verdict.ok
    assert len(verdict.window) <= 5
