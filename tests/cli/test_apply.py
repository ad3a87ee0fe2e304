"""keystead apply, get and delete: manifests in, tables out, and every error of a bad manifest at once."""

import json
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
ORDERS = (EXAMPLES / "orders.yaml").read_text()


def _orders(**spec: Any) -> str:
    manifest = yaml.safe_load(ORDERS)
    manifest["spec"] |= spec
    return json.dumps(manifest)


def test_applied_table_serves_and_a_second_time_is_unchanged(running: Any) -> None:
    assert running.ok("apply", "-f", str(EXAMPLES / "orders.yaml")) == "table.keystead.io/orders created\n"
    assert running.ok("apply", "-f", "-", stdin=ORDERS) == "table.keystead.io/orders unchanged\n"
    header, row = running.ok("get", "tables").splitlines()
    assert header.split() == ["NAME", "READY", "PARTITIONS", "REPLICAS", "CAPACITY", "MASTERS", "REASON", "AGE"]
    assert row.split()[:4] == ["orders", "True", "4", "12/12"]


def test_changed_table_is_configured_with_a_new_generation(running: Any) -> None:
    running.ok("apply", "-f", "-", stdin=ORDERS)
    assert "configured" in running.ok("apply", "-f", "-", stdin=_orders(deletionProtection=True))
    table = json.loads(running.ok("get", "tables", "orders", "-o", "json"))
    assert table["metadata"]["generation"] == 2
    assert table["status"]["conditions"][0] == {
        "type": "Available",
        "status": "True",
        "reason": "Serving",
        "message": "every partition has a master",
    }
    refused = running("delete", "table", "orders")
    assert refused.returncode == 1
    assert "is protected" in refused.stderr
    running.ok("apply", "-f", "-", stdin=ORDERS)


def test_bad_manifest_shows_every_error_and_changes_nothing(running: Any) -> None:
    bad = _orders(replicas=0, colour="red", capacity={"read": 1}, keySchema={"hashKey": "nobody"})
    done = running("apply", "-f", "-", "-f", str(EXAMPLES / "cluster.yaml"), stdin=bad)
    assert done.returncode == 2
    assert done.stdout == ""
    assert 'Table in version "v1alpha1" cannot be handled as a Table: strict decoding error' in done.stderr
    assert 'unknown field "spec.colour"' in done.stderr
    assert 'The Table "orders" is invalid: \n* ' in done.stderr
    assert (
        "* spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1" in done.stderr
    )
    assert '* spec.capacity: Invalid value: "object": give either onDemand: true, or both read and write' in done.stderr
    assert json.loads(running.ok("get", "tables", "-o", "json"))["items"] == []


def test_errors_of_all_documents_are_shown_together(running: Any) -> None:
    two = f"{_orders(replicas=0)}\n---\n{_orders(replicas=9).replace('orders', 'users')}"
    done = running("apply", "-f", "-", stdin=two)
    assert done.returncode == 2
    assert 'The Table "orders" is invalid: spec.replicas: Invalid value: 0' in done.stderr
    assert 'The Table "users" is invalid: spec.replicas: Invalid value: 9' in done.stderr


def test_change_of_the_key_schema_is_refused(running: Any) -> None:
    running.ok("apply", "-f", "-", stdin=ORDERS)
    attributes = [{"name": "customer", "type": "S"}]
    done = running("apply", "-f", "-", stdin=_orders(keySchema={"hashKey": "customer"}, attributes=attributes))
    assert done.returncode == 2
    assert 'spec.keySchema: Invalid value: "object": the key schema is immutable' in done.stderr


def test_text_that_is_no_manifest_is_refused(running: Any) -> None:
    for text, message in (
        ("a: [", "error converting YAML to JSON"),
        ("a: 1\na: 2\n", 'key "a" already set in map'),
        ("just text", "an object was expected"),
        ("kind: Table", "apiVersion not set"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}", 'no matches for kind "Pod" in version "v1"'),
        ("", "no objects passed to apply"),
    ):
        done = running("apply", "-f", "-", stdin=text)
        assert done.returncode == 2, text
        assert message in done.stderr
    assert 'the path "nowhere.yaml" does not exist' in running("apply", "-f", "nowhere.yaml").stderr


def test_table_of_another_cluster_is_refused(running: Any) -> None:
    done = running("apply", "-f", "-", stdin=_orders(clusterRef={"name": "elsewhere"}))
    assert done.returncode == 2
    assert done.stderr == 'The Table "orders" is invalid: spec.clusterRef.name: Not found: "elsewhere"\n'


def test_what_the_catalog_refuses_is_said(running: Any) -> None:
    done = running("apply", "-f", "-", stdin=_orders(tableName="refused"))
    assert done.returncode == 1
    assert "error: Table/orders is not available: the catalog does not like this name" in done.stderr


def test_table_that_needs_more_nodes_says_so(running: Any) -> None:
    done = running("apply", "-f", "-", "--timeout", "3", stdin=_orders(replicas=5))
    assert done.returncode == 1
    assert "5 replicas need as many nodes; 3 are active" in done.stderr


def test_dry_run_needs_no_cluster_and_changes_nothing(keystead: Any) -> None:
    assert keystead.ok("apply", "--dry-run", "-f", "-", stdin=ORDERS) == "table.keystead.io/orders valid (dry run)\n"
    assert keystead("apply", "--dry-run", "-f", "-", stdin=_orders(replicas=0)).returncode == 2
    assert not keystead.data.exists()


def test_deleted_table_is_gone_and_a_second_delete_finds_nothing(running: Any) -> None:
    running.ok("apply", "-f", "-", stdin=ORDERS)
    assert running.ok("delete", "table", "orders") == 'table.keystead.io "orders" deleted\n'
    assert json.loads(running.ok("status", "-o", "json"))["tables"] == []
    done = running("delete", "table", "orders")
    assert (done.returncode, done.stderr) == (1, 'error: tables.keystead.io "orders" not found\n')


def test_retained_table_stays_in_the_catalog_and_can_be_deleted_there(running: Any) -> None:
    running.ok("apply", "-f", "-", stdin=_orders(deletionPolicy="Retain"))
    running.ok("delete", "table", "orders")
    tables = json.loads(running.ok("status", "-o", "json"))["tables"]
    assert [(table["name"], table["managedBy"]) for table in tables] == [("orders", "")]
    running.ok("delete", "table", "orders")
    assert json.loads(running.ok("status", "-o", "json"))["tables"] == []


def test_cluster_is_listed_and_grows_by_a_manifest(keystead: Any, eventually: Any) -> None:
    keystead.ok("up", "--port", "0", "--nodes", "1", "--detach")
    header, row = keystead.ok("get", "clusters").splitlines()
    assert header.split()[:4] == ["NAME", "READY", "NODES", "DESIRED"]
    assert row.split()[:4] == ["keystead", "True", "1", "1"]
    assert (
        keystead.ok("apply", "-f", str(EXAMPLES / "cluster.yaml")) == "storagecluster.keystead.io/keystead configured\n"
    )
    eventually(lambda: keystead.ok("get", "clusters").splitlines()[1].split()[2] == "3", "three nodes")
    nodes = json.loads(keystead.ok("get", "nodes", "-o", "json"))["items"]
    assert [node["name"] for node in nodes] == ["node-0", "node-1", "node-2"]
