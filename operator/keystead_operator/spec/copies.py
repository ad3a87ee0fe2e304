"""`spec.copies` of a StorageCluster: what copies of replicas may take of a node, and what the nodes are told of it."""

from typing import Any, Final

from keystead_operator.spec.schema import Schema, integer, struct

SETTINGS: Final = {"sharePercent": "copy_share_percent", "megabytesPerSecond": "copy_mb_per_second"}
"""The field, and the node's setting."""


def copies_schema() -> Schema:
    """Without defaults: what is absent is as the nodes have it."""
    return struct(
        "How much copies of replicas may take of a node. A node takes a change at its next start.",
        {
            "sharePercent": integer(
                "Percent of the time that copies may be under way while clients use the node; 50 if absent.", 1, 100
            ),
            "megabytesPerSecond": integer(
                "MiB a second that a node sends at most, and takes in at most; 0 or absent for no limit.", 0, 1_000_000
            ),
        },
    )


def copies_settings(spec: dict[str, Any]) -> dict[str, Any]:
    """The settings of nodes that a StorageCluster's spec asks for."""
    given = spec.get("copies", {})
    return {SETTINGS[field]: given[field] for field in SETTINGS if field in given}
