"""Who a cluster is: its id, the catalog's founders, and whether the catalog was ever formed.

It is a ConfigMap, not the StorageCluster's status alone, because it must live as long as the volumes do: a
StorageCluster that is made again over kept volumes finds it and takes them up. It is written by compare-and-set, before
the first volume is made. Where it is missing it is put together from what is left, and nothing is formed anew over
volumes that may hold data:

    status of the StorageCluster names an id      that one, with the founders as they stand there
    volumes of the cluster name one id            that one; as good as formed, with founders that nobody knows
    volumes name several ids                      refused
    nothing                                       a new id
"""

import uuid
from typing import Any

import msgspec

from keystead_core.ids import NodeId, ReplicaId
from keystead_operator.kube.client import Conflict, KubeClient, NotFound
from keystead_operator.kube.kinds import CONFIG_MAP
from keystead_operator.kube.seen import SeenClaim, SeenCluster
from keystead_operator.manifests.config import IDENTITY_FILE, identity
from keystead_operator.manifests.frame import Frame, identity_name
from keystead_operator.plan.state import Founder
from keystead_operator.substrate import ActionFailed


class Identity(msgspec.Struct, frozen=True):
    """The record."""

    cluster_id: str
    founders: tuple[Founder, ...] = ()
    bootstrapped: bool = False


class VolumesOfSeveralClusters(ActionFailed):
    """Nobody can say which of them is meant."""


def reconstructed(cluster: SeenCluster, claims: list[SeenClaim]) -> Identity:
    """The record, from what is left where there is none. Raises VolumesOfSeveralClusters."""
    status = cluster.status
    if status.get("clusterId"):
        founders = tuple(_founder(entry) for entry in status.get("founders", ()))
        return Identity(status["clusterId"], founders, bool(status.get("bootstrapped")))
    ids = sorted({claim.cluster_id for claim in claims if claim.cluster_id})
    if len(ids) > 1:
        raise VolumesOfSeveralClusters(
            f"the volumes named for {cluster.head.name} belong to several clusters: {', '.join(ids)}"
        )
    return Identity(ids[0], bootstrapped=True) if ids else Identity(uuid.uuid4().hex)


def _founder(entry: dict[str, Any]) -> Founder:
    return Founder(NodeId(entry["node"]), entry.get("name", ""), entry.get("zone", ""), ReplicaId(entry["replica"]), "")


class IdentityRecord:
    """The record of one cluster at the API server. `now` is what was last read or written."""

    def __init__(self, client: KubeClient) -> None:
        self.now: Identity | None = None
        self._client = client
        self._resource_version = ""
        self._owned: bool | None = None

    async def establish(self, cluster: SeenCluster, claims: list[SeenClaim]) -> Identity:
        """Reads the record once, and makes it if there is none. Raises KubeError, VolumesOfSeveralClusters."""
        if self.now is not None:
            return self.now
        namespace, name = cluster.head.namespace, identity_name(cluster.head.name)
        try:
            found = await self._client.get(CONFIG_MAP, namespace, name)
        except NotFound:
            made = reconstructed(cluster, claims)
            bare = {"name": name, "namespace": namespace}
            found = await self._client.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": bare, "data": {IDENTITY_FILE: _text(made)}}
            )
        return self._took(found)

    async def dress(self, frame: Frame) -> None:
        """Brings labels and owner to what they should be. Raises KubeError."""
        assert self.now is not None
        if self._owned is not frame.retained:
            await self._write(frame, self.now)
            self._owned = frame.retained

    async def change(self, frame: Frame, **fields: Any) -> None:
        """Writes the record with these fields, if nobody has changed it since it was read. Raises ActionFailed."""
        assert self.now is not None
        try:
            await self._write(frame, msgspec.structs.replace(self.now, **fields))
        except Conflict as problem:
            self.now = None
            raise ActionFailed(f"the record of the cluster's identity was changed by another: {problem}") from problem

    async def _write(self, frame: Frame, content: Identity) -> None:
        manifest = identity(frame, _text(content))
        manifest["metadata"]["resourceVersion"] = self._resource_version
        self._took(await self._client.apply(manifest))

    def _took(self, found: dict[str, Any]) -> Identity:
        self._resource_version = found["metadata"]["resourceVersion"]
        self.now = msgspec.json.decode(found["data"][IDENTITY_FILE], type=Identity)
        return self.now


def _text(content: Identity) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
