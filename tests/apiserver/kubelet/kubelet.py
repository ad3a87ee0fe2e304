"""Scheduler, kubelets of several nodes and volume binder in one event loop. `start_kubelet` runs it in a thread.

What tests do to nodes, pods and volumes is in `faults.py`; here is what they do by themselves.
"""

import asyncio
import contextlib
import fcntl
import logging
import tempfile
from pathlib import Path
from typing import IO, Any

import aiohttp
import msgspec

from tests.apiserver.kubelet.cache import Cache, Connection
from tests.apiserver.kubelet.containers import PYTHON_CACHE, Mount
from tests.apiserver.kubelet.names import HostsFiles
from tests.apiserver.kubelet.pod import PodWorker
from tests.apiserver.kubelet.provisioning import PROVISIONER, STORAGE_CLASS, Provisioner, wants_more
from tests.apiserver.kubelet.scheduling import HOST_LABEL, Unschedulable, World, choose_node, claim_names
from tests.apiserver.kubelet.volumes import Sources, VolumeNotReady
from tests.apiserver.rest import APPLY, MERGE, Api, ApiError, Object, path_of

ZONE_LABEL = "topology.kubernetes.io/zone"
TURN_SECONDS_MAX = 2.0
UNREACHABLE: Object = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
NETWORKS = 250
log = logging.getLogger("kubelet")


class TestNode(msgspec.Struct, frozen=True):
    name: str
    zone: str


NODES = tuple(TestNode(f"worker-{number}", f"zone-{'abc'[number % 3]}") for number in range(6))


