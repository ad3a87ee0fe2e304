"""The nodes' configuration, the record of who the cluster is, and the Secrets of its certificates."""

import base64
from typing import Final

import msgspec

from keystead_operator.manifests.frame import (
    ADMIN_PORT,
    API_PORT,
    CREDENTIALS_DIR,
    DATA_DIR,
    PEER_PORT,
    TLS_DIR,
    Frame,
    Manifest,
    identity_name,
    metadata,
)
from keystead_operator.spec.capacity import capacity_settings
from keystead_operator.spec.copies import copies_settings

IDENTITY_FILE: Final = "identity.json"


def node_config(frame: Frame) -> Manifest:
    """node.json, the same for all nodes; what differs comes from the pod's environment and overrides it."""
    failover = frame.spec["failover"]
    made: Manifest = {
        "cluster": frame.cluster_id,
        "name": "",
        "zone": "",
        "data_dir": DATA_DIR,
        "api_port": API_PORT,
        "peer_port": PEER_PORT,
        "admin_port": ADMIN_PORT,
        "seeds": [f"{frame.peers_service}.{frame.namespace}.svc:{PEER_PORT}"],
        "catalog_lock": {"lease": {"namespace": frame.namespace, "name": frame.catalog_lease}},
        "settings": {
            "lease_ms": round(float(failover["leaseSeconds"]) * 1000),
            "lock": failover["lock"],
            "reads": failover["reads"],
            **capacity_settings(frame.spec),
            **copies_settings(frame.spec),
        },
    }
    if frame.encrypted:
        made["tls"] = {"dir": TLS_DIR, "peer_name": frame.peer_name}
    credentials = frame.spec.get("credentials", {})
    if "secretRef" in credentials:
        made["credentials_dir"] = CREDENTIALS_DIR
    elif credentials.get("insecureNoAuth"):
        made["insecure_no_auth"] = True
    return made


def config_map(frame: Frame) -> Manifest:
    content = msgspec.json.format(msgspec.json.encode(node_config(frame)), indent=2).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(frame, frame.node_account),
        "data": {"node.json": content},
    }


def identity(frame: Frame, record: str) -> Manifest:
    """The record that outlives the StorageCluster where its volumes do."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(frame, identity_name(frame.cluster), owned=not frame.retained),
        "data": {IDENTITY_FILE: record},
    }


def secret(frame: Frame, name: str, files: dict[str, bytes]) -> Manifest:
    """A Secret with these files."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(frame, name),
        "type": "Opaque",
        "data": {key: base64.b64encode(content).decode() for key, content in files.items()},
    }
