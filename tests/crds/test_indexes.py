"""Indexes in manifests: what is refused, in which words, and what a valid one means."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from keystead_core.cluster_map import IndexSpec, KeyAttribute
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable, declared_table
from keystead_operator.spec.validation import schemas, validate, with_defaults

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "examples" / "orders-indexes.yaml").read_text(encoding="utf-8")
)


def errors(spec: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    schema = schemas()["Table"]
    before = None if old is None else with_defaults({**EXAMPLE, "spec": old}, schema)
    verdict = validate(with_defaults({**EXAMPLE, "spec": spec}, schema), schema, before)
    return [str(error) for error in verdict.errors] + [f"unknown {path}" for path in verdict.unknown]


def spec(**changes: Any) -> dict[str, Any]:
    """The example's, with other fields; None takes one away."""
    found = deepcopy(EXAMPLE["spec"]) | changes
    return {name: value for name, value in found.items() if value is not None}


def with_global(number: int, **changes: Any) -> dict[str, Any]:
    found = spec()
    found["globalIndexes"][number] |= changes
    return found


def with_local(**changes: Any) -> dict[str, Any]:
    found = spec()
    found["localIndexes"][0] |= changes
    return found


def key_of(number: int, **keys: Any) -> dict[str, Any]:
    return with_global(number, keySchema=keys)


def declared(spec: dict[str, Any]) -> DeclaredTable:
    manifest = with_defaults({**EXAMPLE, "spec": spec}, schemas()["Table"])
    return declared_table(manifest, ClusterSpec(name="keystead", nodes=3))


def test_example_is_valid_and_means_what_the_api_would_make() -> None:
    assert errors(spec()) == []
    table = declared(spec())
    assert table.global_indexes == (
        IndexSpec(
            name="by-place",
            is_global=True,
            hash=[KeyAttribute("state", "S"), KeyAttribute("city", "S")],
            range=[KeyAttribute("placedAt", "N"), KeyAttribute("price", "N")],
            projection="KEYS_ONLY",
        ),
        IndexSpec(
            name="by-state",
            is_global=True,
            hash=[KeyAttribute("state", "S")],
            range=[KeyAttribute("placedAt", "N")],
            projection="INCLUDE",
            included=["note", "price"],
        ),
    )
    assert table.local_indexes == (
        IndexSpec(
            name="by-price",
            is_global=False,
            hash=[KeyAttribute("customer", "S")],
            range=[KeyAttribute("price", "N")],
        ),
    )


def test_indexes_have_the_units_of_their_table_or_their_own() -> None:
    provisioned = spec(capacity={"read": 5, "write": 6})
    provisioned["globalIndexes"][0]["capacity"] = {"read": 7, "write": 8}
    assert errors(provisioned) == []
    of_indexes = declared(provisioned).global_indexes or ()
    assert {index.name: (index.read_units, index.write_units) for index in of_indexes} == {
        "by-state": (7, 8),
        "by-place": (5, 6),
    }


def test_no_field_and_an_empty_list_differ() -> None:
    used = [{"name": name, "type": kind} for name, kind in (("customer", "S"), ("orderId", "S"), ("price", "N"))]
    assert declared(spec(globalIndexes=None, attributes=used)).global_indexes is None
    assert errors(spec(globalIndexes=None, attributes=used)) == []
    assert declared(spec(globalIndexes=[], attributes=used)).global_indexes == ()
    assert errors(spec(globalIndexes=[], attributes=used)) == []


def named(count: int, *, local: bool) -> list[dict[str, Any]]:
    keys = {"hashKey": "customer", "rangeKey": "price"} if local else {"hashKey": "state"}
    return [{"name": f"index{number}", "keySchema": keys} for number in range(count)]


def including(count: int, attributes: int) -> list[dict[str, Any]]:
    names = [f"included{number}" for number in range(attributes)]
    return [{**index, "projection": {"type": "INCLUDE", "attributes": names}} for index in named(count, local=False)]


