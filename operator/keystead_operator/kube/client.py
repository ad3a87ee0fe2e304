"""A small client of the API server: plain dicts in and out, server-side apply, preconditions, paged lists.

Every call raises one of the KubeErrors. A server that asks for patience (429, 503 with Retry-After) is asked again
after its own time, a few times; what was certainly not done is tried again, what may have been done is not.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import msgspec

from keystead_operator.kube.config import KubeConfig
from keystead_operator.kube.kinds import Kind, kind_of

FIELD_MANAGER: Final = "keystead-operator"
TIMEOUT_SECONDS: Final = 15.0
PAGE_SIZE: Final = 250
PATIENCE_TRIES_MAX: Final = 4
PATIENCE_SECONDS_MAX: Final = 10.0
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"

Json = dict[str, Any]


class KubeError(Exception):
    """The API server did not do it. `status`: of HTTP; 0 if it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(KubeError):
    """No answer, or one that says nothing about the request: it may have been carried out."""


class NotFound(KubeError):
    """404."""


class Conflict(KubeError):
    """409: the object exists already, is another one, or has changed meanwhile."""


class Forbidden(KubeError):
    """401 or 403: a right is missing."""


class NamespaceEnding(Forbidden):
    """403: nothing is made any more in a namespace that is being deleted."""


class Invalid(KubeError):
    """400 or 422: the object is not acceptable."""


class Gone(KubeError):
    """410: the list or version is too old."""


_BY_STATUS: Final[dict[int, type[KubeError]]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


class KubeClient:
    """`requests` counts what was sent, by HTTP method."""

    def __init__(self, config: KubeConfig) -> None:
        self.config = config
        self.requests: dict[str, int] = {}
        self._session: aiohttp.ClientSession | None = None
        self._ssl = config.ssl_context()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        return await self._request("GET", kind.path(namespace, name))

    async def pages(
        self, kind: Kind, namespace: str | None, *, selector: str = "", page_size: int = PAGE_SIZE
    ) -> AsyncIterator[list[Json]]:
        """The objects of a kind, a page at a time."""
        query = {"limit": str(page_size)}
        if selector:
            query["labelSelector"] = selector
        while True:
            answer = await self._request("GET", kind.path(namespace), query=query)
            yield answer.get("items") or []
            token = answer.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(self, manifest: Json) -> Json:
        """Raises Conflict if there is one of that name."""
        path = kind_of(manifest).path(manifest["metadata"].get("namespace"))
        return await self._request("POST", path, manifest, query={"fieldManager": FIELD_MANAGER})

    async def apply(self, manifest: Json, subresource: str | None = None) -> Json:
        """Server-side apply in the operator's name. With metadata.uid: only to that very object."""
        metadata = manifest["metadata"]
        path = kind_of(manifest).path(metadata.get("namespace"), metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", path, manifest, query=query, content_type=APPLY)

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        """A merge patch; metadata.uid and metadata.resourceVersion in it are preconditions."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", kind.path(namespace, name), patch, query=query, content_type=MERGE)

    async def replace(self, manifest: Json) -> Json:
        """Writes the whole object; raises Conflict if it is not at metadata.resourceVersion any more."""
        metadata = manifest["metadata"]
        path = kind_of(manifest).path(metadata.get("namespace"), metadata["name"])
        return await self._request("PUT", path, manifest, query={"fieldManager": FIELD_MANAGER})

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Deletes that very object and no other. One that is gone already is fine; raises Conflict if it is another."""
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            await self._request("DELETE", kind.path(namespace, name), body)
        except NotFound:
            return

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        content = None if body is None else msgspec.json.encode(body)
        for turn in range(PATIENCE_TRIES_MAX):
            status, retry_after, raw = await self._exchange(method, path, content, query, content_type)
            if status not in (429, 503) or retry_after is None or turn == PATIENCE_TRIES_MAX - 1:
                break
            await asyncio.sleep(min(retry_after, PATIENCE_SECONDS_MAX))
        if status < 300:
            found: Json = msgspec.json.decode(raw) if raw else {}
            return found
        raise _error(status, f"{method} {path}", raw)

    async def _exchange(
        self, method: str, path: str, content: bytes | None, query: dict[str, str] | None, content_type: str
    ) -> tuple[int, float | None, bytes]:
        """(status, seconds to wait as the server says, body)."""
        self.requests[method] = self.requests.get(method, 0) + 1
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": FIELD_MANAGER}
        try:
            token = self.config.bearer()
            if token:
                headers["Authorization"] = f"Bearer {token}"
            async with self._connected().request(
                method, self.config.server + path, data=content, params=query, headers=headers
            ) as answer:
                wait = answer.headers.get("Retry-After", "")
                return answer.status, float(wait) if wait.isdigit() else None, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unreachable(0, f"{method} {path}: {problem or type(problem).__name__}") from problem

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._ssl if self._ssl is not None else True, limit=32)
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session


def _error(status: int, what: str, raw: bytes) -> KubeError:
    try:
        said = msgspec.json.decode(raw)
        message = str(said.get("message", "")) if isinstance(said, dict) else ""
    except msgspec.DecodeError:
        message = raw[:200].decode("utf-8", "replace")
    if status == 403 and "because it is being terminated" in message:
        return NamespaceEnding(status, f"{what}: {message}")
    kind = _BY_STATUS.get(status, Unreachable if status >= 500 or status == 429 else KubeError)
    return kind(status, f"{what}: {message or f'status {status}'}")
