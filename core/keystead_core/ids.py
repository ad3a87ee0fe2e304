"""Identifiers. All are plain integers or strings on the wire; the aliases say which one a field holds.

node id         16 hex digits, minted on an empty volume, never used twice
boot            raised durably at each start of the node process
replica id      one (re-)adding of a node to a group; minted by the catalog, unique in the cluster
partition id    a replica group; 1 is the catalog
epoch           a mastership of a group
LSN             position of a record in a partition's log; the first is 1
time            microseconds of the shell's CLOCK_BOOTTIME (simulation: virtual), always passed in
"""

from typing import NewType

NodeId = NewType("NodeId", str)
ReplicaId = NewType("ReplicaId", int)
PartitionId = NewType("PartitionId", int)
Epoch = int
Lsn = int
Boot = int
Micros = int

CATALOG_PARTITION = PartitionId(1)
NO_REPLICA = ReplicaId(0)
SECOND: Micros = 1_000_000
MILLISECOND: Micros = 1_000
