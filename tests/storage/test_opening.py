"""What a volume gives a starting node, where the last process stopped between two of its files."""

from pathlib import Path

from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.log.entries import EMPTY_LOG, AppendEntry, RecoveredReplica, StateEntry
from keystead_core.log.record import Kind, Record, make_record
from keystead_core.replication.membership import encode_membership, founding_membership
from keystead_node.config import NodeConfig
from keystead_node.recovered import open_volume
from keystead_node.storage.cold_log import ColdLog, DirectoryStore
from keystead_node.storage.faults import FileIo
from tests.storage.log_model import record_after, state_of

P1 = PartitionId(1)
MEMBERSHIP = encode_membership(
    founding_membership([ReplicaTarget(ReplicaId(1), NodeId("a"), "z", "voter")], 0, 1, 1_000_000)
)


def records() -> list[Record]:
    """Six records, the third of which is a membership."""
    found: list[Record] = []
    for lsn in range(1, 7):
        before = found[-1] if found else EMPTY_LOG
        if lsn == 3:
            found.append(make_record(P1, 1, 3, Kind.MEMBERSHIP, 1, before.hash, 0, MEMBERSHIP))
        else:
            found.append(record_after(before, 1, b"x", 1))
    return found


def stopped_after_sealing(data_dir: Path) -> NodeConfig:
    """The cold log holds the records up to 4; the state in the hot log still says that nothing is sealed."""
    config = NodeConfig(
        cluster="c", name="n", zone="z", data_dir=str(data_dir), api_port=0, peer_port=0, admin_port=0,
        settings={"hot_log_mb": 32},
    )  # fmt: skip
    opened = open_volume(config)
    entries = [StateEntry(P1, state_of(1, 1)), AppendEntry(P1, 4, records())]
    opened.disk.write_all(opened.hot_log.append(entries))
    opened.disk.sync()
    opened.close()
    cold_log(data_dir).seal(records()[:4])
    return config


def cold_log(data_dir: Path) -> ColdLog:
    directory = data_dir / "partitions" / "1" / "cold"
    directory.mkdir(parents=True, exist_ok=True)
    return ColdLog(DirectoryStore(directory, FileIo()), P1)


def recovered(config: NodeConfig) -> RecoveredReplica:
    opened = open_volume(config)
    opened.close()
    (replica,) = opened.replicas
    return replica


def test_membership_that_only_the_cold_log_holds_is_found(tmp_path: Path) -> None:
    found = recovered(stopped_after_sealing(tmp_path))
    assert found.state is not None and found.state.base == EMPTY_LOG
    assert found.cold_end.lsn == 4
    assert [record.lsn for record in found.records] == [5, 6]
    assert found.cold_membership == MEMBERSHIP


def test_replica_abstains_where_that_membership_cannot_be_read(tmp_path: Path) -> None:
    config = stopped_after_sealing(tmp_path)
    (segment,) = (tmp_path / "partitions" / "1" / "cold").iterdir()
    data = bytearray(segment.read_bytes())
    data[len(data) // 3] ^= 0xFF
    segment.write_bytes(bytes(data))
    assert recovered(config).damaged_unknown
