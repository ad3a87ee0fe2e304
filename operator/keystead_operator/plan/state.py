"""What the planner compares: the desired state and one observation."""

import msgspec

from keystead_core.cluster_map import ClusterMap
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable


class Desired(msgspec.Struct, frozen=True):
    """The declared objects. `tables` include those whose deletion was asked for (DeclaredTable.deleting).

    `shared_fate_ok`: voters of one group may share a machine, because there is only one. `place_prefix`: what the names
    of the places begin with. `ending`: why nothing more is to be made of the cluster, or "".
    """

    cluster: ClusterSpec
    tables: tuple[DeclaredTable, ...] = ()
    shared_fate_ok: bool = False
    place_prefix: str = ""
    ending: str = ""


class ObservedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A place for one node (a pod with its volume, a process with its directory) and who lives there now.

    `running`: the process exists. `reachable`: it answered; only then do `id`, `formed` (it holds a catalog
    replica), `volume_empty` (it held no replica of anything when it started and holds none now) mean something.
    `volume_lost`: the process runs on a volume that is gone. `start_in_seconds`: a dead process is not started again
    before that. `volume_going`: its volume was told to go, and does when the process ends. `stranded_seconds`: for how
    long there has been a volume that no process can be started over, or no sign of the machine that has both.
    `outdated`: the process was started from another template than now would be. `stuck`: why the process cannot start
    at all (its image cannot be had, it dies again and again), or "". `volume_small`: its volume is asked for with less
    than is declared. `resting`: it has handed over and takes no part until it is told to. `room_bytes`: what its
    volume has left (-1: unknown), `held_bytes`: what its replicas' rows weigh.
    """

    name: str
    zone: str
    running: bool
    reachable: bool = False
    id: NodeId = NodeId("")
    formed: bool = False
    volume_empty: bool = False
    volume_lost: bool = False
    volume_going: bool = False
    volume_small: bool = False
    resting: bool = False
    stranded_seconds: float = 0.0
    outdated: bool = False
    stuck: str = ""
    start_in_seconds: float = 0.0
    room_bytes: int = -1
    held_bytes: int = 0
    peer_address: str = ""


class Founder(msgspec.Struct, frozen=True):
    """A first member of the catalog. Named once, before anything is formed."""

    node_id: NodeId
    name: str
    zone: str
    replica_id: ReplicaId
    peer_address: str


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One observation. `map` is None unless the catalog has a master that serves: then nothing is decided on it.

    `bootstrapped` is the one marker that a catalog was ever formed. `seconds_down`: for how long each
    registered node id has not answered, 0 for one that answers. `known_map`: the last map that there was, to tell what
    is so while the catalog is away. `unlevel`: why no process may be restarted now, or "": every group has a master and
    all its replicas level. `partition_bytes`: what the rows of one replica weigh, about.
    """

    nodes: tuple[ObservedNode, ...]
    founders: tuple[Founder, ...] = ()
    bootstrapped: bool = False
    map: ClusterMap | None = None
    seconds_down: dict[NodeId, float] = {}
    known_map: ClusterMap | None = None
    unlevel: str = ""
    partition_bytes: dict[PartitionId, int] = {}
