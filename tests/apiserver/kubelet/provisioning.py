"""Volumes: directories behind PersistentVolumes, each on one node, made when the first pod with them is placed."""

import shutil
from pathlib import Path

from keystead_operator.spec.cel import parse_quantity
from tests.apiserver.kubelet.cache import Connection
from tests.apiserver.kubelet.scheduling import HOST_LABEL
from tests.apiserver.rest import MERGE, ApiError, Object, path_of

PROVISIONER = "keystead.test/directory"
STORAGE_CLASS: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "directory", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}


class Provisioner:
    def __init__(self, connection: Connection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def directory_of(self, volume: str) -> Path:
        return self._directory / volume

    async def provision(self, claim: Object, node: str) -> None:
        """Makes a volume on the node and binds the claim to it. Raises ApiError."""
        metadata, spec = claim["metadata"], claim["spec"]
        name = f"pvc-{metadata['uid']}"
        self.directory_of(name).mkdir(exist_ok=True)
        size = spec["resources"]["requests"]["storage"]
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        expression = {"key": HOST_LABEL, "operator": "In", "values": [node]}
        volume: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
            "spec": {
                "capacity": {"storage": size},
                "accessModes": spec["accessModes"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": spec.get("storageClassName", ""),
                "claimRef": reference,
                "hostPath": {"path": str(self.directory_of(name))},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            },
        }
        try:
            await self._connection.request("POST", path_of("PersistentVolume"), volume)
        except ApiError as error:
            if error.status != 409:
                raise
        await self._phase(name, "Bound")
        bound = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": name}}
        path = path_of("PersistentVolumeClaim", metadata["namespace"], metadata["name"])
        await self._connection.request("PATCH", path, bound, MERGE)
        status = {"phase": "Bound", "capacity": {"storage": size}, "accessModes": spec["accessModes"]}
        await self._connection.patch_status("PersistentVolumeClaim", metadata["namespace"], metadata["name"], status)

    async def reclaim(self, volume: str) -> None:
        """The claim is gone: so are the volume and what was in it. Raises ApiError."""
        shutil.rmtree(self.directory_of(volume), ignore_errors=True)
        try:
            await self._phase(volume, "Released")
            await self._connection.request("DELETE", path_of("PersistentVolume", "", volume))
        except ApiError as error:
            if error.status != 404:
                raise

    async def grow(self, claim: Object) -> None:
        """Gives a bound claim what it asks for. Raises ApiError."""
        size = claim["spec"]["resources"]["requests"]["storage"]
        volume = path_of("PersistentVolume", "", claim["spec"]["volumeName"])
        await self._connection.request("PATCH", volume, {"spec": {"capacity": {"storage": size}}}, MERGE)
        space, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        await self._connection.patch_status("PersistentVolumeClaim", space, name, {"capacity": {"storage": size}})

    async def _phase(self, volume: str, phase: str) -> None:
        await self._connection.patch_status("PersistentVolume", "", volume, {"phase": phase})


def wants_more(claim: Object) -> bool:
    """Whether a bound claim asks for more than it has."""
    has = (claim.get("status", {}).get("capacity") or {}).get("storage", "")
    return bool(has) and parse_quantity(claim["spec"]["resources"]["requests"]["storage"]) > parse_quantity(has)
