"""The state is its rows: rebuilt from them it is the state that the log made, and goes on alike."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.catalog import contents
from keystead_core.catalog.commands import Command, DeleteTable
from keystead_core.catalog.rows import CatalogRowError
from keystead_core.catalog.state import CatalogState
from keystead_core.ledger import ledger_of
from tests.catalog.cluster import Catalog, make_catalog
from tests.catalog.histories import HISTORIES


@settings(deadline=None)
@given(HISTORIES, st.integers(0, 40), st.randoms(use_true_random=False))
def test_state_rebuilt_from_rows_equals_the_state_from_the_log(
    history: list[Command], restart_after: int, order: random.Random
) -> None:
    whole, restarted = Catalog(), Catalog()
    for number, command in enumerate(history):
        if number == restart_after:
            rows = list(restarted.rows.items())
            order.shuffle(rows)
            restarted.state = CatalogState.from_rows(rows)
        assert restarted.apply(command) == whole.apply(command)
        assert restarted.rows == whole.rows == dict(whole.state.rows())
    for since in range(len(history) + 1):
        assert restarted.state.delta(since) == whole.state.delta(since)
    assert restarted.state.map() == whole.state.map()


@settings(deadline=None)
@given(HISTORIES)
def test_what_is_worked_out_stays_true_to_the_map(history: list[Command]) -> None:
    catalog = Catalog()
    for command in history:
        catalog.apply(command)
        held = catalog.state._contents
        entries = list(held.partitions.values())
        counted = ledger_of(entries)
        assert held.ledger.replicas == counted.replicas
        assert held.ledger.masters == counted.masters
        assert held.ledger.peers == counted.peers
        replicas = [place.replica for entry in entries for place in entry.target]
        assert len(set(replicas)) == len(replicas)
        assert max([0, *replicas]) < held.meta.next_replica
        for name, table in held.tables.items():
            waiting = [id_ for id_ in held.by_table[name] if held.partitions[id_].epoch == 0]
            assert held.waiting.get(name, 0) == len(waiting)
            assert table.status == ("CREATING" if waiting else "ACTIVE")
        for first, last in held.deleted:
            assert not any(first <= id_ <= last for id_ in held.partitions)


def test_a_state_of_no_rows_is_the_empty_state() -> None:
    assert CatalogState.from_rows([]).rows() == CatalogState().rows()


@pytest.mark.parametrize("row", [(b"z", b""), (b"", b""), (b"m", b"\xc1"), (b"p\x01", b""), (b"n\xff", b"\x80")])
def test_damaged_rows_are_one_typed_error(row: tuple[bytes, bytes]) -> None:
    with pytest.raises(CatalogRowError):
        CatalogState.from_rows([row])


@settings(deadline=None)
@given(st.data())
def test_mutated_rows_load_or_raise_the_one_error(data: st.DataObject) -> None:
    catalog = make_catalog(3)
    catalog.make_table("a", partitions=2)
    catalog.make_table("b")
    catalog.accept(DeleteTable("b"))
    key, value = data.draw(st.sampled_from(sorted(catalog.rows.items())))
    damaged = bytearray(value)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        CatalogState.from_rows([*((k, v) for k, v in catalog.rows.items() if k != key), (key, bytes(damaged))])
    except CatalogRowError:
        return


def test_old_removals_are_let_go_and_deltas_before_them_become_whole_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "REMOVALS_KEPT_MAX", 2)
    catalog = make_catalog(3)
    for name in "abcd":
        catalog.make_table(name)
    before = catalog.state.version
    catalog.accept(DeleteTable("a"))
    middle = catalog.state.version
    assert not catalog.state.delta(before).whole
    for name in "bc":
        catalog.accept(DeleteTable(name))
    assert catalog.state.delta(before).whole
    assert not catalog.state.delta(middle).whole
    assert catalog.rows == dict(catalog.state.rows())
    assert catalog.state.map().deleted == [(2, 4)]
