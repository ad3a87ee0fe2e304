"""KubeSubstrate: carries plans out with pods and volumes of a Kubernetes cluster."""

import time
from decimal import Decimal
from typing import Final, assert_never

import msgspec
import structlog

from keystead_operator.catalog_access import CatalogAccess
from keystead_operator.cluster_view import ClusterView, NodePlace, cluster_view
from keystead_operator.kube.cache import Cache
from keystead_operator.kube.client import Conflict, KubeClient, KubeError, NamespaceEnding, NotFound
from keystead_operator.kube.identity import Identity, IdentityRecord
from keystead_operator.kube.kinds import CLAIM, POD, TABLE
from keystead_operator.kube.places import Place, free_claim_name, places_of
from keystead_operator.kube.seen import FINALIZER, Key, SeenCluster, SeenTable
from keystead_operator.manifests.frame import API_PORT, DATA_DIR, TERMINATION_SECONDS, Frame, owner, place_prefix
from keystead_operator.manifests.pod import pod, template_hash
from keystead_operator.manifests.volume import claim
from keystead_operator.node_status import partition_bytes
from keystead_operator.plan.actions import (
    Action,
    AddNode,
    ChangeIndexes,
    CreateTable,
    DeleteTable,
    ForgetTable,
    FormCatalog,
    GiveUpVolume,
    GrowVolume,
    MarkBootstrapped,
    MarkLeft,
    NameFounders,
    PlanSplit,
    RemoveNode,
    RestartNode,
    SetTarget,
    StartNode,
    StopNode,
    UpdateSettings,
    UpdateTable,
)
from keystead_operator.plan.state import Desired, Observed, ObservedNode
from keystead_operator.quorum import unlevel
from keystead_operator.spec.quantity import quantity
from keystead_operator.spec.resources import ClusterSpec, DeclaredTable, cluster_spec, declared_table
from keystead_operator.substrate import ActionFailed

START_BACKOFF_SECONDS_FIRST: Final = 1.0
START_BACKOFF_SECONDS_MAX: Final = 60.0
DELETION_SECONDS: Final = 15.0
"""What the end of a pod may take beyond its own grace."""

log = structlog.get_logger("cluster")


