"""The catalog's lock as a Kubernetes Lease, raised by compare-and-set: a replace with the version that was read.

    metadata.annotations["keystead.io/lock-counter"]   the counter, decimal
    spec.holderIdentity, spec.acquireTime              who raised it last, and when: for people

The Lease is made by the first taker. A token is read anew for each attempt, because the kubelet replaces it. No request
waits for any of this: without the API server, a candidate goes on or gives up as `failover.lock` says.
"""

import asyncio
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from keystead_node.catalog_locks import LockUnavailable
from keystead_node.config import LeaseName

COUNTER: Final = "keystead.io/lock-counter"
ATTEMPT_SECONDS_MAX: Final = 3.0
CONFLICTS_MAX: Final = 8
CONFLICT: Final = 409
NOT_FOUND: Final = 404

Json = dict[str, Any]


class _Conflict(Exception):
    """Another taker was faster."""


class LeaseLock:
    """Implements catalog_locks.CatalogLock."""

    def __init__(self, lease: LeaseName) -> None:
        self._lease = lease

    async def take(self, at_least: int, taker: str) -> int:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX), self._session() as session:
                for _ in range(CONFLICTS_MAX):
                    try:
                        return await self._raise(session, at_least, taker)
                    except _Conflict:
                        continue
        except (OSError, aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
            raise LockUnavailable(f"{self._where}: {error or type(error).__name__}") from error
        raise LockUnavailable(f"{self._where}: others were faster {CONFLICTS_MAX} times")

    @property
    def _where(self) -> str:
        return f"Lease {self._lease.namespace}/{self._lease.name}"

    def _session(self) -> aiohttp.ClientSession:
        token = Path(self._lease.token_file).read_text().strip()
        context = ssl.create_default_context(cafile=self._lease.ca_file)
        return aiohttp.ClientSession(
            self._server(),
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=context),
        )

    def _server(self) -> str:
        if self._lease.server:
            return self._lease.server
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise OSError("KUBERNETES_SERVICE_HOST is not set: is this a pod?")
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    async def _raise(self, session: aiohttp.ClientSession, at_least: int, taker: str) -> int:
        found = await self._request(session, "GET", self._lease.name)
        old = found or {"metadata": {"name": self._lease.name, "namespace": self._lease.namespace}}
        counter = max(counter_of(old), at_least) + 1
        new = with_counter(old, counter, taker, datetime.now(UTC))
        if found is None:
            await self._request(session, "POST", "", new)
        else:
            await self._request(session, "PUT", self._lease.name, new)
        return counter

    async def _request(
        self, session: aiohttp.ClientSession, method: str, name: str, body: Json | None = None
    ) -> Json | None:
        """The object; None where a GET finds none. Raises _Conflict, OSError, aiohttp.ClientError."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self._lease.namespace}/leases"
        async with session.request(method, f"{path}/{name}" if name else path, json=body) as answer:
            content = await answer.read()
            if answer.status == NOT_FOUND and method == "GET":
                return None
            if answer.status == CONFLICT or (answer.status == NOT_FOUND and method == "PUT"):
                raise _Conflict
            if answer.status >= 300:
                raise OSError(f"{method} was answered {answer.status}: {_message(content)}")
            return msgspec.json.decode(content, type=Json)


def counter_of(lease: Json) -> int:
    """Raises ValueError where the annotation is no number: a counter that was lost must not begin anew."""
    return int(lease["metadata"].get("annotations", {}).get(COUNTER, "0"))


def with_counter(lease: Json, counter: int, taker: str, now: datetime) -> Json:
    """The Lease as `taker` leaves it; its resourceVersion stays, which makes a replace compare-and-set."""
    metadata = {**lease["metadata"]}
    metadata["annotations"] = {**metadata.get("annotations", {}), COUNTER: str(counter)}
    spec = {**lease.get("spec", {}), "holderIdentity": taker, "acquireTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _message(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content, type=Json).get("message"))
    except msgspec.MsgspecError:
        return repr(content[:200])
