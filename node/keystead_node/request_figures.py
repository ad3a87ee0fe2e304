"""Counts and latencies of API requests, kept as plain numbers and shaped for Prometheus only when they are scraped.

The client library's own counters take a lock each: 4 us for the two that each request needs, a tenth of what it costs.
All requests of a node are observed and scraped on its one event loop, so plain numbers do.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BUCKET_LABELS: Final = (*map(str, BUCKETS_SECONDS), "+Inf")


class _Operation:
    """One operation: requests by error ("": none), and by the bucket that their time falls in."""

    __slots__ = ("buckets", "results", "seconds")

    def __init__(self) -> None:
        self.results: dict[str, int] = {}
        self.buckets = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds = 0.0


class RequestFigures:
    """A collector for Prometheus: `keystead_api_requests` and `keystead_api_request_seconds`."""

    def __init__(self) -> None:
        self._operations: dict[str, _Operation] = {}

    def observe(self, operation: str, error: str, seconds: float) -> None:
        """`operation`: "" if none that is known; `error`: the error's kind, or "" for a success."""
        figures = self._operations.get(operation)
        if figures is None:
            figures = self._operations[operation] = _Operation()
        figures.results[error] = figures.results.get(error, 0) + 1
        figures.buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        figures.seconds += seconds

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily("keystead_api_requests", "API requests answered", labels=["operation", "result"])
        latency = HistogramMetricFamily(
            "keystead_api_request_seconds", "Time from a request's last byte to its answer", labels=["operation"]
        )
        for operation, figures in self._operations.items():
            name = operation or "unknown"
            for error, count in figures.results.items():
                requests.add_metric([name, error or "ok"], count)
            latency.add_metric([name], _cumulated(figures.buckets), figures.seconds)
        yield requests
        yield latency


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    """Each bucket with all that took no longer, as Prometheus wants them."""
    total = 0
    cumulated: list[tuple[str, float]] = []
    for label, count in zip(_BUCKET_LABELS, buckets, strict=True):
        total += count
        cumulated.append((label, total))
    return cumulated
