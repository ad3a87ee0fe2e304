"""A node that has just started and knows no map denies no table that may well be there."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from keystead_core.catalog.results import CatalogReply
from keystead_core.cluster_map import EMPTY_MAP, ClusterMap
from keystead_node.api.errors import Unavailable
from keystead_node.catalog_client import CatalogUnavailable
from keystead_node.router import Router
from tests.pictures.maps import make_map, make_partition, make_table

WHOLE = make_map(3, [make_table("orders")], [make_partition(2, "orders")])


class Keeper:
    """`coming`: the map that is there once it is waited for."""

    def __init__(self, known: ClusterMap, coming: ClusterMap) -> None:
        self.map, self._coming = known, coming

    async def wait_for_version(self, version: int, seconds: float) -> None:
        self.map = self._coming


class Client:
    def __init__(self, answers: bool) -> None:
        self._answers = answers

    async def run(self, command: object, seconds: float) -> CatalogReply:
        if not self._answers:
            raise CatalogUnavailable
        return CatalogReply(version=WHOLE.version)


def router(known: ClusterMap, coming: ClusterMap, catalog_answers: bool) -> Router:
    rows: Any = SimpleNamespace(shell=SimpleNamespace(core=SimpleNamespace(id="n9")))
    keeper: Any = Keeper(known, coming)
    client: Any = Client(catalog_answers)
    return Router(rows, keeper, client)


def test_without_the_catalog_it_says_that_it_cannot_tell() -> None:
    for coming, answers in ((WHOLE, False), (EMPTY_MAP, True)):
        for ask in ("resolve_table", "list_tables"):
            new = router(EMPTY_MAP, coming, answers)
            with pytest.raises(Unavailable):
                asyncio.run(new.resolve_table("orders") if ask == "resolve_table" else new.list_tables())


def test_the_first_request_waits_for_the_map() -> None:
    new = router(EMPTY_MAP, WHOLE, True)
    found = asyncio.run(new.resolve_table("orders"))
    assert found is not None and asyncio.run(new.list_tables()) == ["orders"]
    assert asyncio.run(new.resolve_table("other")) is None


def test_the_last_known_map_counts_while_the_catalog_is_away() -> None:
    known = router(WHOLE, WHOLE, False)
    assert asyncio.run(known.resolve_table("other")) is None and asyncio.run(known.list_tables()) == ["orders"]
