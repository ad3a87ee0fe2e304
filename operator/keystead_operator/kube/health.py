"""GET /healthz, tied to progress, and GET /metrics."""

import resource
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from keystead_operator.kube.cache import Cache
from keystead_operator.kube.client import KubeClient
from keystead_operator.kube.lease import Leadership
from keystead_operator.kube.reconciler import Reconciler

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STUCK_SECONDS: Final = 300.0


class Progress:
    """What the process is at. `reconciler` is there while it leads."""

    def __init__(self, client: KubeClient, cache: Cache) -> None:
        self.leadership: Leadership | None = None
        self.reconciler: Reconciler | None = None
        self._client = client
        self._cache = cache

    def stuck(self) -> str:
        """Why the process should be started again, or "". An API server that is away is no reason."""
        reconciler = self.reconciler
        if reconciler is None or not self._cache.synced or not self._cache.clusters.all():
            return ""
        idle = time.monotonic() - reconciler.progress_at
        return f"no round has ended for {idle:.0f} s" if idle > STUCK_SECONDS else ""

    def metrics(self) -> str:
        leads = self.leadership is not None and self.leadership.leading.is_set()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        lines = [
            "# TYPE keystead_operator_leading gauge",
            f"keystead_operator_leading {int(leads)}",
            "# TYPE keystead_operator_rounds_total counter",
            f"keystead_operator_rounds_total {self.reconciler.rounds if self.reconciler is not None else 0}",
            "# TYPE keystead_operator_memory_max_bytes gauge",
            f"keystead_operator_memory_max_bytes {memory}",
            "# TYPE keystead_operator_api_requests_total counter",
        ]
        lines += [
            f'keystead_operator_api_requests_total{{method="{method}"}} {count}'
            for method, count in sorted(self._client.requests.items())
        ]
        return "\n".join(lines) + "\n"


class HealthServer:
    """Both ports."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._runners: list[web.AppRunner] = []

    async def listen(self, bind: str, health_port: int, metrics_port: int) -> None:
        """A port of 0 is left out. Raises OSError."""
        await self._serve("/healthz", self._healthz, bind, health_port)
        await self._serve("/metrics", self._metrics, bind, metrics_port)

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _serve(self, path: str, handler: Handler, bind: str, port: int) -> None:
        if port == 0:
            return
        app = web.Application()
        app.router.add_get(path, handler)
        runner = web.AppRunner(app, access_log=None)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, bind or None, port).start()

    async def _healthz(self, request: web.Request) -> web.Response:
        reason = self._progress.stuck()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=self._progress.metrics())