class KubeSubstrate:
    """One StorageCluster. `resource` is set anew before each round; `frame` and `places` are those of the round.

    `ending`: why nothing more is made of it, or "".
    """

    def __init__(self, resource: SeenCluster, cache: Cache, client: KubeClient, access: CatalogAccess) -> None:
        self.resource = resource
        self.access = access
        self.identity = IdentityRecord(client)
        self.places: list[Place] = []
        self.zones: tuple[str, ...] = ()
        self._frame: Frame | None = None
        self._cache = cache
        self._client = client
        self._declared: dict[str, tuple[tuple[object, ...], DeclaredTable]] = {}
        self._starts: dict[str, tuple[int, float]] = {}
        self._stranded_since: dict[str, tuple[tuple[str, str], float]] = {}
        self._given_up: dict[str, int] = {}
        self._template = ""
        self._size = Decimal(0)
        self.ending = ""

    @property
    def key(self) -> Key:
        return self.resource.head.key

    @property
    def frame(self) -> Frame:
        assert self._frame is not None, "prepare() comes first"
        return self._frame

    async def prepare(self, image: str, zones: tuple[str, ...]) -> Frame:
        """Finds out who the cluster is; `zones` are those of the Kubernetes nodes, or () where there are none.

        Raises KubeError, ActionFailed.
        """
        found = await self.identity.establish(self.resource, self._cache.claims.of_cluster(self.key))
        names = tuple(self.resource.spec["zones"].get("names", ()))
        self.zones = names or zones
        self._frame = Frame(
            namespace=self.resource.head.namespace,
            cluster=self.resource.head.name,
            uid=self.resource.head.uid,
            cluster_id=found.cluster_id,
            spec=self.resource.spec,
            image=image,
            zoned=bool(self.zones),
        )
        self._template = template_hash(self._frame)
        self._size = quantity(self.resource.spec["storage"]["size"])
        await self.identity.dress(self._frame)
        return self._frame

    async def own_volumes(self) -> None:
        """Volumes go with the StorageCluster or outlive it, as it says now. Raises KubeError."""
        wanted = "" if self.frame.retained else self.frame.uid
        for seen in self._cache.claims.of_cluster(self.key):
            if seen.owner == wanted or seen.head.deleting:
                continue
            owners = owner(self.frame) if wanted else None
            patch = {"metadata": {"uid": seen.head.uid, "ownerReferences": owners}}
            changed = await self._client.merge(CLAIM, seen.head.namespace, seen.head.name, patch)
            self._cache.see(CLAIM, changed)

    # ---- observing

    async def desired(self) -> Desired:
        manifest = {"metadata": {"name": self.resource.head.name}, "spec": self.resource.spec}
        cluster = msgspec.structs.replace(cluster_spec(manifest), zones=self.zones)
        tables = self._cache.tables.of_cluster(self.key)
        known = {table.head.uid for table in tables}
        for uid in [uid for uid in self._declared if uid not in known]:
            del self._declared[uid]
        return Desired(
            cluster,
            tuple(self._table(table, cluster) for table in tables),
            place_prefix=place_prefix(self.resource.head.name),
            ending=self.ending,
        )

    def _table(self, seen: SeenTable, cluster: ClusterSpec) -> DeclaredTable:
        """Read once for each generation, and when the cluster's defaults change."""
        defaults = (cluster.replicas, cluster.write_quorum, cluster.durable_zones)
        version = (seen.generation, seen.head.deleting, defaults)
        known = self._declared.get(seen.head.uid)
        if known is not None and known[0] == version:
            return known[1]
        metadata: dict[str, object] = {"name": seen.head.name}
        if seen.head.deleting:
            metadata["deletionTimestamp"] = "set"
        declared = declared_table({"metadata": metadata, "spec": msgspec.json.decode(seen.spec)}, cluster)
        self._declared[seen.head.uid] = (version, declared)
        return declared

    async def observe(self) -> Observed:
        self.places = places_of(self._cache.pods.of_cluster(self.key), self._cache.claims.of_cluster(self.key))
        await self.access.observe({place.name: place.admin_address for place in self.places if place.admin_address})
        identity = self._identity()
        nodes = tuple(self._observed(place) for place in self.places)
        return Observed(
            nodes=nodes,
            founders=identity.founders,
            bootstrapped=identity.bootstrapped,
            map=self.access.serving_map,
            seconds_down=self.access.seconds_down(),
            known_map=self.access.known_map,
            partition_bytes=partition_bytes(self.access.statuses.values()),
            unlevel=unlevel(self.view()) if any(node.outdated for node in nodes) else "",
        )

    def view(self) -> ClusterView:
        """The cluster as the last observation shows it."""
        frame = self.frame
        scheme = "https" if frame.encrypted else "http"
        endpoint = f"{scheme}://{frame.cluster}.{frame.namespace}.svc:{API_PORT}"
        places = [_node_place(place) for place in self.places]
        return cluster_view(frame.cluster_id, endpoint, places, self.access.statuses, self.access.known_map)

    def _identity(self) -> Identity:
        if self.identity.now is None:
            raise ActionFailed("the record of the cluster's identity is read again")
        return self.identity.now

    def _observed(self, place: Place) -> ObservedNode:
        _, not_before = self._starts.get(place.name, (0, 0.0))
        common = ObservedNode(
            name=place.name,
            zone=place.zone,
            running=place.running,
            volume_lost=place.volume_lost,
            volume_going=place.volume_going,
            volume_small=place.claim is not None and quantity(place.claim.size) < self._size,
            stranded_seconds=self._stranded_seconds(place),
            outdated=place.pod is not None and place.pod.template != self._template,
            stuck=place.stuck,
            start_in_seconds=max(0.0, not_before - time.monotonic()),
            peer_address=place.peer_address,
        )
        status = self.access.statuses.get(place.name)
        if status is None:
            return common
        node = status.node
        return msgspec.structs.replace(
            common,
            reachable=True,
            id=node.id,
            formed=node.formed,
            volume_empty=node.volume_empty,
            resting=node.state == "maintenance",
            room_bytes=node.room_bytes,
            held_bytes=status.held_bytes,
        )

    def _stranded_seconds(self, place: Place) -> float:
        """How long this process has seen the very pod and volume so, beyond what an orderly end takes. Each volume that
        was given up in vain makes the time count half."""
        if place.name in self.access.statuses:
            self._given_up.pop(place.name, None)
        if not place.stranded or place.name in self.access.statuses:
            self._stranded_since.pop(place.name, None)
            return 0.0
        assert place.pod is not None
        which = (place.pod.head.uid, place.pod.claim)
        known, since = self._stranded_since.get(place.name, (which, time.monotonic()))
        if known != which:
            since = time.monotonic()
        self._stranded_since[place.name] = (which, since)
        patience = TERMINATION_SECONDS + DELETION_SECONDS if place.pod.head.deleting else 0.0
        return max(0.0, time.monotonic() - since - patience) / 2.0 ** self._given_up.get(place.name, 0)

    # ---- executing

    async def execute(self, action: Action) -> None:
        try:
            await self._execute(action)
        except NamespaceEnding as problem:
            self.ending = "its namespace is being deleted"
            raise ActionFailed(str(problem)) from problem
        except KubeError as problem:
            raise ActionFailed(str(problem)) from problem

    async def _execute(self, action: Action) -> None:
        match action:
            case AddNode(name, zone):
                await self._make_volume(name, zone, self._taken_claim_names(name))
            case StartNode(name):
                await self._start(self._place(name))
            case StopNode(name):
                await self._stop(self._place(name))
            case RestartNode(name, reason):
                await self._restart(self._place(name), reason)
            case RemoveNode(name, reason):
                await self._remove(self._place(name), reason)
            case GiveUpVolume(name, reason):
                await self._give_up(self._place(name), reason)
            case GrowVolume(name):
                await self._grow(self._place(name))
            case NameFounders(founders):
                await self.identity.change(self.frame, founders=founders)
            case FormCatalog():
                await self.access.form(self.frame.cluster_id, action)
            case MarkBootstrapped():
                await self.identity.change(self.frame, bootstrapped=True)
            case CreateTable(table):
                await self._hold(table.managed_by.removeprefix("Table/"))
                await self.access.execute(action)
            case UpdateTable(table, manager):
                if table.managed_by:
                    await self._hold(manager.removeprefix("Table/"))
                await self.access.execute(action)
            case MarkLeft() | ChangeIndexes() | DeleteTable() | UpdateSettings() | SetTarget() | PlanSplit():
                await self.access.execute(action)
            case ForgetTable(resource):
                seen = self._cache.tables.get((self.frame.namespace, resource))
                if seen is not None:
                    await let_go(self._client, self._cache, seen)
            case _:
                assert_never(action)

    def _place(self, name: str) -> Place:
        found = next((place for place in self.places if place.name == name), None)
        assert found is not None, f"a plan deals with {name}, which is no place"
        return found

    def _taken_claim_names(self, place: str) -> frozenset[str]:
        claims = self._cache.claims.of_cluster(self.key)
        return frozenset(claim.head.name for claim in claims if claim.place == place)

    async def _make_volume(self, place: str, zone: str, taken: frozenset[str]) -> str:
        """A new volume under a name that is free; gives the name."""
        name = free_claim_name(place, taken)
        try:
            made = await self._client.create(claim(self.frame, place, zone, name))
        except Conflict:
            made = await self._client.get(CLAIM, self.frame.namespace, name)
        self._cache.see(CLAIM, made)
        log.info("volume made", cluster=self.frame.cluster, name=name, zone=zone)
        return name

    async def _start(self, place: Place) -> None:
        """A pod over the place's volume; what is left of the last one goes first."""
        if place.pod is not None:
            count, _ = self._starts.get(place.name, (0, 0.0))
            wait = min(START_BACKOFF_SECONDS_FIRST * 2**count, START_BACKOFF_SECONDS_MAX)
            self._starts[place.name] = (count + 1, time.monotonic() + wait)
            await self._client.delete(POD, self.frame.namespace, place.name, uid=place.pod.head.uid, grace_seconds=0)
            return
        name = place.claim.head.name if place.claim is not None else ""
        if not name:
            name = await self._make_volume(place.name, place.zone, self._taken_claim_names(place.name))
        try:
            made = await self._client.create(pod(self.frame, place.name, place.zone, name))
        except Conflict as problem:
            raise ActionFailed(f"a pod {place.name} is there already") from problem
        self._cache.see(POD, made)
        log.info("pod made", cluster=self.frame.cluster, name=place.name, volume=name)

    async def _stop(self, place: Place) -> None:
        if place.pod is None:
            return
        await self._client.delete(POD, self.frame.namespace, place.name, uid=place.pod.head.uid)

    async def _restart(self, place: Place, reason: str) -> None:
        """Ends the pod, once its masterships are handed over; one that refuses goes on as it was."""
        if place.pod is None or place.pod.head.deleting:
            return
        if place.name in self.access.statuses:
            try:
                await self.access.post(place.name, "/maintain")
            except ActionFailed:
                await self.access.post(place.name, "/resume")
                raise
        log.info("restarting", cluster=self.frame.cluster, name=place.name, reason=reason)
        await self._stop(place)

    async def _grow(self, place: Place) -> None:
        """Online, where the StorageClass allows it; where it does not, the API server says so."""
        assert place.claim is not None, f"a plan grows the volume of {place.name}, which has none"
        size = self.frame.spec["storage"]["size"]
        patch = {
            "metadata": {"uid": place.claim.head.uid},
            "spec": {"resources": {"requests": {"storage": size}}},
        }
        self._cache.see(CLAIM, await self._client.merge(CLAIM, self.frame.namespace, place.claim.head.name, patch))
        log.info("volume grows", cluster=self.frame.cluster, name=place.claim.head.name, size=size)

    async def _remove(self, place: Place, reason: str) -> None:
        """The volumes first, so that no pod is started over them again; they go when the pod has ended.

        Raises ActionFailed where another operator has started one since this was planned.
        """
        if place.pod is None and await self._has_pod(place.name):
            raise ActionFailed(f"{place.name} has a pod again: its volume stays")
        log.info("place removed", cluster=self.frame.cluster, name=place.name, reason=reason)
        for head in [one.head for one in place.claims]:
            if not head.deleting:
                await self._client.delete(
                    CLAIM, head.namespace, head.name, uid=head.uid, resource_version=head.resource_version
                )
        if place.pod is not None and not place.pod.head.deleting:
            await self._stop(place)

    async def _has_pod(self, name: str) -> bool:
        """Asks the API server itself."""
        try:
            await self._client.get(POD, self.frame.namespace, name)
        except NotFound:
            return False
        return True

    async def _give_up(self, place: Place, reason: str) -> None:
        """The volume first, so that no pod is started over it again; then the pod, without waiting for its machine."""
        self._given_up[place.name] = self._given_up.get(place.name, 0) + 1
        log.warning("volume given up", cluster=self.frame.cluster, name=place.name, reason=reason)
        for head in [one.head for one in place.claims]:
            if not head.deleting:
                await self._client.delete(
                    CLAIM, head.namespace, head.name, uid=head.uid, resource_version=head.resource_version
                )
        if place.pod is not None:
            head = place.pod.head
            await self._client.delete(POD, head.namespace, head.name, uid=head.uid, grace_seconds=0)

    # ---- the objects of tables

    async def _hold(self, resource: str) -> None:
        """Puts our finalizer on the object, before the catalog has the table: its deletion then waits for us."""
        seen = self._cache.tables.get((self.frame.namespace, resource))
        if seen is None:
            raise ActionFailed(f"Table/{resource} is gone")
        if not seen.held:
            await _write_finalizers(self._client, self._cache, seen, [*seen.finalizers, FINALIZER])


async def let_go(client: KubeClient, cache: Cache, seen: SeenTable) -> None:
    """Takes our finalizer off a Table: nothing of it is left in the catalog. Raises KubeError."""
    if seen.held:
        await _write_finalizers(client, cache, seen, [one for one in seen.finalizers if one != FINALIZER])


async def _write_finalizers(client: KubeClient, cache: Cache, seen: SeenTable, finalizers: list[str]) -> None:
    """Only if the object is still as it was seen. Raises KubeError."""
    head = seen.head
    patch = {
        "metadata": {"uid": head.uid, "resourceVersion": head.resource_version, "finalizers": finalizers},
    }
    changed = await client.merge(TABLE, head.namespace, head.name, patch)
    if "uid" in changed.get("metadata", {}):
        cache.see(TABLE, changed)


def _node_place(place: Place) -> NodePlace:
    running = place.pod is not None and place.running and bool(place.pod.ip)
    problem = "" if place.pod is None else place.pod.unschedulable or place.pod.problem
    return NodePlace(
        name=place.name, zone=place.zone, port=API_PORT, data_dir=DATA_DIR, pid=1 if running else 0, problem=problem
    )
