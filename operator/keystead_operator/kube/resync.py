"""The periodic list: finds what no watch told of, above all objects that vanished while nobody watched."""

import asyncio
import time
from typing import Final

import structlog

from keystead_operator.kube.cache import Cache
from keystead_operator.kube.client import Forbidden, KubeClient, KubeError
from keystead_operator.kube.kinds import CLAIM, POD, STORAGE_CLUSTER, TABLE, Kind
from keystead_operator.kube.seen import Key
from keystead_operator.kube.work_queue import WorkQueue
from keystead_operator.manifests.frame import LABEL_MANAGED_BY, OPERATOR

PODS_SECONDS: Final = 60.0
RESOURCES_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 2.0
OURS: Final = f"{LABEL_MANAGED_BY}={OPERATOR}"
"""The label selector of the pods and volumes that are ours."""

log = structlog.get_logger("resync")


class Resync:
    """Lists into the cache. `namespaces`: the ones to look at; [None]: all."""

    def __init__(self, client: KubeClient, cache: Cache, queue: WorkQueue, namespaces: list[str | None]) -> None:
        self._client = client
        self._cache = cache
        self._queue = queue
        self._namespaces = namespaces

    async def run(self) -> None:
        """For ever. The first list of everything makes the cache complete."""
        due: dict[Kind, float] = {STORAGE_CLUSTER: 0.0, TABLE: 0.0, POD: 0.0, CLAIM: 0.0}
        missing = set(due)
        while True:
            for kind in [kind for kind, at in due.items() if at <= time.monotonic()]:
                try:
                    await self.once(kind)
                except KubeError as problem:
                    log.warning("list failed", kind=kind.kind, problem=str(problem))
                    due[kind] = time.monotonic() + RETRY_SECONDS
                    if isinstance(problem, Forbidden):
                        self._cache.refused[kind] = str(problem)
                        self._wake_all()
                    continue
                if self._cache.refused.pop(kind, ""):
                    self._wake_all()
                missing.discard(kind)
                period = PODS_SECONDS if kind in (POD, CLAIM) else RESOURCES_SECONDS
                due[kind] = time.monotonic() + period
            self._cache.synced = self._cache.synced or not missing
            await asyncio.sleep(max(0.1, min(due.values()) - time.monotonic()))

    async def once(self, kind: Kind) -> None:
        """One list of a kind, compared with what is known. Raises KubeError."""
        before = self._cache.known(kind)
        listed: list[Key] = []
        selector = OURS if kind in (POD, CLAIM) else ""
        for namespace in self._namespaces:
            async for page in self._client.pages(kind, namespace, selector=selector):
                for manifest in page:
                    manifest.setdefault("kind", kind.kind)
                    listed.append((manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]))
                    self._wake(self._cache.see(kind, manifest))
        for key in self._cache.settle(kind, before, listed):
            log.info("vanished unseen", kind=kind.kind, cluster=key)
            self._wake(key)

    def _wake_all(self) -> None:
        for cluster in self._cache.clusters.all():
            self._queue.add(cluster.head.key)

    def _wake(self, key: Key | None) -> None:
        if key is not None:
            self._queue.add(key)
