"""Consumed and throttled units for Prometheus, by table and kind.

At most TABLES_MAX tables have series of their own at a node, those that had requests there first; what all others
consume is summed up as the table "" (no table has that name). A table's series go with the table.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from keystead_node.metering import Metering
from keystead_node.table_use import TableUses

TABLES_MAX: Final = 1000


class CapacityFigures:
    """A collector for Prometheus."""

    def __init__(self, metering: Metering, uses: TableUses) -> None:
        self._metering = metering
        self._uses = uses

    def collect(self) -> Iterable[Metric]:
        labels = ["table", "kind"]
        consumed = CounterMetricFamily("keystead_consumed_units", "Units consumed by requests here", labels=labels)
        throttled = CounterMetricFamily("keystead_throttled_units", "Units that were refused here", labels=labels)
        tables = iter(self._uses.all.items())
        others: dict[str, tuple[float, float]] = {}
        for name, use in islice(tables, TABLES_MAX):
            for kind in (use.reads, use.writes):
                consumed.add_metric([name, kind.kind.name.lower()], kind.consumed)
                throttled.add_metric([name, kind.kind.name.lower()], kind.throttled)
        for _, use in tables:
            for kind in (use.reads, use.writes):
                sums = others.get(kind.kind.name.lower(), (0.0, 0.0))
                others[kind.kind.name.lower()] = (sums[0] + kind.consumed, sums[1] + kind.throttled)
        for kind_name, sums in others.items():
            consumed.add_metric(["", kind_name], sums[0])
            throttled.add_metric(["", kind_name], sums[1])
        yield consumed
        yield throttled
        yield CounterMetricFamily(
            "keystead_unit_asks", "Messages to other nodes that ask for units", self._metering.asks
        )
        yield GaugeMetricFamily(
            "keystead_limits_alone", "Limits that this node keeps to without their accountant", self._metering.alone
        )
