"""What the operator keeps of the objects that it sees: as little as it decides on.

`of(manifest)` reads an object as the API server gives it. `order` is its resource version as a number: of two views of
one object (same uid) the higher is the later.
"""

from typing import Any, Final

import msgspec

from keystead_operator.manifests.frame import (
    ANNOTATION_CLUSTER_ID,
    ANNOTATION_TEMPLATE,
    LABEL_CLUSTER,
    LABEL_NODE,
    LABEL_ZONE,
)

Json = dict[str, Any]
Key = tuple[str, str]
"""(namespace, name)"""

FINALIZER: Final = "keystead.io/table"


class Head(msgspec.Struct, frozen=True):
    """What every object has. `deleting`: its deletion was asked for."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    deleting: bool

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def order(self) -> int:
        return int(self.resource_version) if self.resource_version.isdigit() else 0


def head_of(manifest: Json) -> Head:
    meta = manifest["metadata"]
    return Head(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        deleting="deletionTimestamp" in meta,
    )


class SeenCluster(msgspec.Struct, frozen=True, kw_only=True):
    """A StorageCluster, with its spec and status as they are."""

    head: Head
    generation: int
    spec: Json
    status: Json

    @classmethod
    def of(cls, manifest: Json) -> "SeenCluster":
        return cls(
            head=head_of(manifest),
            generation=manifest["metadata"].get("generation", 0),
            spec=msgspec.to_builtins(manifest["spec"]),
            status=msgspec.to_builtins(manifest.get("status", {})),
        )

    @property
    def cluster(self) -> str:
        return self.head.name


class SeenTable(msgspec.Struct, frozen=True, kw_only=True):
    """A Table. There may be thousands: spec and status are kept as JSON. `held`: our finalizer is on it."""

    head: Head
    generation: int
    cluster: str
    spec: bytes
    status: bytes
    finalizers: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Json) -> "SeenTable":
        meta = manifest["metadata"]
        return cls(
            head=head_of(manifest),
            generation=meta.get("generation", 0),
            cluster=manifest["spec"]["clusterRef"]["name"],
            spec=msgspec.json.encode(manifest["spec"]),
            status=msgspec.json.encode(manifest.get("status", {})),
            finalizers=tuple(meta.get("finalizers", ())),
        )

    @property
    def held(self) -> bool:
        return FINALIZER in self.finalizers


class SeenPod(msgspec.Struct, frozen=True, kw_only=True):
    """A data pod. `claim`: the volume it was made with. `owner`: uid of the StorageCluster that it was made for.

    `ready`: by the word of the API server, which takes it back where a machine falls silent. `served`: the machine's
    own last word was that the container is ready. `unschedulable` and `problem` are sentences, or "": why it has no
    Kubernetes node, why its container does not run.
    """

    head: Head
    cluster: str
    place: str
    zone: str
    phase: str
    ip: str
    kubernetes_node: str
    template: str
    claim: str
    owner: str
    ready: bool
    served: bool
    unschedulable: str
    problem: str

    @classmethod
    def of(cls, manifest: Json) -> "SeenPod":
        meta, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status", {})
        labels = meta.get("labels", {})
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        scheduled = conditions.get("PodScheduled", {})
        stuck = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        return cls(
            head=head_of(manifest),
            cluster=labels.get(LABEL_CLUSTER, ""),
            place=labels.get(LABEL_NODE, ""),
            zone=labels.get(LABEL_ZONE, ""),
            phase=status.get("phase", "Pending"),
            ip=status.get("podIP", ""),
            kubernetes_node=spec.get("nodeName", ""),
            template=meta.get("annotations", {}).get(ANNOTATION_TEMPLATE, ""),
            claim=_claim_of(spec),
            owner=_owner_of(meta),
            ready=conditions.get("Ready", {}).get("status") == "True",
            served=_served(status),
            unschedulable=str(scheduled.get("message") or "no node takes it") if stuck else "",
            problem=_problem_of(status),
        )

    @property
    def over(self) -> bool:
        """It has ended and is not started again."""
        return self.phase in ("Succeeded", "Failed")


def _owner_of(meta: Json) -> str:
    """The uid of the object that it goes with; "" if it stays by itself."""
    return next((one["uid"] for one in meta.get("ownerReferences") or () if one.get("controller")), "")


def _claim_of(spec: Json) -> str:
    volumes = spec.get("volumes") or ()
    return next((one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one), "")


def _served(status: Json) -> bool:
    containers = status.get("containerStatuses") or []
    return bool(containers) and all(one.get("ready") for one in containers)


def _problem_of(status: Json) -> str:
    """Why the container does not run: image not pulled, crash loop, wrong configuration."""
    for container in status.get("containerStatuses") or ():
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            return f"{reason}: {waiting.get('message', 'no more is said')}"
    return ""


class SeenClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A volume. `phase`: Pending | Bound | Lost. `size`: as asked for. `created_at`: as Kubernetes writes times.

    `owner`: uid of the StorageCluster that it goes with, or "".
    """

    head: Head
    cluster: str
    place: str
    zone: str
    phase: str
    size: str
    cluster_id: str
    created_at: str
    owner: str

    @classmethod
    def of(cls, manifest: Json) -> "SeenClaim":
        meta, spec = manifest["metadata"], manifest["spec"]
        labels = meta.get("labels", {})
        return cls(
            head=head_of(manifest),
            cluster=labels.get(LABEL_CLUSTER, ""),
            place=labels.get(LABEL_NODE, ""),
            zone=labels.get(LABEL_ZONE, ""),
            phase=manifest.get("status", {}).get("phase", "Pending"),
            size=spec["resources"]["requests"]["storage"],
            cluster_id=meta.get("annotations", {}).get(ANNOTATION_CLUSTER_ID, ""),
            created_at=meta.get("creationTimestamp", ""),
            owner=_owner_of(meta),
        )

    @property
    def usable(self) -> bool:
        """A pod may be started over it."""
        return not self.head.deleting and self.phase != "Lost"


Seen = SeenCluster | SeenTable | SeenPod | SeenClaim


def cluster_key(seen: Seen) -> Key:
    """The cluster that the object belongs to."""
    return seen.head.namespace, seen.cluster
