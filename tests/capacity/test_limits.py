"""Which limits a table has."""

from typing import Any

from keystead_core.capacity.limits import (
    CapacitySettings,
    Cause,
    Kind,
    limits_of,
    resource_of_table,
)
from keystead_core.cluster_map import KeyAttribute, TableDefinition, TableOptions

SETTINGS = CapacitySettings()


def table(**more: Any) -> TableDefinition:
    return TableDefinition(
        name="orders",
        table_id="id-1",
        hash_key=KeyAttribute("pk", "S"),
        range_key=None,
        partitions=1,
        replicas=3,
        write_quorum=0,
        durable_zones=1,
        created_at=0.0,
        status="ACTIVE",
        **more,
    )


def test_a_provisioned_table_has_its_units_saves_them_for_five_minutes_and_has_limits_of_partitions() -> None:
    resource = resource_of_table(table(billing_mode="PROVISIONED", read_units=50, write_units=5))
    reads, writes = (limits_of(resource, kind, SETTINGS) for kind in Kind)
    assert reads.whole is not None and writes.whole is not None
    assert (reads.whole.rate, reads.whole.burst, reads.whole.cause) == (50, 15_000, Cause.PROVISIONED)
    assert (writes.whole.rate, writes.whole.burst) == (5, 1500)
    assert reads.partition is not None and writes.partition is not None
    assert (reads.partition.rate, writes.partition.rate) == (3000, 1000)
    assert reads.partition.burst == 3000


def test_an_on_demand_table_has_no_limit() -> None:
    assert all(limits_of(resource_of_table(table()), kind, SETTINGS).are_none for kind in Kind)


def test_an_on_demand_table_has_the_maximum_that_it_sets_itself() -> None:
    resource = resource_of_table(table(options=TableOptions(read_requests_max=-1, write_requests_max=40)))
    assert limits_of(resource, Kind.READ, SETTINGS).are_none
    limit = limits_of(resource, Kind.WRITE, SETTINGS).whole
    assert limit is not None
    assert (limit.rate, limit.burst, limit.cause) == (40, 40, Cause.ON_DEMAND_MAXIMUM)


def test_partitions_of_on_demand_tables_have_the_limits_of_the_settings() -> None:
    settings = CapacitySettings(on_demand_partition_read_units=3000)
    limits = limits_of(resource_of_table(table()), Kind.READ, settings)
    assert limits.whole is None and limits.partition is not None
    assert (limits.partition.rate, limits.partition.cause) == (3000, Cause.PARTITION)
    assert limits_of(resource_of_table(table()), Kind.WRITE, settings).are_none


def test_limits_of_partitions_can_be_taken_off() -> None:
    settings = CapacitySettings(partition_read_units=0, partition_write_units=0)
    resource = resource_of_table(table(billing_mode="PROVISIONED", read_units=1, write_units=1))
    assert all(limits_of(resource, kind, settings).partition is None for kind in Kind)


def test_a_second_is_saved_whatever_the_settings_say() -> None:
    resource = resource_of_table(table(billing_mode="PROVISIONED", read_units=7, write_units=1))
    limit = limits_of(resource, Kind.READ, CapacitySettings(burst_seconds=0.1)).whole
    assert limit is not None and limit.burst == 7
