"""What must hold of a pod whatever the cluster's spec is."""

from typing import Any

import msgspec
import pytest

from keystead_operator.manifests.config import node_config
from keystead_operator.manifests.frame import Manifest
from keystead_operator.manifests.pod import pod, template_hash
from tests.manifests.golden_files import CASES, frame_of


def made(case: str) -> Manifest:
    return pod(frame_of(CASES[case]), "orders-node-1", "r2", "data-orders-node-1")


@pytest.mark.parametrize("case", sorted(CASES))
def test_pods_meet_the_restricted_standard(case: str) -> None:
    spec = made(case)["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not any("hostPath" in volume for volume in spec["volumes"])
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}


@pytest.mark.parametrize("case", sorted(CASES))
def test_liveness_asks_nothing_about_quorums(case: str) -> None:
    (container,) = made(case)["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_template_hash_does_not_depend_on_place_zone_or_volume() -> None:
    frame = frame_of(CASES["full"])
    one, other = pod(frame, "orders-node-0", "r1", "a"), pod(frame, "orders-node-1", "r2", "b")
    assert one["metadata"]["annotations"] == other["metadata"]["annotations"]


CHANGES: list[dict[str, Any]] = [
    {"image": "another"},
    {"resources": {"limits": {"memory": "4Gi"}}},
    {"credentials": {"secretRef": {"name": "others"}}},
    {"auditLog": "denied"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_template_hash_changes_with_what_a_restart_would_change(change: dict[str, Any]) -> None:
    assert template_hash(frame_of(CASES["full"])) != template_hash(frame_of(CASES["full"] | change))


KEPT: list[dict[str, Any]] = [
    {"nodes": 5},
    {"failover": {"leaseSeconds": 2}},
    {"nodeLossGrace": "1m"},
    {"volumeRetention": "Delete"},
    {"storage": {"size": "200Gi", "className": "fast"}},
]


@pytest.mark.parametrize("change", KEPT)
def test_template_hash_stays_where_no_restart_is_needed(change: dict[str, Any]) -> None:
    assert template_hash(frame_of(CASES["full"])) == template_hash(frame_of(CASES["full"] | change))


def test_template_hash_stays_when_the_cluster_object_is_made_again() -> None:
    frame = frame_of({})
    assert template_hash(frame) == template_hash(msgspec.structs.replace(frame, uid="another"))


def test_template_hash_stays_when_the_zones_of_the_machines_cannot_be_read_any_more() -> None:
    frame = frame_of({}, zoned=True)
    assert template_hash(frame) == template_hash(msgspec.structs.replace(frame, zoned=False))


def test_nodes_let_in_only_whom_the_cluster_names() -> None:
    def config_of(credentials: dict[str, Any]) -> dict[str, Any]:
        found = node_config(frame_of({"credentials": credentials} if credentials else {}))
        return {name: found[name] for name in ("credentials_dir", "insecure_no_auth") if name in found}

    assert config_of({"secretRef": {"name": "keys"}}) == {"credentials_dir": "/etc/keystead/credentials"}
    assert config_of({"insecureNoAuth": True}) == {"insecure_no_auth": True}
    assert config_of({"insecureNoAuth": False}) == config_of({}) == {}  # such nodes refuse to start, and say why
