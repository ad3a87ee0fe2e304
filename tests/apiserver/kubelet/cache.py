"""The API server as the kubelet uses it: requests, and caches of all objects of a kind kept by list and watch."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import aiohttp

from tests.apiserver.rest import STRATEGIC, Api, ApiError, Object, path_of

RETRY_SECONDS: Final = 0.3
WATCH_SECONDS: Final = 300
log = logging.getLogger("kubelet")


class Connection:
    """Requests to the API server by a user's certificate or token."""

    def __init__(self, api: Api) -> None:
        headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
        self.server = api.server
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=api.tls(), limit=0),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=20),
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> Object:
        """Raises ApiError, aiohttp.ClientError, TimeoutError."""
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(
            method, self.server + path, data=content, headers=headers, params=query
        ) as answer:
            text = await answer.text()
            read: Object
            try:
                read = json.loads(text)
            except ValueError:
                read = {"message": text}
            if answer.status >= 400:
                raise ApiError(answer.status, read)
            return read

    async def patch_status(self, kind: str, namespace: str, name: str, status: Object) -> None:
        path = path_of(kind, namespace, name, "status")
        await self.request("PATCH", path, {"status": status}, STRATEGIC)

    async def watch(self, path: str, version: str) -> "WatchLines":
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(WATCH_SECONDS)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + 30)
        answer = await self._session.get(self.server + path, params=query, timeout=timeout)
        if answer.status >= 400:
            text = await answer.text()
            raise ApiError(answer.status, {"message": text})
        return WatchLines(answer)


class WatchLines:
    """The events of one watch."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._rest = b""

    async def next(self) -> Object | None:
        """None when the server has ended the watch."""
        while b"\n" not in self._rest:
            chunk = await self._answer.content.readany()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        event: Object = json.loads(line)
        return event

    def close(self) -> None:
        self._answer.close()


class Cache:
    """All objects of a kind. `changed(old, new)` is called for every change, also for what a new list shows."""

    def __init__(
        self, connection: Connection, kind: str, changed: Callable[[Object | None, Object | None], None]
    ) -> None:
        self.kind = kind
        self._connection = connection
        self._changed = changed
        self._objects: dict[tuple[str, str], Object] = {}
        self.listed = asyncio.Event()

    def get(self, namespace: str, name: str) -> Object | None:
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    async def run(self) -> None:
        """Lists and watches until cancelled; whatever breaks, it begins again."""
        while True:
            try:
                version = await self._list()
                self.listed.set()
                await self._follow(version)
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
                log.debug("%s: %s", self.kind, problem)
                await asyncio.sleep(RETRY_SECONDS)

    async def _list(self) -> str:
        listed = await self._connection.request("GET", path_of(self.kind))
        found = {_key(item): item for item in listed["items"]}
        for key in [key for key in self._objects if key not in found]:
            self._put(key, None)
        for key, item in found.items():
            self._put(key, item)
        return str(listed["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> None:
        while True:
            lines = await self._connection.watch(path_of(self.kind), version)
            try:
                while (event := await lines.next()) is not None:
                    if event["type"] == "ERROR":
                        return
                    version = str(event["object"]["metadata"]["resourceVersion"])
                    if event["type"] != "BOOKMARK":
                        gone = event["type"] == "DELETED"
                        self._put(_key(event["object"]), None if gone else event["object"])
            finally:
                lines.close()

    def _put(self, key: tuple[str, str], item: Object | None) -> None:
        old = self._objects.get(key)
        if item is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = item
        if old != item:
            self._changed(old, item)


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