REFUSED = {
    "more than 100 included": (
        spec(globalIndexes=[*including(5, 20), *including(6, 1)[5:]], localIndexes=None),
        "the projections of all indexes name 100 attributes at most",
    ),
    "21 global ones": (spec(globalIndexes=named(21, local=False)), "spec.globalIndexes: Too many: 21"),
    "6 local ones": (spec(localIndexes=named(6, local=True)), "spec.localIndexes: Too many: 6"),
    "one name twice": (with_global(1, name="by-state"), 'Duplicate value: {"name":"by-state"}'),
    "one name as global and local": (with_local(name="by-state"), "the names of indexes must differ"),
    "short name": (with_global(0, name="ab"), "should be at least 3 chars long"),
    "global key of no attribute": (key_of(0, hashKey="nobody"), "the keys of every global index must be attributes"),
    "several of which one is none": (
        key_of(1, hashKeys=["state", "nobody"]),
        "the keys of every global index must be attributes",
    ),
    "local key of no attribute": (
        with_local(keySchema={"hashKey": "customer", "rangeKey": "nobody"}),
        "the rangeKey of every local index must be one of the attributes",
    ),
    "local one without a range key": (with_local(keySchema={"hashKey": "customer"}), "rangeKey: Required value"),
    "local one under another hash key": (
        with_local(keySchema={"hashKey": "state", "rangeKey": "price"}),
        "a local index has the table's hashKey",
    ),
    "local one of a table without a range key": (
        spec(keySchema={"hashKey": "customer"}),
        "a table with local indexes needs a rangeKey",
    ),
    "no hash key": (key_of(0, rangeKey="placedAt"), "give either hashKey or hashKeys"),
    "hash key in both forms": (key_of(0, hashKey="state", hashKeys=["city"]), "give either hashKey or hashKeys"),
    "range key in both forms": (
        key_of(0, hashKey="state", rangeKey="city", rangeKeys=["price"]),
        "rangeKey excludes rangeKeys",
    ),
    "an attribute twice": (key_of(0, hashKeys=["state", "state"]), "no attribute can be in a key twice"),
    "an attribute as both": (key_of(0, hashKeys=["state"], rangeKeys=["state"]), "no attribute can be in a key twice"),
    "five hash keys": (key_of(0, hashKeys=["a", "b", "c", "d", "e"]), "Too many: 5"),
    "included without a list": (with_global(0, projection={"type": "INCLUDE"}), "give attributes with INCLUDE"),
    "all and a list": (with_global(0, projection={"attributes": ["note"]}), "give attributes with INCLUDE"),
    "21 included": (
        with_global(0, projection={"type": "INCLUDE", "attributes": [f"a{number}" for number in range(21)]}),
        "Too many: 21",
    ),
    "units of a table on demand": (
        with_global(0, capacity={"read": 1, "write": 1}),
        "the indexes of a table on demand are on demand",
    ),
    "on demand in a provisioned table": (
        with_global(0, capacity={"onDemand": True}) | {"capacity": {"read": 1, "write": 1}},
        "those of a provisioned one have units",
    ),
    "attribute of no key": (
        spec(attributes=[*EXAMPLE["spec"]["attributes"], {"name": "unused", "type": "S"}]),
        "every attribute must be used by keySchema or an index",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_index_that_cannot_be_is_refused(what: str) -> None:
    bad, words = REFUSED[what]
    assert words in "\n".join(errors(bad))


def other_type(attribute: str) -> list[dict[str, str]]:
    return [
        {**one, "type": "B"} if one["name"] == attribute else one for one in deepcopy(EXAMPLE["spec"]["attributes"])
    ]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (spec(localIndexes=None), "local indexes are immutable"),
        (spec(localIndexes=[]), "local indexes are immutable"),
        (with_local(projection={"type": "KEYS_ONLY"}), "local indexes are immutable"),
        (key_of(0, hashKey="city", rangeKey="placedAt"), "the keys and the projection of an index are immutable"),
        (with_global(1, projection={"type": "ALL"}), "the keys and the projection of an index are immutable"),
        (spec(attributes=other_type("state")), "the type of an attribute is immutable"),
    ],
)
def test_what_is_immutable_stays(new: dict[str, Any], words: str) -> None:
    assert words in "\n".join(errors(new, spec()))


def test_local_indexes_do_not_come_later() -> None:
    without = spec(localIndexes=None)
    assert errors(without) == []
    assert "local indexes are immutable" in "\n".join(errors(spec(), without))


def test_global_indexes_come_and_go_with_their_attributes() -> None:
    used = [one for one in EXAMPLE["spec"]["attributes"] if one["name"] not in ("state", "city", "placedAt")]
    without = spec(globalIndexes=[], attributes=used)
    assert errors(without, spec()) == []
    assert errors(spec(), without) == []


def test_a_hundred_included_attributes_are_taken() -> None:
    attributes = [{"name": name, "type": "S"} for name in ("customer", "state")]
    indexes = {"globalIndexes": including(5, 20), "localIndexes": None}
    assert errors(spec(attributes=attributes, keySchema={"hashKey": "customer"}, **indexes)) == []