class Addresses:
    """Pod addresses of a network of loopback that no other test kubelet of this machine has: 127.1.N.2 to .254."""

    def __init__(self) -> None:
        self._lock: IO[str] | None = None
        self._network = 0
        for network in range(1, NETWORKS):
            lock = (Path(tempfile.gettempdir()) / f"keystead-test-network-{network}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self._lock, self._network = lock, network
            break
        assert self._lock is not None, "all test networks are taken"
        self._free = [f"127.1.{self._network}.{host}" for host in range(2, 255)]

    def take(self) -> str:
        """The address that has been free for longest."""
        return self._free.pop(0)

    def give_back(self, address: str) -> None:
        self._free.append(address)

    def close(self) -> None:
        assert self._lock is not None
        self._lock.close()


class Kubelet:
    """`directory` holds volumes, pods and logs."""

    def __init__(self, api: Api, directory: Path, nodes: tuple[TestNode, ...] = NODES) -> None:
        self.api_server = api.server
        self.directory = directory
        self.nodes = nodes
        self.down: set[str] = set()
        self.workers: dict[str, PodWorker] = {}
        self.extra_mounts = _writable_caches()
        self._api = api
        self._addresses = Addresses()
        self._hosts = HostsFiles(directory / "hosts")
        self._turn = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self.connection = Connection(self._api)
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        self.provisioner = Provisioner(self.connection, self.directory / "claims")
        self.pods = Cache(self.connection, "Pod", self._on_pod)
        self.claims = Cache(self.connection, "PersistentVolumeClaim", self._on_any)
        self.volumes = Cache(self.connection, "PersistentVolume", self._on_any)
        self.services = Cache(self.connection, "Service", self._on_any)
        self.api_nodes = Cache(self.connection, "Node", self._on_any)
        self.config_maps = Cache(self.connection, "ConfigMap", self._on_source)
        self.secrets = Cache(self.connection, "Secret", self._on_source)
        await self._register()
        others = (self.claims, self.volumes, self.services, self.api_nodes, self.config_maps, self.secrets)
        for cache in others:
            self.spawn(cache.run())
        await asyncio.gather(*(cache.listed.wait() for cache in others))
        self.spawn(self.pods.run())
        await self.pods.listed.wait()
        self.spawn(self._turns())

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(worker.abandon() for worker in self.workers.values()))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.connection.close()
        await self.http.close()
        self._addresses.close()

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_complain)

    # What a pod asks of its kubelet (pod.Host).

    def sources_of(self, namespace: str) -> Sources:
        def find(kind: str, name: str) -> Object | None:
            return (self.config_maps if kind == "ConfigMap" else self.secrets).get(namespace, name)

        return Sources(find, self._token_of)

    def claim_directory(self, namespace: str, claim: str) -> Path:
        """Raises VolumeNotReady."""
        found = self.claims.get(namespace, claim)
        volume = found["spec"].get("volumeName") if found is not None else None
        if not volume:
            raise VolumeNotReady(f'persistentvolumeclaim "{claim}" is not bound')
        directory = self.provisioner.directory_of(str(volume))
        directory.mkdir(exist_ok=True)
        return directory

    def hosts_file(self, namespace: str) -> Path:
        path = self._hosts.path(namespace)
        self._hosts.update(list(self.services), list(self.pods))
        return path

    def pod_directory(self, pod: Object) -> Path:
        return self.directory / "pods" / str(pod["metadata"]["uid"])

    def log_path(self, pod: Object, container: str) -> Path:
        directory = self.directory / "logs" / str(pod["metadata"]["namespace"])
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{pod['metadata']['name']}.{container}.log"

    def take_address(self) -> str:
        return self._addresses.take()

    def give_back(self, address: str) -> None:
        self._addresses.give_back(address)

    async def _token_of(self, pod: Object, source: Object) -> str:
        account = pod["spec"].get("serviceAccountName", "default")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        spec: Object = {"expirationSeconds": source.get("expirationSeconds", 3607), "boundObjectRef": bound}
        spec["audiences"] = [source["audience"]] if "audience" in source else []
        path = path_of("ServiceAccount", pod["metadata"]["namespace"], account, "token")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str((await self.connection.request("POST", path, body))["status"]["token"])

    # Nodes.

    async def _register(self) -> None:
        for path, body in [
            (path_of("StorageClass", "", "directory"), STORAGE_CLASS),
            *((path_of("Node", "", node.name), _node_object(node)) for node in self.nodes),
        ]:
            await self.connection.request(
                "PATCH", path, body, APPLY, query={"fieldManager": "test-kubelet", "force": "true"}
            )
        for node in self.nodes:
            await self.tell_node(node.name, ready=True)

    async def tell_node(self, name: str, *, ready: bool) -> None:
        """Writes the node's condition and taint: Ready, or Unknown as for one that nobody hears of."""
        reason = "KubeletReady" if ready else "NodeStatusUnknown"
        condition = {"type": "Ready", "status": "True" if ready else "Unknown", "reason": reason, "message": ""}
        capacity = {"cpu": "64", "memory": "64Gi", "pods": "250", "ephemeral-storage": "1Ti"}
        status = {
            "conditions": [condition],
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
        }
        await self.connection.patch_status("Node", "", name, status)
        taints = {"spec": {"taints": None if ready else [UNREACHABLE]}}
        await self.connection.request("PATCH", path_of("Node", "", name), taints, MERGE)

    # Changes.

    def _on_any(self, old: Object | None, new: Object | None) -> None:
        self._turn.set()

    def _on_source(self, old: Object | None, new: Object | None) -> None:
        changed = (new or old or {})["metadata"]
        for worker in list(self.workers.values()):
            if worker.namespace == changed["namespace"] and not worker.muted:
                self.spawn(worker.refresh())

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        self._turn.set()
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            worker = self.workers.get(old["metadata"]["uid"])
            if worker is not None:
                worker.changed(None)
        if new is not None:
            self.take_care_of(new)

    def take_care_of(self, pod: Object) -> None:
        """Starts, or tells, the worker of a pod that is bound to a node which is up."""
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        if node is None and "deletionTimestamp" in pod["metadata"]:
            self.spawn(self._remove_unbound(pod))
        if node not in {one.name for one in self.nodes} or node in self.down:
            return
        worker = self.workers.get(uid)
        if worker is not None:
            worker.changed(pod)
        elif (
            pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]
        ):
            statuses = pod.get("status", {}).get("containerStatuses") or []
            restarts = max((one["restartCount"] + 1 for one in statuses), default=0)
            made = PodWorker(pod, self, restarts)
            self.workers[uid] = made
            made.task.add_done_callback(lambda _: self.workers.pop(uid, None))
            made.task.add_done_callback(_complain)
            made.changed(pod)

    async def _remove_unbound(self, pod: Object) -> None:
        path = path_of("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            await self.connection.request("DELETE", path, body)
        except ApiError as problem:
            log.debug("pod %s: %s", path, problem)

    # The scheduler and the volume binder.

    async def _turns(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._turn.wait(), TURN_SECONDS_MAX)
            self._turn.clear()
            self._hosts.update(list(self.services), list(self.pods))
            try:
                await self._bind_pods()
                await self._care_for_volumes()
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as problem:
                log.debug("turn: %s", problem)
                await asyncio.sleep(0.1)
                self._turn.set()

    def _world(self) -> World:
        claims = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in self.claims}
        volumes = {one["metadata"]["name"]: one for one in self.volumes}
        ours = {node.name for node in self.nodes}
        nodes = [one for one in self.api_nodes if one["metadata"]["name"] in ours - self.down]
        return World(nodes, list(self.pods), claims, volumes)

    async def _bind_pods(self) -> None:
        world = self._world()
        for pod in world.pods:
            if pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
                continue
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            try:
                node = choose_node(pod, world)
            except Unschedulable as reason:
                await self._tell_unschedulable(pod, str(reason))
                continue
            for claim in (world.claims[namespace, one] for one in claim_names(pod)):
                if not claim["spec"].get("volumeName"):
                    await self._provision(claim, node)
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
            body |= {"target": {"apiVersion": "v1", "kind": "Node", "name": node}}
            try:
                await self.connection.request("POST", path_of("Pod", namespace, name, "binding"), body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
            pod["spec"]["nodeName"] = node

    async def _provision(self, claim: Object, node: str) -> None:
        if claim["spec"].get("storageClassName") == STORAGE_CLASS["metadata"]["name"]:
            await self.provisioner.provision(claim, node)

    async def _tell_unschedulable(self, pod: Object, reason: str) -> None:
        conditions = pod.get("status", {}).get("conditions") or []
        if any(one["type"] == "PodScheduled" and one.get("message") == reason for one in conditions):
            return
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": reason}
        try:
            await self.connection.patch_status(
                "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], {"conditions": [condition]}
            )
        except ApiError as error:
            if error.status != 404:
                raise

    async def _care_for_volumes(self) -> None:
        claims = {one["metadata"]["uid"] for one in self.claims}
        for volume in self.volumes:
            by = (volume["metadata"].get("annotations") or {}).get("pv.kubernetes.io/provisioned-by")
            claim = volume["spec"].get("claimRef", {})
            if by != PROVISIONER or "deletionTimestamp" in volume["metadata"] or claim.get("uid") in claims:
                continue
            if await self._is_gone(claim):
                await self.provisioner.reclaim(volume["metadata"]["name"])
        for one in self.claims:
            if one["spec"].get("volumeName") and wants_more(one):
                await self.provisioner.grow(one)

    async def _is_gone(self, reference: Object) -> bool:
        """Asks, since the caches of claims and volumes are not of the same moment."""
        path = path_of("PersistentVolumeClaim", reference["namespace"], reference["name"])
        try:
            found = await self.connection.request("GET", path)
        except ApiError as error:
            return error.status == 404
        return bool(found["metadata"]["uid"] != reference["uid"])


def _is_over(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _node_object(node: TestNode) -> Object:
    labels = {HOST_LABEL: node.name, ZONE_LABEL: node.zone, "kubernetes.io/os": "linux"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}}


def _writable_caches() -> list[Mount]:
    """Compiled Python files are kept over the runs of a container: it would take a second more to start without."""
    PYTHON_CACHE.mkdir(exist_ok=True)
    return [Mount(str(PYTHON_CACHE), str(PYTHON_CACHE))]


def _complain(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the test kubelet broke", exc_info=task.exception())
