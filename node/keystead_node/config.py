"""The configuration of a node process, and its exit codes.

A JSON file, which all nodes of a cluster may share, and environment variables for what differs from node to node; a
variable that is set and not empty goes before the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from keystead_core.capacity.limits import CapacitySettings
from keystead_core.copy_pace import CopyLimits
from keystead_core.ids import MILLISECOND
from keystead_core.replication.settings import Settings
from keystead_core.split.dial_up import PartitionLimits
from keystead_core.split.triggers import SplitRule
from keystead_node.transport.addresses import join_address

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
FROM_ENVIRONMENT: Final = {
    "name": "KEYSTEAD_NAME",
    "zone": "KEYSTEAD_ZONE",
    "host": "KEYSTEAD_HOST",
    "bind": "KEYSTEAD_BIND",
    "advertise": "KEYSTEAD_ADVERTISE",
    "local": "KEYSTEAD_LOCAL",
}
SETTINGS_FROM_ENVIRONMENT: Final = {"audit_log": "KEYSTEAD_AUDIT_LOG", "audit_level": "KEYSTEAD_AUDIT_LEVEL"}

MEGABYTE: Final = 1024 * 1024
HOT_LOG_MB_MIN: Final = 16
AUDIT_LEVELS: Final = ("off", "denied", "writes", "all")
AuditLevel = Literal["off", "denied", "writes", "all"]

EXIT_BAD_CONFIG = 2
EXIT_IN_USE = 3
EXIT_NOT_WRITABLE = 4
EXIT_TOO_NEW = 5
EXIT_PORT_IN_USE = 6
EXIT_WRONG_CLUSTER = 7
EXIT_DISK_FAILED = 8
EXIT_RENOUNCED = 9
EXIT_BROKEN = 10


class ConfigError(ValueError):
    """The configuration file is not usable; the message says where."""


class TlsConfig(msgspec.Struct, frozen=True):
    """`dir` holds ca.crt, tls.crt and tls.key, in PEM. `peer_name`: the name in every node's certificate."""

    dir: str
    peer_name: str

    @property
    def operator_name(self) -> str:
        """The name in the operator's certificate: operator.C.NS.keystead for nodes called node.C.NS.keystead."""
        return f"operator.{self.peer_name.partition('.')[2]}"


class LeaseName(msgspec.Struct, frozen=True):
    """Where the Lease is, and how the API server is reached. `server` "": as pods find it, by their environment."""

    namespace: str
    name: str
    server: str = ""
    token_file: str = f"{SERVICE_ACCOUNT}/token"
    ca_file: str = f"{SERVICE_ACCOUNT}/ca.crt"


class CatalogLockConfig(msgspec.Struct, frozen=True):
    """The catalog's lock where it is not a file."""

    lease: LeaseName


