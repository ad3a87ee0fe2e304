"""The kinds of objects that the operator deals with, and their paths at the API server."""

from typing import Any, Final

import msgspec

from keystead_operator.spec.crd import API_VERSION


class Kind(msgspec.Struct, frozen=True):
    """`api_version` as in manifests: v1, policy/v1, ..."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; "" for the core one."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path. `namespace` None: all of them, or a kind without."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if namespace is not None and self.namespaced else ""
        parts = [part for part in (name, subresource) if part is not None]
        return "/".join([f"{root}{scope}/{self.plural}", *parts])


STORAGE_CLUSTER: Final = Kind(API_VERSION, "StorageCluster", "storageclusters")
TABLE: Final = Kind(API_VERSION, "Table", "tables")
POD: Final = Kind("v1", "Pod", "pods")
CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SERVICE: Final = Kind("v1", "Service", "services")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
SECRET: Final = Kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
NAMESPACE: Final = Kind("v1", "Namespace", "namespaces", namespaced=False)
KUBERNETES_NODE: Final = Kind("v1", "Node", "nodes", namespaced=False)
EVENT: Final = Kind("v1", "Event", "events")
ROLE: Final = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING: Final = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")

KINDS: Final = (
    STORAGE_CLUSTER,
    TABLE,
    POD,
    CLAIM,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    SERVICE_ACCOUNT,
    NAMESPACE,
    KUBERNETES_NODE,
    EVENT,
    ROLE,
    ROLE_BINDING,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    LEASE,
)
_by_kind: Final = {kind.kind: kind for kind in KINDS}


def kind_of(manifest: dict[str, Any]) -> Kind:
    """Raises KeyError for a kind that the operator does not deal with."""
    return _by_kind[manifest["kind"]]
