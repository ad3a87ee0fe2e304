"""The clients of the end-to-end tests: a program that runs in a pod and is told what to do over HTTP.

It runs in the image under test, over the same `Load` as the fault tests, with these files mounted. Its times are of the
machine's monotonic clock, which pods share with the test process.

    POST /start    {endpoint, table, name, ca, ...options of Load}: starts clients; `ca`: whom to trust, PEM
    POST /trust    {ca}: trusts these authorities too from now on
    GET  /state    counts and errors of the run, and when each key was last written
    POST /stop     {seconds}: stops the clients, reads every key once more; 503 and the reason if one does not answer
    GET  /history  what the clients saw: a list of operations
    POST /call     {endpoint, ca, operation, body}: one request of the API; its status and answer
"""

import argparse
import asyncio
import itertools
import ssl
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from tests.faults.load import HEADERS, Load

OPTIONS = ("keys", "writers", "readers", "pause_ms", "deletes", "value_bytes")


def trust(ca: str) -> ssl.SSLContext | None:
    """A context that believes certificates of these authorities and no others; None without any."""
    if not ca:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca)
    return context


class Clients:
    """At most one run at a time; the last one's history stays until the next starts."""

    def __init__(self) -> None:
        self.load: Load | None = None

    async def start(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if self.load is not None:
            await asyncio.to_thread(self.load.stop)
        options = {name: wanted[name] for name in OPTIONS if name in wanted}
        context = trust(wanted["ca"])
        self.load = Load([wanted["endpoint"]], wanted["table"], name=wanted["name"], trust=context, **options)
        self.load.__enter__()
        return _json({"keys": self.load.keys})

    async def trust_more(self, request: web.Request) -> web.Response:
        load = self._running()
        if load.trust is not None:
            load.trust.load_verify_locations(cadata=(await request.json())["ca"])
        return _json({})

    async def state(self, request: web.Request) -> web.Response:
        load = self._running()
        last = dict.fromkeys(load.keys, 0)
        # From the end: the newest write of each key is near.
        for operation in itertools.islice(reversed(list(load.history)), 5000):
            if operation.kind == "write" and operation.outcome == "ok":
                last[operation.key] = max(last[operation.key], operation.invoked)
        answer = {
            "operations": len(load.history),
            "errors": dict(load.errors),
            "last_write": last,
            "crash": repr(load.crash) if load.crash else "",
        }
        return _json(answer)

    async def stop(self, request: web.Request) -> web.Response:
        load = self._running()
        seconds = float((await request.json())["seconds"])
        try:
            await asyncio.to_thread(load.stop)
            await asyncio.to_thread(load.read_back, seconds)
        except AssertionError as problem:
            return _json({"problem": str(problem)}, 503)
        return _json({"errors": dict(load.errors)})

    async def history(self, request: web.Request) -> web.Response:
        return _json(self._running().history)

    async def call(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{wanted['operation']}"}
        timeout = aiohttp.ClientTimeout(total=10)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    wanted["endpoint"],
                    data=msgspec.json.encode(wanted["body"]),
                    headers=headers,
                    ssl=trust(wanted["ca"]) or True,
                ) as answer,
            ):
                return _json({"status": answer.status, "answer": msgspec.json.decode(await answer.read())})
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as problem:
            return _json({"status": 0, "answer": {"message": f"{type(problem).__name__}: {problem}"}})

    def _running(self) -> Load:
        if self.load is None:
            raise web.HTTPConflict(text="no run was started")
        return self.load


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    clients = Clients()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes(
        [
            web.post("/start", clients.start),
            web.post("/trust", clients.trust_more),
            web.get("/state", clients.state),
            web.post("/stop", clients.stop),
            web.get("/history", clients.history),
            web.post("/call", clients.call),
        ]
    )
    web.run_app(app, port=parser.parse_args().port, access_log=None, print=None)


if __name__ == "__main__":
    main()
