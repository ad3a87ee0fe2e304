"""Tables: created with every partition placed, changed and deleted by whoever may."""

import msgspec
import pytest

from keystead_core.catalog.commands import CreateTable, DeleteTable, SetNodeState, UpdateTable
from keystead_core.catalog.results import (
    DELETION_PROTECTED,
    IMMUTABLE,
    INSUFFICIENT_NODES,
    INSUFFICIENT_ZONES,
    INVALID,
    LIMIT_EXCEEDED,
    MANAGED,
    RESOURCE_IN_USE,
    RESOURCE_NOT_FOUND,
)
from keystead_core.cluster_map import ClusterSettings, KeyAttribute, RangeIndex
from keystead_core.ids import PartitionId
from tests.catalog.cluster import make_catalog, make_table


def test_a_table_gets_partitions_that_cover_every_key_and_voters_in_every_zone() -> None:
    catalog = make_catalog(6)
    reply = catalog.accept(CreateTable(make_table(partitions=5, durable_zones=3), b"s", 7.0))
    assert reply.table is not None and reply.table.created_at == 7.0 and reply.table.status == "CREATING"
    entries = catalog.partitions("orders")
    assert [e.low for e in entries[1:]] == [e.high for e in entries[:-1]]
    assert entries[0].low == b"" and entries[-1].high is None
    for entry in entries:
        assert len({place.zone for place in entry.target}) == 3
        assert entry.founders == entry.target == entry.members
        assert entry.write_quorum == 2
    replicas = [place.replica for entry in entries for place in entry.target]
    assert len(set(replicas)) == 15 and min(replicas) > 3


def test_the_cluster_settings_stand_in_for_what_a_table_leaves_out() -> None:
    catalog = make_catalog(5, settings=ClusterSettings(partitions=4, replicas=5, durable_zones=2))
    catalog.accept(CreateTable(make_table(), b"s", 1.0))
    entries = catalog.partitions("orders")
    assert len(entries) == 4
    assert {len(e.target) for e in entries} == {5}
    assert {(e.write_quorum, e.durable_zones) for e in entries} == {(3, 2)}


def test_a_table_is_active_once_each_partition_has_reported_a_master() -> None:
    catalog = make_catalog(3)
    catalog.accept(CreateTable(make_table(partitions=2), b"s", 1.0))
    first, second = catalog.partitions("orders")
    catalog.report([catalog.settled(first)])
    assert catalog.state.map().tables["orders"].status == "CREATING"
    catalog.report([catalog.settled(catalog.partitions("orders")[0])])
    assert catalog.state.map().tables["orders"].status == "CREATING"
    catalog.report([catalog.settled(second)])
    assert catalog.state.map().tables["orders"].status == "ACTIVE"


def test_table_ids_come_from_the_seed() -> None:
    ids = set()
    for seed in (b"one", b"one", b"two"):
        table = make_catalog(3).accept(CreateTable(make_table(), seed, 1.0)).table
        assert table is not None and len(table.table_id) == 36
        ids.add(table.table_id)
    assert len(ids) == 2


def test_a_name_is_taken_while_its_table_lives() -> None:
    catalog = make_catalog(3)
    catalog.make_table()
    assert "orders" in catalog.refuse(CreateTable(make_table(), b"t", 2.0), RESOURCE_IN_USE)


def test_too_few_hosts_are_refused_with_their_numbers() -> None:
    catalog = make_catalog(3)
    message = catalog.refuse(CreateTable(make_table(replicas=5), b"s", 1.0), INSUFFICIENT_NODES)
    assert "5 replicas" in message and "3 nodes" in message


def test_too_few_zones_are_refused_with_their_numbers() -> None:
    catalog = make_catalog(4, zones=2, settings=ClusterSettings(durable_zones=1))
    message = catalog.refuse(CreateTable(make_table(durable_zones=3), b"s", 1.0), INSUFFICIENT_ZONES)
    assert "3 zones" in message and "2 zones" in message


@pytest.mark.parametrize(
    "fields",
    [
        {"replicas": 3, "write_quorum": 1},
        {"replicas": 4, "write_quorum": 2},
        {"replicas": 3, "write_quorum": 4},
        {"replicas": 8},
        {"replicas": -1},
        {"replicas": 2, "durable_zones": 3},
        {"partitions": -1},
        {"name": ""},
        {"range_key": KeyAttribute("id", "N")},
        {"range_key": KeyAttribute("at", "X")},
    ],
)
def test_definitions_that_no_group_can_have_are_refused(fields: dict[str, object]) -> None:
    spec = msgspec.structs.replace(make_table(), **fields)
    make_catalog(3).refuse(CreateTable(spec, b"s", 1.0), INVALID)


def test_limits_of_tables_and_partitions_are_kept() -> None:
    catalog = make_catalog(3, settings=ClusterSettings(tables_max=2, partitions_max=5, partitions_per_table_max=4))
    catalog.refuse(CreateTable(make_table(partitions=5), b"s", 1.0), LIMIT_EXCEEDED)
    catalog.make_table("a", partitions=4)
    catalog.refuse(CreateTable(make_table(partitions=2), b"s", 1.0), LIMIT_EXCEEDED)
    catalog.make_table("b", partitions=1)
    catalog.refuse(CreateTable(make_table("c", partitions=1), b"s", 1.0), LIMIT_EXCEEDED)


def test_a_node_in_maintenance_holds_replicas_but_is_no_preferred_master() -> None:
    catalog = make_catalog(3)
    resting = catalog.partitions("")[0].founders[0].node
    catalog.accept(SetNodeState(resting, "maintenance"))
    for entry in catalog.make_table(partitions=6):
        assert entry.target[0].node != resting
        assert resting in [place.node for place in entry.target]


