"""Which operator leads: our own Lease, taken by compare-and-set and renewed while alive.

A leader that could not renew for `GIVE_UP_SECONDS` steps down, before anyone else may take over. Even so the Lease is
no proof: what an operator does is fenced by the catalog's number (CatalogAccess) and by preconditions.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import structlog

from keystead_operator.kube.client import Conflict, Json, KubeClient, KubeError, NotFound
from keystead_operator.kube.kinds import LEASE
from keystead_operator.manifests.frame import OPERATOR

DURATION_SECONDS: Final = 25
RENEW_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 4.0
GIVE_UP_SECONDS: Final = 18.0

log = structlog.get_logger("lease")


class Leadership:
    """`leading` is set while this process leads; `transitions` counts the changes of leader, as the Lease says."""

    def __init__(self, client: KubeClient, namespace: str, identity: str) -> None:
        self.leading = asyncio.Event()
        self.lost = asyncio.Event()
        self.transitions = 0
        self.progress_at = time.monotonic()
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._lease: Json | None = None
        self._seen_renewal = ""
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self._taken = False

    async def run(self) -> None:
        """Takes the Lease when it is free and keeps it, until it is lost: then `lost` is set."""
        while not self.lost.is_set():
            began = time.monotonic()
            try:
                await self._turn(began)
                self.progress_at = time.monotonic()
            except KubeError as problem:
                log.warning("the Lease", problem=str(problem))
                self._lease = None
            self._check(time.monotonic())
            await asyncio.sleep(RENEW_SECONDS if self._renewed_at >= began else RETRY_SECONDS)

    async def still_leads(self) -> bool:
        """Asks the API server itself. Raises KubeError."""
        lease = await self._client.get(LEASE, self._namespace, OPERATOR)
        return bool(lease["spec"].get("holderIdentity") == self._identity)

    async def release(self) -> None:
        """Lets another take over at once; nothing may be done in office after this."""
        self.leading.clear()
        if self._lease is None or self._lease["spec"].get("holderIdentity") != self._identity:
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._client.replace({**self._lease, "spec": spec})
        except KubeError as problem:
            log.info("the Lease is not released", problem=str(problem))

    async def _turn(self, now: float) -> None:
        """One attempt to take or to renew it."""
        if self._lease is None:
            self._lease = await self._read()
        if self._lease is None:
            self._lease = await self._create()
            self._took(now)
            return
        spec = self._lease["spec"]
        ours = spec.get("holderIdentity") == self._identity
        if not ours and not self._is_free(spec, now):
            self._taken = self.leading.is_set()
            self._lease = None
            return
        wanted = {**spec, "holderIdentity": self._identity, "renewTime": _now()}
        wanted["leaseDurationSeconds"] = DURATION_SECONDS
        if not ours:
            wanted["acquireTime"] = wanted["renewTime"]
            wanted["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        try:
            self._lease = await self._client.replace({**self._lease, "spec": wanted})
        except Conflict:
            self._lease = None
            return
        self._took(now)

    async def _read(self) -> Json | None:
        try:
            return await self._client.get(LEASE, self._namespace, OPERATOR)
        except NotFound:
            return None

    async def _create(self) -> Json:
        now = _now()
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        head = {"name": OPERATOR, "namespace": self._namespace}
        return await self._client.create(
            {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": head, "spec": spec}
        )

    def _is_free(self, spec: Json, now: float) -> bool:
        """Whether its holder let it go, or has not renewed it for its whole duration by our own clock."""
        if not spec.get("holderIdentity"):
            return True
        renewal = f"{spec.get('holderIdentity')} {spec.get('renewTime')}"
        if renewal != self._seen_renewal:
            self._seen_renewal, self._seen_at = renewal, now
        return now - self._seen_at > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

    def _took(self, now: float) -> None:
        assert self._lease is not None
        self._renewed_at = now
        self.transitions = int(self._lease["spec"].get("leaseTransitions") or 0)
        if not self.leading.is_set():
            log.info("leading", transitions=self.transitions, identity=self._identity)
            self.leading.set()

    def _check(self, now: float) -> None:
        """A leader whose Lease is not surely its own any more stops leading, for good."""
        if self.leading.is_set() and (self._taken or now - self._renewed_at > GIVE_UP_SECONDS):
            log.warning("not leading any more", renewed_seconds_ago=round(now - self._renewed_at, 1))
            self.leading.clear()
            self.lost.set()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
