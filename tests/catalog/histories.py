"""Random histories of catalog commands, valid and not, for the properties of the state machine."""

from hypothesis import strategies as st

from keystead_core.catalog.commands import (
    ChangeTable,
    Command,
    CreateTable,
    DeleteTable,
    Fence,
    GoneNode,
    GroupReport,
    InitCluster,
    LockRequest,
    NodeLeft,
    PlanSplit,
    Recover,
    RefuseSplit,
    RegisterNode,
    ReplicaSpec,
    ReportGroups,
    ReportRetired,
    ReportSplit,
    SetNodeState,
    SetTarget,
    SettleSplit,
    TakeLocks,
    UpdateSettings,
    UpdateTable,
)
from keystead_core.catalog.table_changes import Encryption, Expiry, TableChange
from keystead_core.cluster_map import ClusterSettings, ReplicaTarget, Survivor
from keystead_core.ids import PartitionId, ReplicaId
from keystead_core.split.record import Split, encode_split
from tests.catalog.cluster import CLUSTER, make_node, make_table

NODES = st.integers(1, 7)
NODE_IDS = NODES.map(lambda number: make_node(number).id)
NAMES = st.sampled_from(["a", "b", "c"])
PARTITIONS = st.integers(1, 12).map(PartitionId)
FENCES = st.integers(0, 3)
MANAGERS = st.sampled_from(["", "m"])
TABLES = st.builds(
    make_table,
    NAMES,
    partitions=st.integers(0, 4),
    replicas=st.integers(0, 5),
    durable_zones=st.integers(0, 3),
    managed_by=MANAGERS,
    deletion_protection=st.booleans(),
    read_units=st.integers(0, 2),
)
CHANGES = st.builds(
    TableChange,
    billing_mode=st.sampled_from([None, "PROVISIONED", "PAY_PER_REQUEST"]),
    read_units=st.sampled_from([None, 1]),
    write_units=st.sampled_from([None, 1]),
    deletion_protection=st.sampled_from([None, True, False]),
    encryption=st.sampled_from([None, Encryption("KMS"), Encryption("")]),
    stream_view=st.sampled_from([None, "KEYS_ONLY", ""]),
    expiry=st.none() | st.builds(Expiry, st.sampled_from(["x", "y"]), st.booleans()),
    tags=st.dictionaries(st.sampled_from("ab"), st.sampled_from("cd")),
    tags_removed=st.lists(st.sampled_from("ab"), max_size=1),
)
MEMBERS = st.lists(
    st.builds(ReplicaTarget, st.integers(1, 30).map(ReplicaId), NODE_IDS, st.just("zone-0"), st.just("voter")),
    min_size=1,
    max_size=3,
)
SPLIT_KEYS = st.sampled_from([b"\x20", b"\x40", b"\x60"])
SPLITS = st.builds(
    lambda right, low, at, high, members: encode_split(Split(right, low, at, high, tuple(members), 0, 1, 1_000_000)),
    PARTITIONS,
    st.just(b"") | SPLIT_KEYS,
    SPLIT_KEYS,
    st.none() | SPLIT_KEYS,
    MEMBERS,
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(RegisterNode, st.just(CLUSTER), st.builds(make_node, NODES, boot=st.integers(1, 3))),
    st.builds(NodeLeft, NODE_IDS, FENCES, st.booleans()),
    st.builds(SetNodeState, NODE_IDS, st.sampled_from(["active", "maintenance"]), FENCES),
    st.builds(CreateTable, TABLES, st.binary(max_size=3), st.floats(0, 9)),
    st.builds(UpdateTable, TABLES, MANAGERS),
    st.builds(DeleteTable, NAMES, MANAGERS),
    st.builds(ChangeTable, NAMES, CHANGES, st.floats(0, 9)),
    st.builds(
        TakeLocks,
        NODE_IDS,
        st.integers(1, 3),
        st.lists(st.builds(LockRequest, PARTITIONS, st.integers(0, 9)), max_size=3),
    ),
    st.builds(
        ReportGroups,
        st.lists(
            st.builds(GroupReport, PARTITIONS, st.integers(1, 4), st.integers(1, 4), MEMBERS, NODE_IDS), max_size=4
        ),
    ),
    st.builds(
        SetTarget,
        PARTITIONS,
        st.lists(
            st.builds(ReplicaSpec, NODE_IDS, st.sampled_from(["voter", "log-only", "learner"]), st.booleans()),
            max_size=3,
        ),
        FENCES,
    ),
    st.builds(PlanSplit, PARTITIONS, st.just(b"") | SPLIT_KEYS, st.just("size"), FENCES),
    st.builds(RefuseSplit, PARTITIONS, PARTITIONS, st.text(max_size=3)),
    st.builds(ReportSplit, PARTITIONS, SPLITS, st.integers(1, 4)),
    st.builds(SettleSplit, PARTITIONS),
    st.builds(
        Recover, PARTITIONS, st.lists(st.builds(GoneNode, NODE_IDS, st.integers(1, 3)), max_size=3), st.just(1.0)
    ),
    st.builds(
        ReportRetired,
        PARTITIONS,
        st.builds(Survivor, NODE_IDS, st.integers(1, 3), st.integers(0, 3), st.booleans()),
    ),
    st.builds(Fence, st.sampled_from(["x", "y"]), st.integers(0, 2)),
    st.builds(
        UpdateSettings, st.builds(ClusterSettings, replicas=st.integers(1, 3), peers_max=st.integers(1, 4)), FENCES
    ),
)
FOUNDERS = [ReplicaTarget(ReplicaId(n), make_node(n).id, make_node(n).zone, "voter") for n in (1, 2, 3)]
HISTORIES: st.SearchStrategy[list[Command]] = st.builds(
    lambda nodes, rest: [
        InitCluster(CLUSTER, FOUNDERS),
        *(RegisterNode(CLUSTER, make_node(number)) for number in range(1, nodes + 1)),
        Fence("x", 0),
        *rest,
    ],
    st.integers(0, 6),
    st.lists(COMMANDS, max_size=25),
)
