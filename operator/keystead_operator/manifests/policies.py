"""What others may do to the pods: disruptions and network traffic."""

from keystead_operator.manifests.frame import (
    ADMIN_PORT,
    API_PORT,
    LABEL_NAME,
    OPERATOR,
    PEER_PORT,
    Frame,
    Manifest,
    metadata,
    selector,
)


def disruption_budget(frame: Frame, available_min: int) -> Manifest:
    """`available_min`: how many pods must stay, as the quorums are now."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(frame, frame.cluster),
        "spec": {
            "minAvailable": available_min,
            "selector": {"matchLabels": selector(frame.cluster)},
            "unhealthyPodEvictionPolicy": "IfHealthyBudget",
        },
    }


def network_policy(frame: Frame) -> Manifest:
    """Clients reach the API alone. The admin port asks for a certificate where TLS is on; where it is off, only the
    operator and the cluster's own nodes reach it."""
    own = {"podSelector": {"matchLabels": selector(frame.cluster)}}
    operator = {"namespaceSelector": {}, "podSelector": {"matchLabels": {LABEL_NAME: OPERATOR}}}
    admin = [] if frame.encrypted else [own, operator]
    rules = [
        {"ports": [_port(API_PORT)]},
        {"ports": [_port(PEER_PORT)], "from": [own]},
        {"ports": [_port(ADMIN_PORT)], **({"from": admin} if admin else {})},
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(frame, frame.cluster),
        "spec": {"podSelector": {"matchLabels": selector(frame.cluster)}, "policyTypes": ["Ingress"], "ingress": rules},
    }


def _port(number: int) -> Manifest:
    return {"port": number, "protocol": "TCP"}
