"""The test kubelet in a thread of its own, and what tests do to its nodes, pods and volumes."""

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from tests.apiserver.kubelet.kubelet import NODES, Kubelet, TestNode
from tests.apiserver.kubelet.pod import PodWorker
from tests.apiserver.rest import Api

T = TypeVar("T")
ANSWER_SECONDS_MAX = 60.0


class Faults:
    """Controls of a kubelet that runs in another thread. Pods are named by namespace and name."""

    def __init__(self, kubelet: Kubelet, loop: asyncio.AbstractEventLoop) -> None:
        self.kubelet = kubelet
        self._loop = loop

    def kill(self, namespace: str, pod: str) -> None:
        """kill -9 of the pod's processes; they are started again, with a backoff."""
        self._call(self._signal(namespace, pod, signal.SIGKILL))

    def freeze(self, namespace: str, pod: str) -> None:
        """SIGSTOP: the processes neither run nor answer."""
        self._call(self._signal(namespace, pod, signal.SIGSTOP))

    def thaw(self, namespace: str, pod: str) -> None:
        self._call(self._signal(namespace, pod, signal.SIGCONT))

    def pause_node(self, name: str) -> None:
        """Everything on the node stands still, its kubelet too; the node is Ready=Unknown."""
        self._call(self._down(name, signal.SIGSTOP))

    def lose_node(self, name: str) -> None:
        """The machine is gone: its processes have ended, its pods stay at the API server, nobody removes them."""
        self._call(self._down(name, signal.SIGKILL))

    def bring_back(self, name: str) -> None:
        """The node is back: paused processes go on, lost ones are started anew over the volumes that are on it."""
        self._call(self._up(name))

    def lose_volume(self, namespace: str, claim: str) -> None:
        """What is on the claim's volume is gone, as if the disk had been replaced; its pod's processes are killed."""
        self._call(self._lose_volume(namespace, claim))

    def pids(self, namespace: str, pod: str) -> list[int]:
        return self._call(self._pids(namespace, pod))

    def log(self, namespace: str, pod: str) -> str:
        """What all runs of a pod of this name have printed."""
        directory = self.kubelet.directory / "logs" / namespace
        return "".join(path.read_text(errors="replace") for path in sorted(directory.glob(f"{pod}.*.log")))

    def claim_directory(self, namespace: str, claim: str) -> Path:
        return self._call(self._directory(namespace, claim))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS_MAX)

    def _worker(self, namespace: str, pod: str) -> PodWorker:
        for worker in self.kubelet.workers.values():
            if (worker.namespace, worker.name) == (namespace, pod):
                return worker
        raise AssertionError(f"no pod {namespace}/{pod} runs")

    def _workers_on(self, node: str) -> list[PodWorker]:
        return [worker for worker in self.kubelet.workers.values() if worker.pod["spec"]["nodeName"] == node]

    async def _signal(self, namespace: str, pod: str, number: int) -> None:
        self._worker(namespace, pod).signal(number)

    async def _pids(self, namespace: str, pod: str) -> list[int]:
        containers = self._worker(namespace, pod).containers
        return [one.process.pid for one in containers if one.process is not None and one.alive]

    async def _down(self, name: str, number: int) -> None:
        kubelet = self.kubelet
        kubelet.down.add(name)
        workers = self._workers_on(name)
        for worker in workers:
            worker.muted = True
            if number == signal.SIGKILL:
                await worker.abandon()
            else:
                worker.signal(number)
        await kubelet.tell_node(name, ready=False)
        for pod in list(kubelet.pods):
            if pod["spec"].get("nodeName") == name:
                unready = {"type": "Ready", "status": "False", "reason": "NodeNotReady", "message": "Node is not ready"}
                space, pod_name = pod["metadata"]["namespace"], pod["metadata"]["name"]
                await kubelet.connection.patch_status("Pod", space, pod_name, {"conditions": [unready]})

    async def _up(self, name: str) -> None:
        kubelet = self.kubelet
        kubelet.down.discard(name)
        await kubelet.tell_node(name, ready=True)
        for worker in self._workers_on(name):
            worker.signal(signal.SIGCONT)
            worker.unmute()
        for pod in list(kubelet.pods):
            kubelet.take_care_of(pod)

    async def _directory(self, namespace: str, claim: str) -> Path:
        return self.kubelet.claim_directory(namespace, claim)

    async def _lose_volume(self, namespace: str, claim: str) -> None:
        directory = self.kubelet.claim_directory(namespace, claim)
        for worker in self.kubelet.workers.values():
            volumes = worker.pod["spec"].get("volumes") or []
            claims = [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one]
            if worker.namespace == namespace and claim in claims:
                worker.signal(signal.SIGKILL)
                for one in worker.containers:
                    if one.process is not None:
                        await one.process.wait()
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


@contextmanager
def running_kubelet(api: Api, directory: Path, nodes: tuple[TestNode, ...] = NODES) -> Iterator[Faults]:
    """A kubelet in a thread, until the block ends. Processes of pods end with it."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-kubelet", daemon=True)
    thread.start()
    kubelet = Kubelet(api, directory, nodes)
    try:
        asyncio.run_coroutine_threadsafe(kubelet.start(), loop).result(ANSWER_SECONDS_MAX)
        yield Faults(kubelet, loop)
    finally:
        asyncio.run_coroutine_threadsafe(kubelet.stop(), loop).result(ANSWER_SECONDS_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
