"""keystead-operator: watches, leads or waits to lead, and reconciles until it is told to stop.

    keystead-operator [--namespace NS ... | --all-namespaces] [--lease-namespace NS] [--identity ID] [--kubeconfig F]

Exit codes: 0 stopped, 2 no API server to talk to.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import uuid
from typing import Any, Final

import structlog

from keystead_operator.handlers import Intake, watch
from keystead_operator.kube.cache import Cache
from keystead_operator.kube.client import KubeClient, KubeError
from keystead_operator.kube.config import ConfigError, KubeConfig, load_config
from keystead_operator.kube.health import HealthServer, Progress
from keystead_operator.kube.kinds import STORAGE_CLUSTER, TABLE, Kind
from keystead_operator.kube.lease import Leadership
from keystead_operator.kube.reconciler import Reconciler
from keystead_operator.kube.resync import Resync
from keystead_operator.kube.work_queue import WorkQueue
from keystead_operator.logs import configure_logs

IMAGE_VARIABLE: Final = "KEYSTEAD_IMAGE"
IMAGE_DEFAULT: Final = "keystead/keystead:latest"
KOPF_AGAIN_SECONDS: Final = 2.0
EXIT_NO_SERVER: Final = 2

log = structlog.get_logger("operator")


class Options(argparse.Namespace):
    """The command line."""

    namespace: list[str] | None
    all_namespaces: bool
    lease_namespace: str | None
    identity: str | None
    kubeconfig: str | None
    health_port: int
    metrics_port: int
    bind: str


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="keystead-operator", description=__doc__)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument(
        "--namespace", action="append", help="a namespace to serve, more than once for several; its own if absent"
    )
    scope.add_argument("--all-namespaces", action="store_true", help="serve every namespace")
    parser.add_argument("--lease-namespace", help="where the operator's own Lease is; its own namespace if absent")
    parser.add_argument("--identity", help="who holds the Lease; made up if absent")
    parser.add_argument("--kubeconfig", help="how to reach the API server; inside a pod: by its ServiceAccount")
    parser.add_argument("--health-port", type=int, default=8080, help="GET /healthz; 0: none")
    parser.add_argument("--metrics-port", type=int, default=8081, help="GET /metrics; 0: none")
    parser.add_argument("--bind", default="", help="the address for both; all if absent")
    return parser.parse_args(arguments, namespace=Options())


class Operator:
    """One operator process."""

    def __init__(self, options: Options, config: KubeConfig) -> None:
        self.stop = asyncio.Event()
        self._options = options
        self._config = config
        self._client = KubeClient(config)
        self._cache = Cache()
        self._queue = WorkQueue()
        self._progress = Progress(self._client, self._cache)
        named: list[str | None] = [*(options.namespace or [config.namespace])]
        self._namespaces: list[str | None] = [None] if options.all_namespaces else named
        self._lease_namespace = options.lease_namespace or config.namespace
        self._identity = options.identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._image = os.environ.get(IMAGE_VARIABLE, IMAGE_DEFAULT)

    async def run(self) -> None:
        """Until `stop` is set."""
        server = HealthServer(self._progress)
        await server.listen(self._options.bind, self._options.health_port, self._options.metrics_port)
        tasks = [
            asyncio.ensure_future(one)
            for one in (
                self._watch(),
                Resync(self._client, self._cache, self._queue, self._namespaces).run(),
                self._lead(),
            )
        ]
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            assert self.stop.is_set(), "only the word to stop ends a task"
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            await server.close()
            await self._client.close()

    async def _watch(self) -> None:
        """kopf's watches, started again should they end; the periodic list finds what was missed meanwhile."""
        await self._definitions()
        namespaces = [one for one in self._namespaces if one is not None]
        stop = threading.Event()
        try:
            while True:
                try:
                    await asyncio.to_thread(watch, self._config, namespaces, self._intake_from_thread(), stop)
                except Exception as problem:  # kopf lets out whatever its watches met: all of it means to begin again
                    log.warning("watches ended", problem=str(problem) or type(problem).__name__)
                await asyncio.sleep(KOPF_AGAIN_SECONDS)
        finally:
            stop.set()

    def _intake_from_thread(self) -> Intake:
        loop = asyncio.get_running_loop()

        def intake(kind: Kind, event: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(self._take, kind, event)

        return intake

    def _take(self, kind: Kind, event: dict[str, Any]) -> None:
        deleted = event["type"] == "DELETED"
        key = self._cache.forget(kind, event["object"]) if deleted else self._cache.see(kind, event["object"])
        if key is not None:
            self._queue.add(key)

    async def _definitions(self) -> None:
        """Waits until the API server knows our kinds: kopf looks for them once, when it starts."""
        while True:
            try:
                for kind in (STORAGE_CLUSTER, TABLE):
                    async for _ in self._client.pages(kind, self._namespaces[0], page_size=1):
                        break
                return
            except KubeError as problem:
                log.warning("the custom resources cannot be read yet", problem=str(problem))
                await asyncio.sleep(KOPF_AGAIN_SECONDS)

    async def _lead(self) -> None:
        """Contends for the Lease, reconciles while it is ours, and contends again: each time as somebody new."""
        term = 0
        while True:
            term += 1
            leadership = Leadership(self._client, self._lease_namespace, f"{self._identity}-{term}")
            contending = asyncio.ensure_future(leadership.run())
            self._progress.leadership = leadership
            reconciling: asyncio.Future[None] | None = None
            try:
                await leadership.leading.wait()
                reconciler = Reconciler(self._client, self._cache, self._queue, leadership, self._image)
                self._progress.reconciler = reconciler
                reconciling = asyncio.ensure_future(reconciler.run())
                lost = asyncio.ensure_future(leadership.lost.wait())
                await asyncio.wait([reconciling, lost], return_when=asyncio.FIRST_COMPLETED)
                lost.cancel()
                if reconciling.done():
                    reconciling.result()
            finally:
                self._progress.reconciler = None
                contending.cancel()
                if reconciling is not None:
                    reconciling.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await reconciling
                await leadership.release()


async def serve(options: Options, config: KubeConfig) -> None:
    operator = Operator(options, config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, operator.stop.set)
    began = time.monotonic()
    await operator.run()
    log.info("stopped", after_seconds=round(time.monotonic() - began))


def main() -> None:
    options = parse(sys.argv[1:])
    configure_logs()
    try:
        config = load_config(options.kubeconfig)
    except ConfigError as problem:
        print(f"keystead-operator: {problem}", file=sys.stderr)
        raise SystemExit(EXIT_NO_SERVER) from problem
    asyncio.run(serve(options, config))


if __name__ == "__main__":
    main()
