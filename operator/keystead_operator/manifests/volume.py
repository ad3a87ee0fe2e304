"""The volume of one node: a PersistentVolumeClaim."""

from keystead_operator.manifests.frame import (
    ANNOTATION_CLUSTER_ID,
    LABEL_NODE,
    LABEL_ZONE,
    Frame,
    Manifest,
    metadata,
)


def claim_name(place: str, attempt: int = 1) -> str:
    """The name of a place's volume; another attempt takes another name, because the last one is still in use."""
    return f"data-{place}" if attempt == 1 else f"data-{place}-{attempt}"


def claim(frame: Frame, place: str, zone: str, name: str) -> Manifest:
    """The claim. Retained volumes have no owner: they outlive the StorageCluster, and one of its name takes them up."""
    head = metadata(frame, name, owned=not frame.retained, more_labels={LABEL_NODE: place, LABEL_ZONE: zone})
    head["annotations"] = {ANNOTATION_CLUSTER_ID: frame.cluster_id}
    storage = frame.spec["storage"]
    spec: Manifest = {
        "accessModes": [storage["accessMode"]],
        "resources": {"requests": {"storage": storage["size"]}},
    }
    if "className" in storage:
        spec["storageClassName"] = storage["className"]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": head, "spec": spec}