def test_a_deleted_table_is_gone_and_its_partitions_are_known_as_deleted_for_ever() -> None:
    catalog = make_catalog(3)
    kept = catalog.make_table("kept")[0]
    gone = [entry.id for entry in catalog.make_table(partitions=3)]
    reply = catalog.accept(DeleteTable("orders"))
    assert reply.table is not None and reply.table.status == "DELETING"
    now = catalog.state.map()
    assert "orders" not in now.tables and not any(id_ in now.partitions for id_ in gone)
    assert all(now.is_deleted(id_) for id_ in gone)
    assert not now.is_deleted(kept.id) and not now.is_deleted(PartitionId(max(gone) + 1))
    assert min(entry.id for entry in catalog.make_table(partitions=1)) > max(gone)
    assert all(catalog.state.map().is_deleted(id_) for id_ in gone)


def test_deleted_ranges_join() -> None:
    catalog = make_catalog(3)
    for name in "abcde":
        catalog.make_table(name, partitions=2)
    for name in "aecdb":
        catalog.accept(DeleteTable(name))
    assert catalog.state.map().deleted == [(2, 11)]


def test_only_its_resource_may_change_or_delete_a_managed_table() -> None:
    catalog = make_catalog(3)
    catalog.make_table(managed_by="Table/shop/orders")
    for manager in ("", "Table/shop/other"):
        message = catalog.refuse(DeleteTable("orders", manager), MANAGED)
        assert "managed by Table/shop/orders" in message
        catalog.refuse(UpdateTable(make_table(read_units=1), manager), MANAGED)
    catalog.accept(UpdateTable(make_table(read_units=1, managed_by="Table/shop/orders"), "Table/shop/orders"))
    assert catalog.state.map().tables["orders"].read_units == 1
    catalog.accept(DeleteTable("orders", "Table/shop/orders"))


def test_a_resource_adopts_a_table_of_the_api_and_can_let_it_go() -> None:
    catalog = make_catalog(3)
    catalog.make_table()
    catalog.refuse(UpdateTable(make_table(managed_by="Table/shop/orders"), ""), INVALID)
    catalog.accept(UpdateTable(make_table(managed_by="Table/shop/orders"), "Table/shop/orders"))
    catalog.refuse(DeleteTable("orders"), MANAGED)
    catalog.accept(UpdateTable(make_table(), "Table/shop/orders"))
    catalog.accept(DeleteTable("orders"))


def test_a_protected_table_is_deleted_by_nobody_until_the_protection_is_lifted() -> None:
    catalog = make_catalog(3)
    catalog.make_table(managed_by="m", deletion_protection=True)
    catalog.refuse(DeleteTable("orders", "m"), DELETION_PROTECTED)
    catalog.accept(UpdateTable(make_table(managed_by="m"), "m"))
    catalog.accept(DeleteTable("orders", "m"))


def test_a_delete_that_names_an_older_table_of_the_name_is_refused() -> None:
    catalog = make_catalog(3)
    catalog.make_table()
    catalog.refuse(DeleteTable("orders", table_id="another"), RESOURCE_NOT_FOUND)
    catalog.refuse(DeleteTable("nothing"), RESOURCE_NOT_FOUND)


def test_keys_and_the_number_of_partitions_cannot_be_updated() -> None:
    catalog = make_catalog(3)
    catalog.make_table(partitions=2)
    other_key = msgspec.structs.replace(make_table(), hash_key=KeyAttribute("id", "N"))
    catalog.refuse(UpdateTable(other_key), IMMUTABLE)
    catalog.refuse(UpdateTable(make_table(partitions=3)), IMMUTABLE)
    catalog.refuse(UpdateTable(make_table("nothing")), RESOURCE_NOT_FOUND)


def test_an_update_that_changes_nothing_leaves_the_map_as_it_is() -> None:
    catalog = make_catalog(3)
    catalog.make_table(partitions=2)
    version = catalog.state.version
    catalog.accept(UpdateTable(make_table()))
    assert catalog.state.version == version


def test_an_update_of_the_write_quorum_reaches_every_partition() -> None:
    catalog = make_catalog(5)
    catalog.make_table(partitions=2)
    catalog.accept(UpdateTable(make_table(replicas=5, write_quorum=4)))
    assert {entry.write_quorum for entry in catalog.partitions("orders")} == {4}
    assert catalog.state.map().tables["orders"].replicas == 5
    catalog.refuse(UpdateTable(make_table(replicas=6)), INSUFFICIENT_NODES)


def test_a_range_index_finds_each_partition_by_row_key() -> None:
    catalog = make_catalog(3)
    entries = catalog.make_table(partitions=7)
    index = RangeIndex(list(reversed(entries)))
    for entry in entries:
        assert index.find(entry.low) == entry
        assert index.find(entry.low + b"\x00") == entry
        if entry.high is not None:
            assert index.find(entry.high) != entry
    holed = RangeIndex([entries[1], entries[3]])
    assert holed.find(b"") is None and holed.find(entries[2].low) is None and holed.find(entries[5].low) is None
    assert holed.after(b"") == entries[1] and holed.after(entries[2].low) == entries[3]
    assert holed.after(entries[4].low) is None
    assert index.before(None) == entries[-1] and index.before(entries[3].low) == entries[2]
    assert index.before(entries[3].low + b"\x00") == entries[3] and index.before(b"") is None
