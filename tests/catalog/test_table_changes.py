"""Changes of tables through the API: each changes what it names, and survives the rows that hold it."""

import msgspec
import pytest

from keystead_core.catalog.commands import ChangeTable, CreateTable, UpdateTable
from keystead_core.catalog.results import INVALID, MANAGED, RESOURCE_IN_USE, RESOURCE_NOT_FOUND
from keystead_core.catalog.rows import decode_row, encode_row, row_key
from keystead_core.catalog.state import CatalogState
from keystead_core.catalog.table_changes import Encryption, Expiry, TableChange
from keystead_core.cluster_map import TableDefinition, TableOptions
from tests.catalog.cluster import Catalog, make_catalog, make_table


@pytest.fixture
def catalog() -> Catalog:
    catalog = make_catalog(3)
    catalog.make_table()
    return catalog


def change(catalog: Catalog, at: float = 2.0, **fields: object) -> TableDefinition:
    reply = catalog.accept(ChangeTable("orders", TableChange(**fields), at))  # type: ignore[arg-type]
    assert reply.table == catalog.state.map().tables["orders"]
    return reply.table


def refused(catalog: Catalog, error: str = INVALID, **fields: object) -> str:
    return catalog.refuse(ChangeTable("orders", TableChange(**fields), 2.0), error)  # type: ignore[arg-type]


def test_a_change_leaves_alone_what_it_does_not_name(catalog: Catalog) -> None:
    change(catalog, deletion_protection=True)
    change(catalog, tags={"team": "shop"})
    change(catalog, expiry=Expiry("until", True))
    table = change(catalog, stream_view="KEYS_ONLY", stream_label="now")
    assert table.deletion_protection and table.tags == {"team": "shop"}
    assert table.options == TableOptions(expiry_attribute="until", stream_view="KEYS_ONLY", stream_label="now")


def test_a_change_of_nothing_leaves_the_map_as_it_is(catalog: Catalog) -> None:
    version = catalog.state.version
    change(catalog, billing_mode="PAY_PER_REQUEST", table_class="STANDARD", tags_removed=["none"])
    assert catalog.state.version == version


def test_options_outlive_rows_and_an_update_by_a_resource(catalog: Catalog) -> None:
    change(catalog, table_class="STANDARD_INFREQUENT_ACCESS", encryption=Encryption("KMS", "k"), warm_reads=7)
    before = change(catalog, read_requests_max=5, expiry=Expiry("until", True))
    restarted = CatalogState.from_rows(list(catalog.rows.items()))
    assert restarted.map().tables["orders"] == before
    catalog.accept(UpdateTable(make_table(read_units=3, managed_by="m"), "m"))
    after = catalog.state.map().tables["orders"]
    assert after.read_units == 3 and after.options == before.options


def test_a_table_is_made_with_the_options_that_it_is_asked_for() -> None:
    catalog = make_catalog(3)
    options = TableOptions(stream_view="NEW_IMAGE", stream_label="then", warm_writes=9)
    reply = catalog.accept(CreateTable(make_table(), b"s", 1.0, options=options))
    assert reply.table is not None and reply.table.options == options


def test_a_row_of_an_older_version_is_a_table_without_options(catalog: Catalog) -> None:
    key = row_key(b"t", "orders")
    version, fields = msgspec.msgpack.decode(catalog.rows[key])
    del fields["options"]
    kind, name, (_, table) = decode_row(key, encode_row([version, fields]))
    assert (kind, name, table) == (b"t", "orders", catalog.state.map().tables["orders"])


def test_billing_goes_to_provisioned_and_back(catalog: Catalog) -> None:
    provisioned = change(catalog, billing_mode="PROVISIONED", read_units=5, write_units=6)
    assert (provisioned.billing_mode, provisioned.read_units, provisioned.write_units) == ("PROVISIONED", 5, 6)
    assert "will not change" in refused(catalog, read_units=5, write_units=6)
    on_demand = change(catalog, 9.5, billing_mode="PAY_PER_REQUEST")
    assert (on_demand.read_units, on_demand.write_units, on_demand.options.on_demand_at) == (0, 0, 9.5)


