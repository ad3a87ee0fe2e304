"""Opening a node's volume: identity, hot log and what every replica had, ready for the core."""

from pathlib import Path

import structlog

from keystead_core.ids import Lsn, NodeId, PartitionId
from keystead_core.log.entries import EMPTY_LOG, LogPoint, RecoveredReplica
from keystead_core.log.record import Kind
from keystead_node.config import MEGABYTE, NodeConfig
from keystead_node.partition_store import BASE_FILE
from keystead_node.storage.cold_log import ColdError, ColdLog, DirectoryStore
from keystead_node.storage.disk import FileDisk, Volume
from keystead_node.storage.faults import file_io
from keystead_node.storage.hot_log import HotLog
from keystead_node.storage.recovery import recover
from keystead_node.storage.row_stores import RowStores

log = structlog.get_logger("recovery")

HOT_LOG_FILE = "hot.log"


class OpenVolume:
    """A volume that this process holds alone. `replicas` is what it had of each."""

    def __init__(self, volume: Volume, disk: FileDisk, hot_log: HotLog, replicas: list[RecoveredReplica]) -> None:
        self._volume = volume
        self.disk = disk
        self.hot_log = hot_log
        self.replicas = replicas
        self.row_stores: RowStores
        self.node = NodeId(volume.identity.node_id)
        self.boot = volume.identity.boot
        self.may_have_lost_replicas = bool(hot_log.report.unknown)
        """Damage took what no index names: a replica that is not in `replicas` may have been here all the same."""
        self.held_nothing = not replicas and not self.may_have_lost_replicas
        """Nothing was lost if the volume is taken for a new one: so it is at the first start, and after starts that
        came before the node was given any replica."""

    def room_bytes(self) -> int:
        """What the disk has left above reserve 1; 0: growing writes are refused."""
        return self._volume.room_bytes()

    def renounce(self) -> None:
        """The identity is given up: the volume is set aside, and the next start finds an empty one."""
        self._volume.renounce()

    def close(self) -> None:
        self.disk.close()
        self._volume.close()


def open_volume(config: NodeConfig) -> OpenVolume:
    """Raises ConfigError, VolumeInUse, VolumeNotWritable, VolumeTooNew, WrongCluster, DiskFailed."""
    data_dir = Path(config.data_dir)
    hot_bytes = config.hot_log_bytes()
    volume = Volume.open(data_dir, config.cluster)
    try:
        path = data_dir / HOT_LOG_FILE
        is_new = not path.exists()
        replicas: list[RecoveredReplica] = []
        disk = FileDisk.open(path, hot_bytes)
        if is_new:
            hot_log = HotLog.create(disk, NodeId(volume.identity.node_id))
        else:
            ends = cold_ends(data_dir)
            hot_log, replicas = recover(disk, NodeId(volume.identity.node_id), {p: e for p, (_, e) in ends.items()})
            _complete(data_dir, replicas, ends)
            report = hot_log.report
            if report.damaged or report.unknown:
                log.error("damage in the hot log", damaged=report.damaged, unknown=report.unknown)
    except BaseException:
        volume.close()
        raise
    opened = OpenVolume(volume, disk, hot_log, replicas)
    opened.row_stores = RowStores(data_dir)
    return opened


def cold_ends(data_dir: Path) -> dict[PartitionId, tuple[int, LogPoint]]:
    """(first LSN, last point) of each partition's cold log that has one."""
    found: dict[PartitionId, tuple[int, LogPoint]] = {}
    for directory in sorted((data_dir / "partitions").glob("*")):
        if directory.name.isdigit() and (directory / "cold").is_dir():
            partition = PartitionId(int(directory.name))
            cold = ColdLog(DirectoryStore(directory / "cold", file_io()), partition)
            if cold.end != EMPTY_LOG:
                found[partition] = (cold.start_lsn, cold.end)
    return found


def _complete(data_dir: Path, replicas: list[RecoveredReplica], ends: dict[PartitionId, tuple[int, LogPoint]]) -> None:
    """Adds what the hot log does not know. The rows stay closed: what they hold at least follows from their base."""
    for found in replicas:
        floor = _rows_floor(data_dir / "partitions" / str(found.partition) / BASE_FILE)
        complete(found, ends.get(found.partition, (0, EMPTY_LOG))[0], floor)
        if found.partition in ends:
            directory = data_dir / "partitions" / str(found.partition) / "cold"
            find_sealed_membership(found, ColdLog(DirectoryStore(directory, file_io()), found.partition))


def complete(found: RecoveredReplica, cold_start: Lsn, rows_floor: Lsn) -> None:
    """`rows_floor`: up to where the rows are durable whatever the logs say."""
    found.cold_start = cold_start
    if found.state is None:
        return
    base = found.state.base.lsn
    cold_leads_there = 0 < cold_start <= rows_floor + 1 and found.cold_end.lsn >= base
    if rows_floor >= base or cold_leads_there:
        found.applied_lsn = base


def find_sealed_membership(found: RecoveredReplica, cold: ColdLog) -> None:
    """What was sealed after the state was written, just before the stop, may hold a membership that nobody else has."""
    if found.state is None or found.cold_end.lsn <= found.state.base.lsn:
        return
    try:
        found.cold_membership = last_membership(cold, max(found.state.base.lsn + 1, found.cold_start))
    except ColdError as error:
        log.error("a sealed membership cannot be read", partition=found.partition, error=str(error))
        found.damaged_unknown = True


def last_membership(cold: ColdLog, first_lsn: int) -> bytes:
    """The body of the last membership record at or above `first_lsn`; b"": there is none. Raises ColdError."""
    body, lsn = b"", first_lsn
    while lsn <= cold.end.lsn and (records := cold.read_from(lsn, MEGABYTE)):
        body = next((r.body for r in reversed(records) if r.kind == Kind.MEMBERSHIP), body)
        lsn = records[-1].lsn + 1
    return body


def _rows_floor(path: Path) -> int:
    """The LSN that the rows durably hold whatever the logs say; 0 where they need the log from its start."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
