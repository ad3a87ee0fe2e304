"""The admin port (loopback or the pod's own network): health, metrics, status, the operator's commands,
and a page for people (ui/).

With TLS, health and metrics are open to everybody and all else to the operator and the nodes, by their certificates.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from keystead_core.catalog.commands import Command
from keystead_core.cluster_map import ReplicaTarget
from keystead_core.ids import CATALOG_PARTITION, NodeId, PartitionId, ReplicaId
from keystead_core.replication import events as ev
from keystead_core.replication.membership import founding_membership
from keystead_node.api.http_server import HttpServer
from keystead_node.catalog_client import CatalogClient, CatalogUnavailable
from keystead_node.errors import WriteOutcomeUnknown
from keystead_node.map_keeper import MapKeeper
from keystead_node.metrics import Metrics
from keystead_node.shell import Shell
from keystead_node.tls import Tls, may_command

MAINTAIN_SECONDS_MAX = 10.0
OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))


class FoundingMember(msgspec.Struct):
    node_id: str
    zone: str
    replica_id: int
    peer_address: str


class FormRequest(msgspec.Struct):
    members: list[FoundingMember]


class HandOverRequest(msgspec.Struct):
    """`to`: a replica id; 0: whichever is most level."""

    partition: int
    to: int = 0


_commands: dict[str, Any] = {kind.__name__: kind for kind in Command.__args__}


class Admin:
    def __init__(
        self,
        shell: Shell,
        keeper: MapKeeper,
        client: CatalogClient,
        metrics: Metrics,
        status: Callable[[], dict[str, Any]],
        shutdown: Callable[[], None],
        front: HttpServer,
        tls: Tls | None = None,
    ) -> None:
        self._front = front
        self._tls = tls
        self._shell = shell
        self._keeper = keeper
        self._client = client
        self._metrics = metrics
        self._status = status
        self._shutdown = shutdown
        self.pages: list[web.RouteDef] = []
        """For people: what is served beside what programs ask for."""
        self._runner: web.AppRunner | None = None

    async def listen(self, bind: str, port: int) -> None:
        """Raises OSError."""
        app = web.Application(client_max_size=4 * 1024 * 1024, middlewares=[self._check_certificate])
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics_text),
                web.get("/status", self._get_status),
                web.get("/map", self._get_map),
                web.post("/catalog/form", self._form),
                web.post("/catalog/command", self._command),
                web.post("/drain", self._drain),
                web.post("/maintain", self._maintain),
                web.post("/resume", self._resume),
                web.post("/handover", self._handover),
                web.post("/shutdown", self._stop),
                *self.pages,
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        door = self._tls.admin_door if self._tls is not None else None
        await web.TCPSite(self._runner, bind, port, ssl_context=door).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _check_certificate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._tls is not None and request.path not in OPEN_PATHS:
            shown = request.get_extra_info("peercert")
            if not may_command(self._tls.config, shown):
                what = (
                    "the certificate shown is neither the operator's nor a node's" if shown else "no certificate shown"
                )
                return _json({"ok": False, "error": f"{what}: only health and metrics are open"}, 403)
        return await handler(request)

    async def _healthz(self, request: web.Request) -> web.Response:
        """The process runs and its event loop turns: never a question of quorums."""
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        """Registered with the catalog, and not about to end: requests may be sent here."""
        if self._front.is_draining:
            return web.Response(text="about to end\n", status=503)
        if self._keeper.registered:
            return web.Response(text="ok\n")
        return web.Response(text="not registered with the catalog yet\n", status=503)

    async def _metrics_text(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), content_type="text/plain")

    async def _get_status(self, request: web.Request) -> web.Response:
        return _json(self._status())

    async def _get_map(self, request: web.Request) -> web.Response:
        """The map; 204 without a body if it is of the very version that `unless` names."""
        if request.query.get("unless") == str(self._keeper.map.version):
            return web.Response(status=204)
        return _json(self._keeper.map)

    async def _form(self, request: web.Request) -> web.Response:
        """Forms the catalog's group, once: only its named founders may, and saying it again changes nothing."""
        return await _answer(request, FormRequest, self._do_form)

    async def _do_form(self, body: FormRequest) -> dict[str, Any]:
        members = [
            (ReplicaTarget(ReplicaId(m.replica_id), NodeId(m.node_id), m.zone, "voter"), m.peer_address)
            for m in body.members
        ]
        own = [target for target, _ in members if target.node == self._shell.core.id]
        if CATALOG_PARTITION in self._shell.core.replicas:
            return {"ok": True}
        if self._keeper.map.cluster:
            return {"ok": False, "error": "this node knows a catalog already: a second one is never formed"}
        self._keeper.form(members)
        if own:
            settings = self._keeper.settings
            founding = founding_membership(
                [target for target, _ in members],
                settings.write_quorum,
                min(settings.durable_zones, len({target.zone for target, _ in members})),
                self._shell.core.settings.lease,
            )
            self._shell.post(ev.HostReplica(CATALOG_PARTITION, own[0].replica, founding))
        return {"ok": True}

    async def _command(self, request: web.Request) -> web.Response:
        """Any command of the catalog, as {"type": NAME, ...its fields}."""
        raw = await request.read()
        body: dict[str, Any]
        command: Any
        try:
            body = msgspec.json.decode(raw, type=dict[str, Any])
            kind = _commands[body.pop("type", "")]
            command = msgspec.convert(body, _as_object(kind), strict=False)
        except KeyError as error:
            return _json({"ok": False, "error": f"unknown command {error}"}, 400)
        except msgspec.MsgspecError as error:
            return _json({"ok": False, "error": str(error)}, 400)
        real = kind(**{field: getattr(command, field) for field in kind.__struct_fields__})
        try:
            reply = await self._client.run(real, repeat=False)
        except (CatalogUnavailable, WriteOutcomeUnknown) as error:
            return _json({"ok": False, "error": str(error)}, 503)
        answer = {"ok": not reply.error, "error": f"{reply.error}: {reply.message}" if reply.error else ""}
        return _json({**answer, "reply": msgspec.to_builtins(reply)})

    async def _drain(self, request: web.Request) -> web.Response:
        """Clients are asked to go elsewhere, request by request; they are served as long as they come."""
        self._front.is_draining = True
        return _json({"ok": True, "reason": ""})

    async def _maintain(self, request: web.Request) -> web.Response:
        """Makes every replica here ineligible, masterships handed over first; waits until that is so or refused."""
        self._shell.refusals.clear()
        self._shell.post(ev.Maintain())
        return _json(await self._settled(lambda r: bool(r.ineligible) or not _is_voter(r)))

    async def _resume(self, request: web.Request) -> web.Response:
        self._shell.post(ev.Resume())
        return _json(await self._settled(lambda r: r.ineligible != "planned"))

    async def _settled(self, done: Callable[[Any], bool]) -> dict[str, Any]:
        """Waits until all replicas are as wanted; says which are not and why."""
        deadline = asyncio.get_running_loop().time() + MAINTAIN_SECONDS_MAX
        while True:
            left = [r.partition for r in self._shell.core.replicas.values() if not done(r)]
            if not left:
                return {"ok": True, "reason": ""}
            if asyncio.get_running_loop().time() > deadline:
                reasons = {p: self._shell.refusals.get(p, "not done yet") for p in left}
                first = next(iter(reasons.items()))
                text = f"{len(left)} replicas still wait; partition {first[0]}: {first[1]}"
                return {"ok": False, "reason": text}
            await asyncio.sleep(0.02)

    async def _handover(self, request: web.Request) -> web.Response:
        return await _answer(request, HandOverRequest, self._do_handover)

    async def _do_handover(self, body: HandOverRequest) -> dict[str, Any]:
        partition = PartitionId(body.partition)
        if self._shell.master_of(partition) != self._shell.core.id:
            return {"ok": False, "reason": "this node does not master the partition"}
        self._shell.post(ev.HandOver(partition, ReplicaId(body.to)))
        return {"ok": True, "reason": ""}

    async def _stop(self, request: web.Request) -> web.Response:
        self._shutdown()
        return _json({"ok": True})


def _is_voter(r: Any) -> bool:
    return r.membership is not None and r.membership.is_voter(r.id)


def _as_object(kind: Any) -> Any:
    """The command's fields as an object with names, as people write them (on the wire they are an array)."""
    if kind not in _objects:
        fields = [(f.name, f.type, *_default_of(f)) for f in msgspec.structs.fields(kind)]
        _objects[kind] = msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True)
    return _objects[kind]


def _default_of(field: Any) -> list[Any]:
    """The default of a command's field, if it has one: a value, or what makes a fresh one."""
    if field.required:
        return []
    made = field.default_factory is not msgspec.NODEFAULT
    return [msgspec.field(default_factory=field.default_factory) if made else field.default]


_objects: dict[Any, Any] = {}


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


async def _answer(request: web.Request, kind: Any, act: Callable[[Any], Awaitable[dict[str, Any]]]) -> web.Response:
    try:
        body = msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        return _json({"ok": False, "error": str(error)}, 400)
    return _json(await act(body))
