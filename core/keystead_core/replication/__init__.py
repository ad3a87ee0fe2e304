"""The replication protocol of one partition, and of the node that holds many (docs/protocol.md)."""
