"""Every right that the operator uses, as data: the chart's Roles are compared with it, and nothing is asked beyond it.

`NAMESPACED` is needed in each namespace that it serves, `LEADING` where its own Lease is, `CLUSTER_WIDE` is optional:
without it, zones are those that a StorageCluster names. What the operator gives to the nodes (manifests/accounts.py)
it has itself: nobody may give more than that.
"""

from typing import Any, Final

import msgspec

from keystead_operator.kube.kinds import (
    CLAIM,
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    EVENT,
    KUBERNETES_NODE,
    LEASE,
    NETWORK_POLICY,
    POD,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STORAGE_CLUSTER,
    TABLE,
    Kind,
)


class Right(msgspec.Struct, frozen=True):
    """Verbs on a resource (plural, with its subresource), and what they are for."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str

    def rule(self) -> dict[str, Any]:
        """As a rule of a Role."""
        return {"apiGroups": [self.group], "resources": [self.resource], "verbs": list(self.verbs)}


def _right(kind: Kind, verbs: str, why: str, subresource: str = "") -> Right:
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return Right(kind.group, resource, tuple(verbs.split()), why)


NAMESPACED: Final = (
    _right(STORAGE_CLUSTER, "get list watch", "what is declared"),
    _right(STORAGE_CLUSTER, "patch", "what is so", "status"),
    _right(TABLE, "get list watch patch", "what is declared; the finalizer by which deletion waits for the catalog"),
    _right(TABLE, "patch", "what is so", "status"),
    _right(POD, "get list watch create delete", "the nodes"),
    _right(CLAIM, "get list watch create patch delete", "their volumes"),
    _right(SERVICE, "create patch", "how clients and nodes find nodes"),
    _right(CONFIG_MAP, "get create patch", "the nodes' configuration, and the record of who the cluster is"),
    _right(SECRET, "get create patch", "certificates"),
    _right(SERVICE_ACCOUNT, "create patch", "who the nodes are"),
    _right(ROLE, "create patch", "what the nodes may do: take the catalog's lock"),
    _right(ROLE_BINDING, "create patch", "the same"),
    _right(LEASE, "get create update patch", "given on to the nodes: the catalog's lock; its labels and its owner"),
    _right(DISRUPTION_BUDGET, "create patch", "how many nodes may be evicted, as the quorums are"),
    _right(NETWORK_POLICY, "create patch", "who reaches the nodes"),
    _right(EVENT, "create", "what a person would ask about"),
)
LEADING: Final = (_right(LEASE, "get create update", "which operator leads"),)
CLUSTER_WIDE: Final = (_right(KUBERNETES_NODE, "list", "the zones that there are"),)
