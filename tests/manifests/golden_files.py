"""The cases of the golden files, and what writes them: `python -m tests.manifests.golden_files`."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from keystead_operator.kube.infrastructure import common_objects
from keystead_operator.manifests.config import identity
from keystead_operator.manifests.frame import Frame
from keystead_operator.manifests.pod import pod
from keystead_operator.manifests.policies import disruption_budget
from keystead_operator.manifests.volume import claim
from keystead_operator.spec.validation import schemas, with_defaults

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, dict[str, Any]] = {
    "defaults": {"credentials": {"insecureNoAuth": True}},
    "plain": {
        "tls": {"enabled": False},
        "volumeRetention": "Delete",
        "credentials": {"insecureNoAuth": True},
        "auditLog": "writes",
    },
    "full": {
        "image": "registry.example/keystead:1",
        "imagePullSecrets": [{"name": "registry"}],
        "scheduling": {
            "nodeSelector": {"disk": "nvme"},
            "tolerations": [{"key": "for", "operator": "Equal", "value": "tables", "effect": "NoSchedule"}],
            "priorityClassName": "storage",
        },
        "zones": {"topologyKey": "example.com/rack", "names": ["r1", "r2"]},
        "storage": {"size": "100Gi", "className": "fast", "accessMode": "ReadWriteOncePod"},
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
        "failover": {"leaseSeconds": 0.5, "lock": "required", "reads": "quorum"},
        "capacity": {"mode": "observe", "burstSeconds": 60, "onDemandPartitionWriteUnits": 1000},
        "copies": {"sharePercent": 25, "megabytesPerSecond": 100},
        "tls": {"issuerSecretRef": {"name": "given"}},
        "credentials": {"secretRef": {"name": "keys"}},
    },
}


def frame_of(spec: dict[str, Any], **changes: Any) -> Frame:
    """A cluster called orders in the namespace shop."""
    manifest = {"apiVersion": "keystead.io/v1alpha1", "kind": "StorageCluster", "metadata": {"name": "orders"}}
    filled = with_defaults({**manifest, "spec": spec}, schemas()["StorageCluster"])
    frame = Frame(
        namespace="shop",
        cluster="orders",
        uid="00000000-0000-0000-0000-000000000001",
        cluster_id="0123456789abcdef0123456789abcdef",
        spec=filled["spec"],
        image="keystead/keystead:test",
        zoned="zones" in spec,
    )
    return msgspec.structs.replace(frame, **changes)


def objects_of(case: str) -> dict[str, Any]:
    """All that the operator makes for a cluster of the case's spec, for its first node."""
    frame = frame_of(CASES[case])
    items = [
        *common_objects(frame),
        disruption_budget(frame, 2),
        identity(frame, "{}"),
        claim(frame, "orders-node-0", "r1", "data-orders-node-0"),
        pod(frame, "orders-node-0", "r1", "data-orders-node-0"),
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        (GOLDEN / f"{case}.yaml").write_text(yaml.safe_dump(objects_of(case), sort_keys=False, width=120))


if __name__ == "__main__":
    main()
