"""Deltas: a map that follows them is the catalog's map, whatever it missed and in which steps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.catalog.commands import Command, DeleteTable
from keystead_core.cluster_map import EMPTY_MAP, ClusterMap, DeltaMismatch, MapDelta, RangeIndex, Routes
from tests.catalog.cluster import Catalog, make_catalog
from tests.catalog.histories import HISTORIES


@settings(deadline=None)
@given(HISTORIES, st.sets(st.integers(0, 40)))
def test_a_map_that_follows_deltas_is_the_catalogs_map(history: list[Command], polls: set[int]) -> None:
    catalog, follower = Catalog(), EMPTY_MAP
    for number, command in enumerate(history):
        catalog.apply(command)
        if number in polls:
            follower = follower.apply_delta(catalog.state.delta(follower.version))
            assert follower == catalog.state.map()
    follower = follower.apply_delta(catalog.state.delta(follower.version))
    assert follower == catalog.state.map()


@settings(deadline=None)
@given(HISTORIES, st.sets(st.integers(0, 40)))
def test_routes_that_follow_deltas_find_what_routes_made_anew_find(history: list[Command], polls: set[int]) -> None:
    catalog, routes = Catalog(), Routes()
    for number, command in enumerate(history):
        catalog.apply(command)
        if number in polls:
            routes.apply_delta(catalog.state.delta(routes.map.version))
            fresh = Routes(catalog.state.map())
            assert routes.map == fresh.map
            for name in ("", "a", "b", "c"):
                assert _entries(routes.table(name)) == _entries(fresh.table(name))


def _entries(index: RangeIndex | None) -> object:
    return index and index.entries


def test_a_map_that_was_given_out_does_not_change() -> None:
    catalog = make_catalog(3)
    catalog.make_table()
    given_out = catalog.state.map()
    partitions = dict(given_out.partitions)
    catalog.accept(DeleteTable("orders"))
    assert given_out.partitions == partitions and given_out.deleted == []
    assert given_out != catalog.state.map()


def test_an_old_delta_changes_nothing_and_a_gap_or_another_cluster_is_refused() -> None:
    catalog = make_catalog(3)
    old = catalog.state.map()
    catalog.make_table()
    middle = catalog.state.version
    late = catalog.state.delta(middle - 1)
    catalog.accept(DeleteTable("orders"))
    now = catalog.state.map()
    assert now.apply_delta(late) is now
    with pytest.raises(DeltaMismatch):
        old.apply_delta(catalog.state.delta(middle))
    stranger = ClusterMap(version=1, cluster="another", nodes={}, tables={}, partitions={})
    with pytest.raises(DeltaMismatch):
        stranger.apply_delta(catalog.state.delta(0))


def test_a_delta_holds_only_what_changed() -> None:
    catalog = make_catalog(5)
    catalog.make_table("a", partitions=3)
    before = catalog.state.version
    [entry] = catalog.make_table("b")
    delta: MapDelta = catalog.state.delta(before)
    assert [e.id for e in delta.partitions] == [entry.id]
    assert [t.name for t in delta.tables] == ["b"]
    assert delta.nodes == [] and delta.removed_partitions == [] and delta.deleted is None
