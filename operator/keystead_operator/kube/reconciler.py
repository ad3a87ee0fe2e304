"""The reconcile loop: one level-triggered round for a cluster, whenever something happened and now and then anyway.

prepare (who the cluster is, the objects around the pods) -> observe -> plan -> execute -> status
"""

import asyncio
import time
from typing import Final

import structlog

from keystead_operator.catalog_access import CatalogAccess
from keystead_operator.kube.admin_session import AdminSession
from keystead_operator.kube.cache import Cache
from keystead_operator.kube.certificates import Certificates
from keystead_operator.kube.client import Forbidden, KubeClient, KubeError, NamespaceEnding
from keystead_operator.kube.infrastructure import Applier, common_objects
from keystead_operator.kube.lease import Leadership
from keystead_operator.kube.report import Reporter
from keystead_operator.kube.seen import Key, SeenCluster
from keystead_operator.kube.substrate import KubeSubstrate, let_go
from keystead_operator.kube.work_queue import WorkQueue
from keystead_operator.kube.zones import Zones
from keystead_operator.substrate import ActionFailed, Round, reconcile

WORKERS: Final = 4
HURRIED_SECONDS: Final = 0.2
WORKING_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 5.0
EXECUTE_SECONDS: Final = 3.0
"""A round with much to do ends then, so that statuses keep up with what was done."""
REST_FACTOR: Final = 10.0
"""A settled cluster is looked at so rarely that looking takes a tenth of the time at most."""
REST_SECONDS_MAX: Final = 30.0
HURRY_SECONDS: Final = 10.0
"""For so long after an action the next round comes soon: its effect shows within moments."""

log = structlog.get_logger("reconcile")


class Cluster:
    """All that one reconciler keeps of a cluster between rounds."""

    def __init__(self, resource: SeenCluster, cache: Cache, client: KubeClient, leadership: Leadership) -> None:
        self.admin = AdminSession()
        access = CatalogAccess(self.admin, self._transitions)
        self.substrate = KubeSubstrate(resource, cache, client, access)
        self.applier = Applier(client)
        self.certificates = Certificates(client)
        self.reporter = Reporter(client, cache, self.applier)
        self.acted_at = 0.0
        self._leadership = leadership

    async def _transitions(self) -> int:
        try:
            leads = await self._leadership.still_leads()
        except KubeError as problem:
            raise ActionFailed(f"the operator's Lease cannot be read: {problem}") from problem
        if not leads:
            raise ActionFailed("another operator leads")
        return self._leadership.transitions


class Reconciler:
    """Works on the queue while this process leads. Made anew each time it takes the lead."""

    def __init__(self, client: KubeClient, cache: Cache, queue: WorkQueue, leadership: Leadership, image: str) -> None:
        self.rounds = 0
        self.progress_at = time.monotonic()
        self._client = client
        self._cache = cache
        self._queue = queue
        self._leadership = leadership
        self._image = image
        self._zones = Zones(client)
        self._clusters: dict[Key, Cluster] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while not self._cache.synced:
            await asyncio.sleep(0.1)
        for seen in self._cache.clusters.all():
            self._queue.add(seen.head.key)
        for table in self._cache.tables.all():
            self._queue.add((table.head.namespace, table.cluster))
        workers = [asyncio.ensure_future(self._work()) for _ in range(WORKERS)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            for cluster in self._clusters.values():
                await cluster.admin.close()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                again = await self._one(key)
            except (KubeError, ActionFailed) as problem:
                wait = self._queue.failed(key)
                log.warning("round failed", cluster=key, problem=str(problem), again_in_seconds=wait)
            except asyncio.CancelledError:
                self._queue.done(key, 0.0)
                raise
            except Exception:
                wait = self._queue.failed(key)
                log.exception("round broke", cluster=key, again_in_seconds=wait)
            else:
                self._queue.done(key, again)
            self.rounds += 1
            self.progress_at = time.monotonic()

    async def _one(self, key: Key) -> float | None:
        """One round for a cluster; gives the seconds until the next is due."""
        began = time.monotonic()
        resource = self._cache.clusters.get(key)
        if resource is None or resource.head.deleting:
            await self._without_cluster(key)
            return None
        cluster = self._clusters.get(key)
        if cluster is None or cluster.substrate.resource.head.uid != resource.head.uid:
            if cluster is not None:
                await cluster.admin.close()
            cluster = self._clusters[key] = Cluster(resource, self._cache, self._client, self._leadership)
        substrate = cluster.substrate
        substrate.resource = resource
        zones = await self._zones.under(resource.spec["zones"]["topologyKey"], resource.spec.get("scheduling", {}))
        try:
            return await self._round(cluster, zones, began)
        except ActionFailed as problem:
            await cluster.reporter.report_failure(resource, str(problem))
            raise
        except NamespaceEnding:
            substrate.ending = "its namespace is being deleted"
            await self._let_go(key)
            return SETTLED_SECONDS
        except Forbidden as problem:
            await cluster.reporter.report_failure(resource, f"the operator lacks a right: {problem}")
            raise

    async def _round(self, cluster: Cluster, zones: tuple[str, ...], began: float) -> float:
        """Prepare, observe, plan, execute, status."""
        for refused in self._cache.refused.values():
            raise ActionFailed(f"the operator lacks a right: {refused}")
        substrate = cluster.substrate
        key = substrate.key
        frame = await substrate.prepare(self._image, zones)
        if await cluster.certificates.ensure(frame):
            await cluster.admin.use(cluster.certificates.context, frame.peer_name)
        for manifest in common_objects(frame):
            await cluster.applier.apply(manifest)
        await substrate.own_volumes()
        done = await reconcile(substrate, EXECUTE_SECONDS)
        for failure in done.failures:
            log.warning("action failed", cluster=key, action=type(failure.action).__name__, problem=failure.message)
        if substrate.ending:
            await self._let_go(key)
        await cluster.reporter.report(substrate, done)
        return self._rest(cluster, done, time.monotonic() - began)

    def _rest(self, cluster: Cluster, done: Round, took_seconds: float) -> float:
        now = time.monotonic()
        if done.plan.actions:
            cluster.acted_at = now
        if now - cluster.acted_at < HURRY_SECONDS and not (done.settled and cluster.reporter.settled):
            return max(HURRIED_SECONDS, took_seconds)
        if done.settled and cluster.reporter.settled:
            return min(max(SETTLED_SECONDS, REST_FACTOR * took_seconds), REST_SECONDS_MAX)
        return max(WORKING_SECONDS, took_seconds)

    async def _without_cluster(self, key: Key) -> None:
        """No such StorageCluster: its tables say so, and those that are being deleted may go."""
        cluster = self._clusters.pop(key, None)
        if cluster is not None:
            await cluster.admin.close()
        await self._let_go(key)
        await Reporter(self._client, self._cache, Applier(self._client)).report_without_cluster(key)

    async def _let_go(self, key: Key) -> None:
        """Tables that are being deleted wait for nothing: what they were kept in is going itself."""
        for table in self._cache.tables.of_cluster(key):
            if table.head.deleting:
                await let_go(self._client, self._cache, table)
