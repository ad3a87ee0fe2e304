"""What may be consumed: the limits of a metered resource, which is a table, or an index with units of its own.

A provisioned resource may consume its units, and save what it leaves for up to `burst_seconds`. Any of its partitions
may use what the others leave, up to the units of a partition: there is no limit for a part of a table below those.
On demand there is the maximum that the table sets itself, and none where it sets none; and the partitions' units, where
the cluster's settings say so.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from keystead_core.cluster_map import TableDefinition
from keystead_core.ids import PartitionId

WHOLE: Final = PartitionId(0)
"""In the place of a partition: the limit of the whole resource. No partition has this number."""

PARTITION_BURST_SECONDS: Final = 1.0
"""A partition saves no more than this: the service lets no saved capacity go beyond a partition's units."""


class Kind(IntEnum):
    """Of units. The numbers travel between nodes."""

    READ = 1
    WRITE = 2


class Cause(IntEnum):
    """Which limit was reached."""

    PROVISIONED = 1
    ON_DEMAND_MAXIMUM = 2
    PARTITION = 3


class MeterKey(NamedTuple):
    """One limit: of a resource, by the name under which the map has its partitions (a table's; an index with units of
    its own has one too, which begins with TABLE/), or of one of its partitions."""

    resource: str
    kind: Kind
    partition: PartitionId


class CapacitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster's. Units are per second; 0: no limit. `is_enforced` False: what would be refused is only counted."""

    is_enforced: bool = True
    burst_seconds: float = 300.0
    partition_read_units: int = 3000
    partition_write_units: int = 1000
    on_demand_partition_read_units: int = 0
    on_demand_partition_write_units: int = 0


class Limit(msgspec.Struct, frozen=True):
    """`rate` in units per second; `burst` in units."""

    rate: float
    burst: float
    cause: Cause


class MeteredResource(msgspec.Struct, frozen=True):
    """What has units. `identity`: another one is another resource, though its name be the same."""

    name: str
    identity: str
    is_provisioned: bool
    read_units: int
    write_units: int
    read_requests_max: int = 0
    write_requests_max: int = 0


class KindLimits(NamedTuple):
    """The limits of one kind of units. None: there is none."""

    whole: Limit | None
    partition: Limit | None

    @property
    def are_none(self) -> bool:
        return self.whole is None and self.partition is None


def resource_of_table(table: TableDefinition) -> MeteredResource:
    return MeteredResource(
        name=table.name,
        identity=table.table_id,
        is_provisioned=table.billing_mode == "PROVISIONED",
        read_units=table.read_units,
        write_units=table.write_units,
        read_requests_max=table.options.read_requests_max,
        write_requests_max=table.options.write_requests_max,
    )


def limits_of(resource: MeteredResource, kind: Kind, settings: CapacitySettings) -> KindLimits:
    reads = kind is Kind.READ
    if resource.is_provisioned:
        units = resource.read_units if reads else resource.write_units
        whole = _limit(units, settings.burst_seconds, Cause.PROVISIONED)
        partition_units = settings.partition_read_units if reads else settings.partition_write_units
    else:
        units = resource.read_requests_max if reads else resource.write_requests_max
        whole = _limit(units, PARTITION_BURST_SECONDS, Cause.ON_DEMAND_MAXIMUM)
        partition_units = settings.on_demand_partition_read_units if reads else settings.on_demand_partition_write_units
    return KindLimits(whole, _limit(partition_units, PARTITION_BURST_SECONDS, Cause.PARTITION))


def _limit(units: int, burst_seconds: float, cause: Cause) -> Limit | None:
    """At least a second is saved: tokens are handed out a few times in one."""
    return Limit(float(units), units * max(1.0, burst_seconds), cause) if units > 0 else None
