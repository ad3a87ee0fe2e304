"""Who the pods are: a ServiceAccount that may take the catalog's lock, and nothing else."""

from keystead_operator.manifests.frame import Frame, Manifest, metadata


def service_account(frame: Frame) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(frame, frame.node_account),
        "automountServiceAccountToken": False,
    }


def role(frame: Frame) -> Manifest:
    """The one Lease. RBAC cannot bind `create` to a name."""
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(frame, frame.node_account),
        "rules": [
            {**leases, "resourceNames": [frame.catalog_lease], "verbs": ["get", "update"]},
            {**leases, "verbs": ["create"]},
        ],
    }


def role_binding(frame: Frame) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(frame, frame.node_account),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": frame.node_account},
        "subjects": [{"kind": "ServiceAccount", "name": frame.node_account, "namespace": frame.namespace}],
    }


def catalog_lease(frame: Frame) -> Manifest:
    """The catalog's lock, without its content, which is the nodes' own: so that it goes with the cluster."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata(frame, frame.catalog_lease),
    }
