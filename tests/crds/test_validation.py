"""Manifests are refused as the API server refuses them: all errors at once, with field paths and its words."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from keystead_operator.spec.cel import QuantityError, parse_quantity
from keystead_operator.spec.validation import schemas, validate, with_defaults

EXAMPLES = Path(__file__).parents[2] / "examples"


def _example(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return manifest


def _errors(manifest: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    schema = schemas()[manifest["kind"]]
    before = None if old is None else with_defaults(old, schema)
    verdict = validate(with_defaults(manifest, schema), schema, before)
    return [str(error) for error in verdict.errors] + [f"unknown {path}" for path in verdict.unknown]


def _changed(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy in which the field is set, or taken away for None."""
    copied = deepcopy(manifest)
    *parents, last = path.split(".")
    place = copied
    for name in parents:
        place = place.setdefault(name, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return copied


@pytest.mark.parametrize("name", ["orders", "orders-indexes", "cluster"])
def test_examples_are_valid(name: str) -> None:
    assert _errors(_example(name)) == []


def test_minimal_cluster_is_valid_and_gets_its_defaults() -> None:
    head = {"apiVersion": "keystead.io/v1alpha1", "kind": "StorageCluster", "metadata": {"name": "a"}}
    minimal = {**head, "spec": {"credentials": {"insecureNoAuth": True}}}
    assert _errors(minimal) == []
    spec = with_defaults(minimal, schemas()["StorageCluster"])["spec"]
    assert spec["nodes"] == 3
    assert spec["replication"] == {"replicas": 3, "durableZones": 1}
    assert spec["failover"] == {"leaseSeconds": 1, "lock": "preferred", "reads": "lease"}


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (
            "spec.replicas",
            0,
            "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1",
        ),
        (
            "spec.replicas",
            8,
            "spec.replicas: Invalid value: 8: spec.replicas in body should be less than or equal to 7",
        ),
        (
            "spec.replicas",
            "three",
            'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        ),
        (
            "spec.replicas",
            True,
            'spec.replicas: Invalid value: "boolean": spec.replicas in body must be of type integer: "boolean"',
        ),
        ("spec.keySchema", None, "spec.keySchema: Required value"),
        ("spec.keySchema.hashKey", None, "spec.keySchema.hashKey: Required value"),
        (
            "spec.deletionPolicy",
            "Keep",
            'spec.deletionPolicy: Unsupported value: "Keep": supported values: "Delete", "Retain"',
        ),
        (
            "spec.tableName",
            "a b c",
            "spec.tableName: Invalid value: \"a b c\": spec.tableName in body should match '^[a-zA-Z0-9_.-]+$'",
        ),
        ("spec.tableName", "x" * 256, "spec.tableName: Too long: may not be more than 255 bytes"),
        (
            "spec.attributes",
            [],
            "spec.attributes: Invalid value: 0: spec.attributes in body should have at least 1 items",
        ),
        ("spec.colour", "red", "unknown spec.colour"),
        (
            "spec.partitions",
            {"count": 2, "min": 1},
            'spec.partitions: Invalid value: "object": count excludes min and max',
        ),
        (
            "spec.capacity",
            {"read": 5},
            'spec.capacity: Invalid value: "object": give either onDemand: true, or both read and write',
        ),
        ("metadata.name", None, "metadata.name: Required value: name or generateName is required"),
    ],
)
def test_bad_table_is_refused_with_the_field_and_the_reason(path: str, value: Any, error: str) -> None:
    assert error in _errors(_changed(_example("orders"), path, value))


def test_duplicate_attribute_is_refused() -> None:
    bad = _example("orders")
    bad["spec"]["attributes"].append({"name": "customer", "type": "N"})
    assert 'spec.attributes[2]: Duplicate value: {"name":"customer"}' in _errors(bad)


def test_unused_and_missing_key_attributes_are_refused() -> None:
    missing = _changed(_example("orders"), "spec.keySchema.hashKey", "nobody")
    assert _errors(missing) == [
        'spec: Invalid value: "object": keySchema.hashKey must be one of the attributes',
        'spec: Invalid value: "object": every attribute must be used by keySchema or an index',
    ]


def test_all_errors_are_found_at_once() -> None:
    bad = _changed(_changed(_example("orders"), "spec.replicas", 0), "spec.attributes", None)
    bad = _changed(bad, "spec.capacity", {"onDemand": True, "read": 1, "write": 1})
    assert {error.split(":")[0] for error in _errors(bad)} == {"spec.replicas", "spec.attributes", "spec.capacity"}


@pytest.mark.parametrize(("quorum", "valid"), [(1, False), (2, True), (3, True), (4, False)])
def test_write_quorum_is_a_majority_of_the_replicas(quorum: int, valid: bool) -> None:
    table = _changed(_changed(_example("orders"), "spec.replicas", 3), "spec.writeQuorum", quorum)
    cluster = _changed(_example("cluster"), "spec.replication", {"replicas": 3, "writeQuorum": quorum})
    assert (_errors(table) == []) is valid
    assert (_errors(cluster) == []) is valid


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.keySchema.rangeKey", None),
        ("spec.attributes", [{"name": "customer", "type": "N"}, {"name": "orderId", "type": "S"}]),
        ("spec.tableName", "other"),
        ("spec.clusterRef", {"name": "other"}),
    ],
)
def test_identity_of_a_table_is_immutable(path: str, value: Any) -> None:
    old = _example("orders")
    assert any("immutable" in error for error in _errors(_changed(old, path, value), old))


def test_capacity_and_protection_of_a_table_can_change() -> None:
    old = _example("orders")
    new = _changed(_changed(old, "spec.capacity", {"read": 10, "write": 5}), "spec.deletionProtection", True)
    assert _errors(new, old) == []


@pytest.mark.parametrize(
    ("size", "valid"), [("10Gi", True), ("10240Mi", True), ("1Ti", True), ("9Gi", False), ("10G", False)]
)
def test_volumes_only_grow(size: str, valid: bool) -> None:
    old = _example("cluster")
    errors = _errors(_changed(old, "spec.storage.size", size), old)
    assert errors == ([] if valid else ['spec.storage.size: Invalid value: "string": a volume cannot shrink'])


def test_a_cluster_says_who_may_use_its_api() -> None:
    for nothing in ({"spec": {}}, {}):
        (error,) = _errors({**_example("cluster"), "spec": {}} | nothing)
        assert error.endswith(
            "spec.credentials has to say who may use the API, by the secretRef of access keys or by insecureNoAuth"
        )
    either = 'spec.credentials: Invalid value: "object": credentials need either a secretRef or insecureNoAuth'
    by_keys = {"secretRef": {"name": "keys"}}
    for unclear in ({}, {"insecureNoAuth": False}, {**by_keys, "insecureNoAuth": True}):
        assert _errors(_changed(_example("cluster"), "spec.credentials", unclear)) == [either]
    for clear in (by_keys, {**by_keys, "insecureNoAuth": False}, {"insecureNoAuth": True}):
        assert _errors(_changed(_example("cluster"), "spec.credentials", clear)) == []


def test_more_replicas_than_nodes_are_refused() -> None:
    errors = _errors(_changed(_example("cluster"), "spec.nodes", 2))
    assert errors == ['spec: Invalid value: "object": replication.replicas must not be above nodes']


@pytest.mark.parametrize(("text", "number"), [("10Gi", 10 * 2**30), ("1.5k", 1500), ("7", 7)])
def test_quantities_mean_what_kubernetes_says(text: str, number: int) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "Gi", "1X", "-1", "1 Gi"])
def test_text_that_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_quantity(text)