class NodeConfig(msgspec.Struct, kw_only=True):
    """What a node is told.

    `host` and `disk`: names for what it shares with others, "" unknown. `bind`: the address it listens on; `advertise`:
    the one under which others reach it; `local`: where the API listens too, for kubectl port-forward, "" nowhere.
    `seeds`: host:port of peers, where it looks for the others. `tls`: None for plain connections. `credentials_dir`: of
    access keys; without them a node starts only if `insecure_no_auth` says that anybody may do everything. `settings`
    are the cluster's settings by name (docs/operations.md); those that concern a node process are read here.
    """

    cluster: str
    name: str
    zone: str
    data_dir: str
    api_port: int
    peer_port: int
    admin_port: int
    host: str = ""
    disk: str = ""
    bind: str = "127.0.0.1"
    advertise: str = "127.0.0.1"
    local: str = ""
    seeds: list[str] = []
    catalog_lock_file: str = ""
    catalog_lock: CatalogLockConfig | None = None
    tls: TlsConfig | None = None
    credentials_dir: str = ""
    insecure_no_auth: bool = False
    settings: dict[str, Any] = {}

    @property
    def peer_address(self) -> str:
        """Where other nodes reach this one."""
        return join_address(self.advertise, self.peer_port)

    def number(self, name: str, default: int) -> int:
        value = self.settings.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"settings.{name}: {value!r} is no whole number") from error

    def check_access(self) -> None:
        """Who may call the API has to be said. Raises ConfigError."""
        if self.credentials_dir and self.insecure_no_auth:
            raise ConfigError("credentials_dir and insecure_no_auth rule each other out: leave one away")
        if not self.credentials_dir and not self.insecure_no_auth:
            raise ConfigError(
                "nobody could call the API: set credentials_dir to a directory of access keys (docs/access.md), or "
                "insecure_no_auth to true (--insecure-no-auth) to serve whoever reaches the port"
            )

    def audit(self) -> tuple[str, AuditLevel]:
        """Where the audit log goes ("": nowhere; "-": standard output), and what is in it. Raises ConfigError."""
        path = str(self.settings.get("audit_log", "")).replace("{name}", self.name)
        level = str(self.settings.get("audit_level", "all"))
        if level not in AUDIT_LEVELS:
            raise ConfigError(f"settings.audit_level: {level!r} is none of {', '.join(AUDIT_LEVELS)}")
        return (path, cast(AuditLevel, level)) if level != "off" else ("", "off")

    def hot_log_bytes(self) -> int:
        """A smaller log could wait for ever for the room of what one message brings. Raises ConfigError."""
        megabytes = self.number("hot_log_mb", 256)
        if megabytes < HOT_LOG_MB_MIN:
            raise ConfigError(f"settings.hot_log_mb: {megabytes} is less than {HOT_LOG_MB_MIN}")
        return megabytes * MEGABYTE

    def replication(self) -> Settings:
        """The protocol's constants. Raises ConfigError."""
        lock = str(self.settings.get("lock", "preferred"))
        if lock not in ("required", "preferred", "none"):
            raise ConfigError(f"settings.lock: {lock!r} is none of required, preferred, none")
        reads = str(self.settings.get("reads", "lease"))
        if reads not in ("lease", "quorum"):
            raise ConfigError(f"settings.reads: {reads!r} is none of lease, quorum")
        lease_ms = self.number("lease_ms", 1000)
        if not 100 <= lease_ms <= 60_000:
            raise ConfigError(f"settings.lease_ms: {lease_ms} is not between 100 and 60000")
        return Settings(
            lease=lease_ms * MILLISECOND,
            heartbeat=self.number("heartbeat_ms", max(20, lease_ms // 5)) * MILLISECOND,
            resend=max(100, lease_ms * 2 // 5) * MILLISECOND,
            lock=lock,
            reads=reads,
            seal_bytes=self.number("seal_bytes", 4 * 1024 * 1024),
        )

    def splits(self) -> SplitRule:
        """When partitions are split by themselves."""
        capacity, default = self.capacity(), SplitRule()
        return SplitRule(
            bytes_max=self.number("split_mb", default.bytes_max >> 20) << 20,
            read_units=self.number("split_read_units", capacity.partition_read_units),
            write_units=self.number("split_write_units", capacity.partition_write_units),
            after_seconds=self.number("split_after_seconds", int(default.after_seconds)),
            anomaly_times=self.number("split_anomaly_times", int(default.anomaly_times)),
        )

    def copies(self) -> CopyLimits:
        """How much physical copies may take of the node. Raises ConfigError."""
        percent = self.number("copy_share_percent", 50)
        if not 1 <= percent <= 100:
            raise ConfigError(f"settings.copy_share_percent: {percent} is not between 1 and 100")
        rate = max(0, self.number("copy_mb_per_second", 0)) << 20
        return CopyLimits(share=percent / 100, bytes_per_second=rate)

    def partition_limits(self) -> PartitionLimits:
        """What one partition gives."""
        capacity = self.capacity()
        return PartitionLimits(capacity.partition_read_units, capacity.partition_write_units)

    def capacity(self) -> CapacitySettings:
        """How tables are held to their units. Raises ConfigError."""
        mode = str(self.settings.get("capacity_mode", "enforce"))
        if mode not in ("enforce", "observe"):
            raise ConfigError(f"settings.capacity_mode: {mode!r} is none of enforce, observe")
        burst_seconds = self.number("burst_seconds", 300)
        if not 1 <= burst_seconds <= 86_400:
            raise ConfigError(f"settings.burst_seconds: {burst_seconds} is not between 1 and 86400")
        return CapacitySettings(
            is_enforced=mode == "enforce",
            burst_seconds=burst_seconds,
            partition_read_units=self.number("partition_read_units", 3000),
            partition_write_units=self.number("partition_write_units", 1000),
            on_demand_partition_read_units=self.number("on_demand_partition_read_units", 0),
            on_demand_partition_write_units=self.number("on_demand_partition_write_units", 0),
        )


def read_config(path: Path, environment: Mapping[str, str]) -> NodeConfig:
    """Raises ConfigError, OSError."""
    try:
        fields = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        fields |= {field: given for field, name in FROM_ENVIRONMENT.items() if (given := environment.get(name))}
        for field in ("name", "zone"):
            if not fields.get(field):
                raise ConfigError(f"{path}: no `{field}`, and {FROM_ENVIRONMENT[field]} is not set")
        settings = {name: given for name, key in SETTINGS_FROM_ENVIRONMENT.items() if (given := environment.get(key))}
        config = msgspec.convert(fields, NodeConfig)
        config.settings = config.settings | settings
        return config
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}") from error