def test_throughput_must_fit_the_billing_mode(catalog: Catalog) -> None:
    assert "Neither ReadCapacityUnits" in refused(catalog, read_units=5, write_units=6)
    assert "ProvisionedThroughput must be specified" in refused(catalog, billing_mode="PROVISIONED")
    change(catalog, billing_mode="PROVISIONED", read_units=5, write_units=6)
    assert "Neither MaxReadRequestUnits" in refused(catalog, read_requests_max=5)


def test_a_stream_is_made_once_and_its_label_outlives_it(catalog: Catalog) -> None:
    assert refused(catalog, stream_view="") == "Table has no stream to disable: TableName: orders"
    change(catalog, stream_view="KEYS_ONLY", stream_label="first")
    assert refused(catalog, stream_view="NEW_IMAGE") == "Table already has an enabled stream: TableName: orders"
    ended = change(catalog, stream_view="").options
    assert (ended.stream_view, ended.stream_label) == ("", "first")
    assert change(catalog, stream_view="NEW_IMAGE", stream_label="second").options.stream_label == "second"


def test_items_expire_by_one_attribute_at_a_time(catalog: Catalog) -> None:
    assert refused(catalog, expiry=Expiry("until", False)) == "TimeToLive is already disabled"
    change(catalog, expiry=Expiry("until", True))
    assert refused(catalog, expiry=Expiry("until", True)) == "TimeToLive is already enabled"
    for enabled in (True, False):
        assert "current AttributeName is until" in refused(catalog, expiry=Expiry("other", enabled))
    assert change(catalog, expiry=Expiry("until", False)).options.expiry_attribute == ""
    assert change(catalog, expiry=Expiry("other", True)).options.expiry_attribute == "other"


def test_a_table_has_at_most_fifty_tags(catalog: Catalog) -> None:
    change(catalog, tags={f"k{number}": "v" for number in range(50)})
    change(catalog, tags={"k0": "w"})
    assert "Too many tags" in refused(catalog, tags={"one more": "v"})
    assert len(change(catalog, tags={"other": "v"}, tags_removed=["k1", "k2"]).tags) == 49


def test_warm_throughput_only_grows_and_encryption_changes_to_another_key(catalog: Catalog) -> None:
    change(catalog, warm_reads=12_000, encryption=Encryption("KMS"))
    assert "decreasing WarmThroughput is not supported" in refused(catalog, warm_reads=11_999)
    assert "already encrypted" in refused(catalog, encryption=Encryption("KMS"))
    assert change(catalog, encryption=Encryption("KMS", "key")).options.encryption_key == "key"
    assert change(catalog, encryption=Encryption("")).options.encryption == ""


def test_what_a_resource_declares_is_changed_through_it_alone() -> None:
    catalog = make_catalog(3)
    catalog.make_table(managed_by="Table/shop/orders")
    for fields in ({"deletion_protection": True}, {"tags": {"a": "b"}}, {"stream_view": "KEYS_ONLY"}):
        assert "managed by Table/shop/orders" in refused(catalog, MANAGED, **fields)
    assert change(catalog, expiry=Expiry("until", True)).options.expiry_attribute == "until"


def test_a_table_that_is_being_made_or_is_not_there_is_not_changed(catalog: Catalog) -> None:
    catalog.accept(CreateTable(make_table("young"), b"y", 1.0))
    message = catalog.refuse(ChangeTable("young", TableChange(deletion_protection=True), 2.0), RESOURCE_IN_USE)
    assert message == "Attempt to change a resource which is still in use: Table is being created: young"
    catalog.refuse(ChangeTable("none", TableChange(deletion_protection=True), 2.0), RESOURCE_NOT_FOUND)
