"""Writes the status of the objects, and only what changed: an idle cluster costs no write."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from keystead_operator.kube.cache import Cache
from keystead_operator.kube.client import Conflict, KubeClient, NotFound
from keystead_operator.kube.events import tell
from keystead_operator.kube.kinds import STORAGE_CLUSTER, TABLE, Kind
from keystead_operator.kube.seen import Head, Json, SeenCluster, SeenTable


def completed(status: Json, generation: int, old: Json, now: str) -> Json:
    """The status with the generation that it is about, and with its conditions' times: a condition that says the same
    as before keeps the time of its last transition."""
    known = {one["type"]: one for one in old.get("conditions", ())}
    conditions = []
    for condition in status["conditions"]:
        before = known.get(condition["type"], {})
        same = before.get("status") == condition["status"]
        time = before["lastTransitionTime"] if same else now
        conditions.append({**condition, "observedGeneration": generation, "lastTransitionTime": time})
    return {**status, "observedGeneration": generation, "conditions": conditions}


def now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class StatusWriter:
    """Puts statuses to the API server, as server-side apply of the status alone."""

    def __init__(self, client: KubeClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    async def cluster(self, seen: SeenCluster, status: Json) -> bool:
        """Whether anything had to be written. Raises KubeError."""
        return await self._write(STORAGE_CLUSTER, seen.head, status, seen.generation, seen.status)

    async def table(self, seen: SeenTable, status: Json) -> bool:
        """Whether anything had to be written. Raises KubeError."""
        return await self._write(TABLE, seen.head, status, seen.generation, msgspec.json.decode(seen.status))

    async def _write(self, kind: Kind, head: Head, status: Json, generation: int, old: Json) -> bool:
        wanted = completed(status, generation, old, now_text())
        if wanted == old:
            return False
        manifest: dict[str, Any] = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": head.name, "namespace": head.namespace, "uid": head.uid},
            "status": wanted,
        }
        try:
            self._cache.see(kind, await self._client.apply(manifest, "status"))
        except (Conflict, NotFound):
            return False
        await tell(self._client, kind, head, old, wanted)
        return True
