"""Prometheus metrics of a node. Figures that others keep are read when they are scraped."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from keystead_node.copies import Copies
from keystead_node.expiry import Expiry
from keystead_node.index_feeder import IndexFeeder
from keystead_node.log_writer import LogWriter
from keystead_node.request_figures import RequestFigures
from keystead_node.router import Router
from keystead_node.shell import Shell

STALL_SECONDS = 0.05


class Metrics:
    """One registry per node process. `requests` is labelled by operation and result (ok or the error)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = RequestFigures()
        self.registry.register(self.requests)
        self.stalls = Counter(
            "keystead_loop_stalls", "Times that the event loop was held for over 50 ms", registry=self.registry
        )
        self.stall_seconds = Counter(
            "keystead_loop_stall_seconds", "How long the event loop was held, of those times", registry=self.registry
        )

    def observe(
        self, shell: Shell, writer: LogWriter, router: Router, copies: Copies, expiry: Expiry, feeder: IndexFeeder
    ) -> None:
        self.registry.register(_Figures(shell, writer, router, copies, expiry, feeder))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Figures:
    def __init__(
        self, shell: Shell, writer: LogWriter, router: Router, copies: Copies, expiry: Expiry, feeder: IndexFeeder
    ) -> None:
        self._shell, self._writer, self._router, self._copies = shell, writer, router, copies
        self._expiry, self._feeder = expiry, feeder

    def collect(self) -> Iterable[Metric]:
        core, peers, expiry = self._shell.core, self._shell.peers, self._expiry
        roles: dict[str, int] = {}
        uncommitted = 0
        for r in core.replicas.values():
            roles[r.role] = roles.get(r.role, 0) + 1
            uncommitted += r.log.last_lsn - r.commit_lsn
        gauge = GaugeMetricFamily("keystead_replicas", "Replicas on this node by role", labels=["role"])
        for role, count in sorted(roles.items()):
            gauge.add_metric([role], count)
        yield gauge
        yield GaugeMetricFamily("keystead_uncommitted_records", "Records not known committed", uncommitted)
        space = self._writer.hot_log.free_blocks
        yield GaugeMetricFamily("keystead_hot_log_free_bytes", "Room in the hot log", space * 4096)
        yield GaugeMetricFamily("keystead_peers_connected", "Nodes connected to", len(peers.links))
        lag = max(self._feeder.lag_seconds.values(), default=0.0)
        yield GaugeMetricFamily("keystead_index_lag_seconds", "Age of the oldest change not in a global index", lag)
        for name, help_text, value in (
            ("keystead_peer_messages_sent", "Messages of the core sent to other nodes", peers.messages_sent),
            ("keystead_peer_bytes_sent", "Bytes of those messages", peers.bytes_sent),
            ("keystead_log_batches", "Batches of the hot log, an fdatasync each", self._writer.batches),
            ("keystead_core_steps", "Events that the core took", self._shell.counters["steps"]),
            ("keystead_writes", "Writes proposed here", self._shell.counters["writes"]),
            ("keystead_depositions", "Masterships that ended here", self._shell.counters["deposed"]),
            ("keystead_forwarded_requests", "Requests sent on to another node", self._router.forwarded),
            ("keystead_request_retries", "Times that a request looked for its master again", self._router.retries),
            ("keystead_copied_bytes", "Bytes of physical copies sent", self._copies.bytes_copied),
            ("keystead_expired_items", "Items deleted here because their time to live was over", expiry.items_expired),
            ("keystead_index_changes", "Changes of rows brought into global indexes", self._feeder.changes_fed),
            ("keystead_expiry_rows", "Rows looked at for their time to live", expiry.rows_seen),
        ):
            yield CounterMetricFamily(name, help_text, value)
