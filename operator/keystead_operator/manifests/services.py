"""The Services: one for clients, one by which nodes find each other."""

from keystead_operator.manifests.frame import (
    ADMIN_PORT,
    API_PORT,
    PEER_PORT,
    Frame,
    Manifest,
    metadata,
    selector,
)


def client_service(frame: Frame) -> Manifest:
    """For applications: every node that is ready serves every table."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(frame, frame.cluster),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(frame.cluster),
            "ports": [{"name": "api", "port": API_PORT, "targetPort": "api", "protocol": "TCP"}],
        },
    }


def peers_service(frame: Frame) -> Manifest:
    """Headless, with the nodes that are not ready too: they get ready by finding each other."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(frame, frame.peers_service),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(frame.cluster),
            "ports": [
                {"name": "peer", "port": PEER_PORT, "targetPort": "peer", "protocol": "TCP"},
                {"name": "admin", "port": ADMIN_PORT, "targetPort": "admin", "protocol": "TCP"},
            ],
        },
    }
