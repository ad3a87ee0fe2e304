"""The pod of one node, and the hash by which an outdated one is told.

The pod follows the `restricted` standard. It tolerates an unreachable Kubernetes node for ever: the data plane fails
over by itself, and the operator, not a timer of Kubernetes, decides when a volume is given up.
"""

import hashlib

import msgspec

from keystead_operator.manifests.frame import (
    ADMIN_PORT,
    ANNOTATION_TEMPLATE,
    API_PORT,
    CONFIG_DIR,
    CREDENTIALS_DIR,
    LABEL_NODE,
    LABEL_ZONE,
    PEER_PORT,
    TERMINATION_SECONDS,
    TLS_DIR,
    USER_ID,
    VOLUME_DIR,
    Frame,
    Manifest,
    metadata,
    selector,
)

HOSTNAME_LABEL = "kubernetes.io/hostname"
HASH_DIGITS = 16


def pod(frame: Frame, place: str, zone: str, claim: str) -> Manifest:
    """The pod of a place over the volume `claim`."""
    head = metadata(frame, place, more_labels={LABEL_NODE: place, LABEL_ZONE: zone})
    head["annotations"] = {ANNOTATION_TEMPLATE: template_hash(frame)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": _spec(frame, zone, claim)}


def template_hash(frame: Frame) -> str:
    """Of all that a restart would change; where the pod runs and on which volume is none of it."""
    template = _spec(msgspec.structs.replace(frame, zoned=False), "zone", "claim")
    return hashlib.sha256(msgspec.json.encode(template, order="deterministic")).hexdigest()[:HASH_DIGITS]


def _spec(frame: Frame, zone: str, claim: str) -> Manifest:
    scheduling = frame.spec.get("scheduling", {})
    made: Manifest = {
        "serviceAccountName": frame.node_account,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_SECONDS,
        "restartPolicy": "Always",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [
            {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute"}
            for state in ("not-ready", "unreachable")
        ]
        + scheduling.get("tolerations", []),
        "topologySpreadConstraints": _spread(frame),
        "containers": [_container(frame)],
        "volumes": _volumes(frame, claim),
    }
    node_selector = dict(scheduling.get("nodeSelector", {}))
    if frame.zoned:
        node_selector[frame.spec["zones"]["topologyKey"]] = zone
    optional = {
        "nodeSelector": node_selector,
        "priorityClassName": scheduling.get("priorityClassName"),
        "imagePullSecrets": frame.spec.get("imagePullSecrets"),
    }
    return made | {name: value for name, value in optional.items() if value}


def _spread(frame: Frame) -> list[Manifest]:
    """No two nodes on one host while another host has none: voters of a partition never share one."""
    common = {"maxSkew": 1, "labelSelector": {"matchLabels": selector(frame.cluster)}}
    hosts = {**common, "topologyKey": HOSTNAME_LABEL, "whenUnsatisfiable": "DoNotSchedule"}
    if frame.zoned:
        return [hosts]
    zones = {**common, "topologyKey": frame.spec["zones"]["topologyKey"], "whenUnsatisfiable": "ScheduleAnyway"}
    return [hosts, zones]


def _container(frame: Frame) -> Manifest:
    config = f"{CONFIG_DIR}/node.json"
    return {
        "name": "node",
        "image": frame.spec.get("image") or frame.image,
        "command": ["keystead-node", "--config", config],
        "env": [
            _from_field("KEYSTEAD_NAME", "metadata.name"),
            _from_field("KEYSTEAD_ZONE", f"metadata.labels['{LABEL_ZONE}']"),
            _from_field("KEYSTEAD_HOST", "spec.nodeName"),
            _from_field("KEYSTEAD_BIND", "status.podIP"),
            _from_field("KEYSTEAD_ADVERTISE", "status.podIP"),
            # Where kubectl port-forward comes in.
            {"name": "KEYSTEAD_LOCAL", "value": "127.0.0.1"},
            *_audit(frame),
        ],
        "ports": [
            {"name": "api", "containerPort": API_PORT},
            {"name": "peer", "containerPort": PEER_PORT},
            {"name": "admin", "containerPort": ADMIN_PORT},
        ],
        "resources": {
            part: frame.spec["resources"][part] for part in ("requests", "limits") if part in frame.spec["resources"]
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe(frame, "/healthz", period_seconds=1, failures=600),
        # Late: the others take over by themselves, and who restarts what is only overloaded makes that worse.
        "livenessProbe": _probe(frame, "/healthz", period_seconds=30, failures=4, timeout_seconds=30),
        "readinessProbe": _probe(frame, "/readyz", period_seconds=2, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["keystead-node", "prestop", "--config", config]}}},
        "volumeMounts": _mounts(frame),
    }


def _audit(frame: Frame) -> list[Manifest]:
    """In the pod and not in the shared configuration: nodes take it up with a restart, which a new template brings."""
    level = frame.spec.get("auditLog", "off")
    if level == "off":
        return []
    return [
        {"name": "KEYSTEAD_AUDIT_LOG", "value": "-"},
        {"name": "KEYSTEAD_AUDIT_LEVEL", "value": level},
    ]


def _from_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(frame: Frame, path: str, *, period_seconds: int, failures: int, timeout_seconds: int = 5) -> Manifest:
    """Start and life are the process's own; readiness says that requests may come. A missing quorum fails none."""
    scheme = "HTTPS" if frame.encrypted else "HTTP"
    return {
        "httpGet": {"path": path, "port": ADMIN_PORT, "scheme": scheme},
        "periodSeconds": period_seconds,
        "timeoutSeconds": timeout_seconds,
        "failureThreshold": failures,
    }


def _mounts(frame: Frame) -> list[Manifest]:
    found: list[Manifest] = [
        {"name": "data", "mountPath": VOLUME_DIR},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
    ]
    if frame.encrypted:
        found.append({"name": "tls", "mountPath": TLS_DIR, "readOnly": True})
    if _credentials(frame):
        found.append({"name": "credentials", "mountPath": CREDENTIALS_DIR, "readOnly": True})
    return found


def _volumes(frame: Frame, claim: str) -> list[Manifest]:
    found: list[Manifest] = [
        {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "config", "configMap": {"name": frame.node_account}},
    ]
    if frame.encrypted:
        found.append({"name": "tls", "secret": {"secretName": frame.tls_secret}})
    if _credentials(frame):
        found.append({"name": "credentials", "secret": {"secretName": _credentials(frame)}})
    return found


def _credentials(frame: Frame) -> str:
    """The Secret's name; "" where the API is open."""
    given = frame.spec.get("credentials", {}).get("secretRef")
    return str(given["name"]) if given else ""
