"""One pod on one node, from the moment it is bound until its processes are gone.

It waits for its volumes, gives the pod an address, starts the containers, probes and restarts them, tells the API
server what is so, and ends them when the pod is being deleted: preStop, SIGTERM, the grace period, SIGKILL.
"""

import asyncio
import datetime
import logging
import shutil
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from tests.apiserver.kubelet.cache import Connection
from tests.apiserver.kubelet.containers import POLL_SECONDS, Backoff, Mount, Process, probe
from tests.apiserver.kubelet.environment import environment
from tests.apiserver.kubelet.volumes import Sources, VolumeNotReady, files_of, write_files
from tests.apiserver.rest import ApiError, Object, path_of

WAIT_SECONDS: Final = 0.2
REPORT_SECONDS: Final = 0.2
UNPULLABLE: Final = "unpullable/"
log = logging.getLogger("kubelet")


class Host(Protocol):
    """What a pod needs of its kubelet."""

    connection: Connection
    http: aiohttp.ClientSession
    api_server: str
    extra_mounts: list[Mount]

    def sources_of(self, namespace: str) -> Sources: ...
    def claim_directory(self, namespace: str, claim: str) -> Path: ...
    def hosts_file(self, namespace: str) -> Path: ...
    def pod_directory(self, pod: Object) -> Path: ...
    def log_path(self, pod: Object, container: str) -> Path: ...
    def take_address(self) -> str: ...
    def give_back(self, address: str) -> None: ...


class Running:
    """One container of the pod, over all its runs."""

    def __init__(self, spec: Object) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.process: Process | None = None
        self.started_at = ""
        self.restarts = 0
        self.started = False
        self.ready = False
        self.waiting = "ContainerCreating"
        self.waiting_message = ""
        self.last: Object = {}
        self.finished: Object = {}
        self.backoff = Backoff()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.exit_code is None

    def end(self, why: str = "") -> None:
        """Writes down how the last run ended."""
        assert self.process is not None
        code = self.process.exit_code or 0
        told = {"exitCode": code, "reason": why or ("Error" if code else "Completed"), "startedAt": self.started_at}
        self.last = {"terminated": {**told, "finishedAt": _now(), "message": self.process.last_words()[-1024:]}}
        self.started = self.ready = False

    def status(self) -> Object:
        state: Object
        if self.finished:
            state = self.finished
        elif self.alive:
            state = {"running": {"startedAt": self.started_at}}
        else:
            state = {"waiting": {"reason": self.waiting, "message": self.waiting_message}}
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": f"test://{self.spec['image']}" if self.started_at else "",
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": state,
            "lastState": self.last,
        }


