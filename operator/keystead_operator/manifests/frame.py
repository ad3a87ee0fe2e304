"""What all manifests of a cluster are made from: names, labels, owner, and the pod's fixed paths and ports."""

from typing import Any, Final

import msgspec

from keystead_operator.spec.crd import API_VERSION

Manifest = dict[str, Any]

API_PORT: Final = 8000
PEER_PORT: Final = 7000
ADMIN_PORT: Final = 7001

CONFIG_DIR: Final = "/etc/keystead"
VOLUME_DIR: Final = "/var/lib/keystead"
DATA_DIR: Final = f"{VOLUME_DIR}/data"
TLS_DIR: Final = f"{CONFIG_DIR}/tls"
CREDENTIALS_DIR: Final = f"{CONFIG_DIR}/credentials"

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_CLUSTER: Final = "keystead.io/cluster"
LABEL_NODE: Final = "keystead.io/node"
LABEL_ZONE: Final = "keystead.io/zone"
ANNOTATION_TEMPLATE: Final = "keystead.io/template"
ANNOTATION_CLUSTER_ID: Final = "keystead.io/cluster-id"

NAME: Final = "keystead"
OPERATOR: Final = "keystead-operator"
USER_ID: Final = 65532
TERMINATION_SECONDS: Final = 30


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One StorageCluster as its objects are made from. `spec` is the resource's spec with its defaults.

    `image`: of the nodes where the spec names none. `zoned`: the zones are those of Kubernetes nodes, under the spec's
    topologyKey; else they are names of ours that no Kubernetes node bears.
    """

    namespace: str
    cluster: str
    uid: str
    cluster_id: str
    spec: Manifest
    image: str
    zoned: bool = False

    @property
    def retained(self) -> bool:
        """Whether volumes outlive the StorageCluster."""
        return bool(self.spec["volumeRetention"] == "Retain")

    @property
    def encrypted(self) -> bool:
        return bool(self.spec["tls"]["enabled"])

    @property
    def node_account(self) -> str:
        return f"{self.cluster}-node"

    @property
    def peers_service(self) -> str:
        return f"{self.cluster}-peers"

    @property
    def catalog_lease(self) -> str:
        return f"{self.cluster}-catalog"

    @property
    def peer_name(self) -> str:
        """The name in every node's certificate, whatever its address."""
        return f"node.{self.cluster}.{self.namespace}.keystead"

    @property
    def tls_secret(self) -> str:
        """The Secret with the nodes' certificate."""
        given = self.spec["tls"].get("issuerSecretRef")
        return str(given["name"]) if given else f"{self.cluster}-tls"


def place_prefix(cluster: str) -> str:
    """Places are called PREFIXnode-0, PREFIXnode-1, ..."""
    return f"{cluster}-"


def identity_name(cluster: str) -> str:
    """The ConfigMap that says who the cluster is; it lives as long as the volumes do."""
    return f"{cluster}-identity"


def labels(cluster: str) -> dict[str, str]:
    return {LABEL_NAME: NAME, LABEL_MANAGED_BY: OPERATOR, LABEL_CLUSTER: cluster}


def selector(cluster: str) -> dict[str, str]:
    """What only the cluster's pods have."""
    return {LABEL_NAME: NAME, LABEL_CLUSTER: cluster}


def owner(frame: Frame) -> list[Manifest]:
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "StorageCluster",
            "name": frame.cluster,
            "uid": frame.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def metadata(frame: Frame, name: str, *, owned: bool = True, more_labels: dict[str, str] | None = None) -> Manifest:
    """The metadata of one of the cluster's objects. `owned`: it goes when the StorageCluster goes."""
    made: Manifest = {
        "name": name,
        "namespace": frame.namespace,
        "labels": labels(frame.cluster) | (more_labels or {}),
    }
    if owned:
        made["ownerReferences"] = owner(frame)
    return made