class PodWorker:
    """`run` goes on until the pod is gone from the API server, or `abandon` has ended it with its node."""

    def __init__(self, pod: Object, host: Host, restarts: int = 0) -> None:
        self.pod = pod
        self.address = ""
        self.containers = [Running(spec) for spec in pod["spec"]["containers"]]
        for container in self.containers:
            container.restarts = restarts
        self._host = host
        self._sources = host.sources_of(pod["metadata"]["namespace"])
        self._directory = host.pod_directory(pod)
        self._files: dict[str, Path] = {}
        self._deleting = asyncio.Event()
        self._gone = asyncio.Event()
        self._dirty = asyncio.Event()
        self._told: Object = {}
        self._transitions: dict[str, tuple[str, str]] = {}
        self._started_at = _now()
        self.muted = False
        self.task = asyncio.create_task(self.run())

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    def changed(self, pod: Object | None) -> None:
        """The pod as it is at the API server now; None: it is gone."""
        if pod is None:
            self._gone.set()
            self._deleting.set()
            return
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deleting.set()

    async def run(self) -> None:
        reporter = asyncio.create_task(self._report())
        life = asyncio.create_task(self._live())
        deleted = asyncio.create_task(self._deleting.wait())
        try:
            await asyncio.wait({life, deleted}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
                await deleted
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            await self._terminate()
            reporter.cancel()
            await self._remove()
        finally:
            for task in (reporter, life, deleted):
                task.cancel()
            self.signal(signal.SIGKILL)
            if self.address:
                self._host.give_back(self.address)
            shutil.rmtree(self._directory, ignore_errors=True)

    async def abandon(self) -> None:
        """The node is gone: the processes end at once, and nobody tells the API server."""
        self.muted = True
        self.signal(signal.SIGKILL)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def signal(self, number: int, container: str = "") -> None:
        for one in self.containers:
            if one.process is not None and container in ("", one.name):
                one.process.signal(number)

    async def refresh(self) -> None:
        """Writes ConfigMap and Secret volumes anew, where they changed."""
        if self._files:
            try:
                await self._write_volumes()
            except VolumeNotReady as problem:
                log.debug("%s: %s", self.name, problem)

    def unmute(self) -> None:
        """The node is back: what others wrote about the pod meanwhile is put right."""
        self.muted = False
        self._told = {}
        self.touch()

    def touch(self) -> None:
        """What is so may have changed: tell it."""
        self._dirty.set()

    async def _live(self) -> None:
        self.touch()
        mounts, envs = await self._prepare()
        await asyncio.gather(*(self._run(one, mounts[one.name], envs[one.name]) for one in self.containers))

    async def _prepare(self) -> tuple[dict[str, list[Mount]], dict[str, dict[str, str]]]:
        if self.pod["spec"].get("initContainers"):
            raise NotImplementedError("the test kubelet runs no init containers")
        self._directory.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                await self._write_volumes()
                mounts = {one.name: self._mounts(one.spec) for one in self.containers}
                if not self.address:
                    self.address = self._host.take_address()
                seen = {**self.pod, "status": {"podIP": self.address, "hostIP": "127.0.0.1"}}
                envs = {
                    one.name: environment(one.spec, seen, self._sources, self._host.api_server)
                    for one in self.containers
                }
                return mounts, envs
            except (VolumeNotReady, ApiError, aiohttp.ClientError, OSError) as problem:
                for one in self.containers:
                    one.waiting_message = str(problem)
                self.touch()
                await asyncio.sleep(WAIT_SECONDS)

    async def _write_volumes(self) -> None:
        for volume in self.pod["spec"].get("volumes") or []:
            directory = self._files.get(volume["name"], self._directory / "volumes" / volume["name"])
            files = await files_of(volume, self.pod, self._sources)
            if files is not None:
                write_files(directory, files)
            elif "emptyDir" in volume:
                directory.mkdir(parents=True, exist_ok=True)
            elif "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                directory = self._host.claim_directory(self.namespace, claim)
            elif "hostPath" in volume:
                directory = Path(volume["hostPath"]["path"])
            else:
                raise VolumeNotReady(f"the test kubelet does not know the volume {volume}")
            self._files[volume["name"]] = directory

    def _mounts(self, spec: Object) -> list[Mount]:
        kinds = {volume["name"]: volume for volume in self.pod["spec"].get("volumes") or []}
        found = [Mount(str(self._host.hosts_file(self.namespace)), "/etc/hosts"), *self._host.extra_mounts]
        wanted = spec.get("volumeMounts") or []
        for one in wanted:
            source = self._files[one["name"]] / one.get("subPath", "")
            never_written = any(kind in kinds[one["name"]] for kind in ("configMap", "secret", "projected"))
            found.append(Mount(str(source), one["mountPath"], bool(one.get("readOnly")) or never_written))
            for inner in wanted:
                if inner["mountPath"].startswith(one["mountPath"].rstrip("/") + "/"):
                    (source / inner["mountPath"][len(one["mountPath"]) :].lstrip("/")).mkdir(
                        parents=True, exist_ok=True
                    )
        return found

    async def _run(self, one: Running, mounts: list[Mount], env: dict[str, str]) -> None:
        """Starts the container again and again, as its restart policy says."""
        while one.spec["image"].startswith(UNPULLABLE):
            one.waiting, one.waiting_message = "ErrImagePull", f"no such image: {one.spec['image']}"
            self.touch()
            await asyncio.sleep(3600)
        read_only = bool((one.spec.get("securityContext") or {}).get("readOnlyRootFilesystem"))
        policy = self.pod["spec"].get("restartPolicy", "Always")
        while True:
            log_path = self._host.log_path(self.pod, one.name)
            one.process = Process(one.name, self._directory, log_path, env, mounts, read_only)
            began, one.started_at = time.monotonic(), _now()
            await one.process.start(
                [*one.spec["command"], *(one.spec.get("args") or [])], one.spec.get("workingDir", "/")
            )
            self.touch()
            reason = await self._watch_over(one)
            one.end(reason)
            code = one.process.exit_code
            if policy == "Never" or (policy == "OnFailure" and not code):
                one.finished = one.last
                self.touch()
                return
            delay = one.backoff.after(began)
            one.waiting, one.waiting_message = "CrashLoopBackOff", f"back-off {delay:g}s restarting failed container"
            self.touch()
            await asyncio.sleep(delay)
            one.restarts += 1

    async def _watch_over(self, one: Running) -> str:
        """Probes until the process has ended; the reason, where a probe was the reason."""
        assert one.process is not None
        process, spec = one.process, one.spec
        ended = asyncio.create_task(process.wait())
        probes = asyncio.create_task(self._probe(one))
        try:
            await asyncio.wait({ended, probes}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ""
            reason = probes.result()
            log.info("%s/%s: %s", self.name, spec["name"], reason)
            one.ready = False
            self.touch()
            await self._stop(process, spec, self._grace_seconds(), reason)
            return "Error"
        finally:
            probes.cancel()
            ended.cancel()

    async def _probe(self, one: Running) -> str:
        """Ends when the container has to be restarted, and says why."""
        spec = one.spec
        startup, liveness = spec.get("startupProbe"), spec.get("livenessProbe")
        if startup is not None:
            await asyncio.sleep(float(startup.get("initialDelaySeconds", 0)))
            failing_since = time.monotonic()
            limit = float(startup.get("periodSeconds", 10)) * startup.get("failureThreshold", 3)
            while reason := await self._ask(one, startup):
                if time.monotonic() - failing_since > limit:
                    return f"startup probe failed: {reason}"
                await asyncio.sleep(POLL_SECONDS)
        one.started = True
        readiness = asyncio.create_task(self._probe_readiness(one))
        try:
            while liveness is not None:
                await asyncio.sleep(float(liveness.get("periodSeconds", 10)))
                failures, reason = 0, ""
                while failures < liveness.get("failureThreshold", 3) and (reason := await self._ask(one, liveness)):
                    failures += 1
                    await asyncio.sleep(float(liveness.get("periodSeconds", 10)))
                if reason:
                    return f"liveness probe failed: {reason}"
            await readiness
            return ""
        finally:
            readiness.cancel()

    async def _probe_readiness(self, one: Running) -> None:
        check = one.spec.get("readinessProbe")
        failures = 0
        while True:
            reason = await self._ask(one, check) if check is not None else ""
            failures = failures + 1 if reason else 0
            ready = not reason or (one.ready and failures < (check or {}).get("failureThreshold", 3))
            if ready != one.ready:
                one.ready = ready
                self.touch()
            if check is None:
                await asyncio.Event().wait()
            await asyncio.sleep(float((check or {}).get("periodSeconds", 10)) if one.ready else POLL_SECONDS)

    async def _ask(self, one: Running, check: Object) -> str:
        assert one.process is not None
        ports = {port["name"]: port["containerPort"] for port in one.spec.get("ports") or [] if "name" in port}
        return await probe(check, self.address, ports, one.process, self._host.http)

    def _grace_seconds(self) -> float:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        return float(metadata.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30)))

    async def _terminate(self) -> None:
        grace = self._grace_seconds()
        stops = [
            self._stop(one.process, one.spec, grace, "deleted") for one in self.containers if one.process is not None
        ]
        gone = asyncio.create_task(self._gone.wait())
        done = asyncio.create_task(_all(stops))
        await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not done.done():
            self.signal(signal.SIGKILL)
        await done
        for one in self.containers:
            if one.process is not None and not one.finished:
                one.end()
                one.finished = one.last

    async def _stop(self, process: Process, spec: Object, grace_seconds: float, why: str) -> None:
        """preStop and SIGTERM within the grace period, then SIGKILL."""
        until = time.monotonic() + grace_seconds
        hook = ((spec.get("lifecycle") or {}).get("preStop") or {}).get("exec")
        if hook is not None and process.exit_code is None and grace_seconds > 0:
            code = await process.run_beside(hook["command"], grace_seconds)
            log.info("%s: preStop ended with %d (%s)", self.name, code, why)
        process.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), max(0.1, until - time.monotonic()))
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await process.wait()

    async def _remove(self) -> None:
        """The pod's processes are gone: its object may go."""
        uid = self.pod["metadata"]["uid"]
        while not self._gone.is_set():
            try:
                await self._tell()
                body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                await self._host.connection.request("DELETE", path_of("Pod", self.namespace, self.name), body)
                return
            except ApiError as problem:
                if problem.status in (404, 409):
                    return
                log.debug("%s: %s", self.name, problem)
            except (aiohttp.ClientError, TimeoutError, OSError) as problem:
                log.debug("%s: %s", self.name, problem)
            await asyncio.sleep(WAIT_SECONDS)

    async def _report(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._tell()
            except ApiError as problem:
                if problem.status == 404:
                    return
                if problem.status == 422:
                    log.error("%s: the test kubelet wrote a bad status: %s", self.name, problem)
                self._dirty.set()
            except (aiohttp.ClientError, TimeoutError, OSError):
                self._dirty.set()
            await asyncio.sleep(REPORT_SECONDS if self._dirty.is_set() else 0)

    async def _tell(self) -> None:
        status = self._status()
        if self.muted or status == self._told:
            return
        await self._host.connection.patch_status("Pod", self.namespace, self.name, status)
        self._told = status

    def _status(self) -> Object:
        finished = [one.finished for one in self.containers if one.finished]
        phase = "Running" if any(one.started_at for one in self.containers) else "Pending"
        if len(finished) == len(self.containers):
            failed = any(one["terminated"]["exitCode"] for one in finished)
            phase = "Failed" if failed else "Succeeded"
        waiting = [one.name for one in self.containers if not one.ready]
        unready = ("ContainersNotReady", f"containers with unready status: {waiting}") if waiting else ("", "")
        conditions = [
            self._condition("PodScheduled", True),
            self._condition("Initialized", True),
            self._condition("ContainersReady", not waiting, *unready),
            self._condition("Ready", not waiting, *unready),
        ]
        status: Object = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [one.status() for one in self.containers],
            "hostIP": "127.0.0.1",
            "startTime": self._started_at,
        }
        if self.address:
            status |= {"podIP": self.address, "podIPs": [{"$patch": "replace"}, {"ip": self.address}]}
        return status

    def _condition(self, kind: str, holds: bool, reason: str = "", message: str = "") -> Object:
        value = "True" if holds else "False"
        before, since = self._transitions.get(kind, ("", ""))
        if before != value:
            since = _now()
            self._transitions[kind] = value, since
        return {"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": since}


async def _all(waits: list[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*waits)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
