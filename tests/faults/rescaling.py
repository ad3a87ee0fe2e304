"""Nodes that come and go under load while masters are killed: what must hold, and what is counted.

The moves are counted by the ids that the catalog has minted: it gives one to every replica in a new place, in order, so
that none is made unseen.
"""

import contextlib
import itertools
import json
import random
import threading
import time
import urllib.request
from collections import deque
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import yaml

from keystead_core.ids import NodeId
from keystead_core.ledger import PlacementRule, Site
from keystead_core.rebalance import plan_moves
from tests.faults.cluster import Cluster
from tests.faults.load import Load
from tests.placement.node_changes import make_entry

REPLICAS = 3
KILL_SECONDS = 10.0
LOOK_SECONDS = 0.2
RESCALED_SECONDS_MAX = 240.0
SERVICE_SECONDS_MAX = 60.0
WAYS = 2
"""How often a client asks every node before it gives up."""


def make_client(endpoint: str) -> Any:
    """The AWS SDK with its own retries, as an application has it."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"max_attempts": 8, "mode": "standard"}, read_timeout=10),
    )


def item(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"k{number:06}"}, "n": {"N": str(number)}}


class Ticker(threading.Thread):
    """Does something now and then until it is stopped; what it raises, `stop` raises."""

    def __init__(self, seconds: float) -> None:
        super().__init__(daemon=True)
        self._seconds = seconds
        self._ended = threading.Event()
        self._crash: BaseException | None = None

    def tick(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.tick()
            except BaseException as problem:
                self._crash = problem
                return

    def stop(self) -> None:
        self._ended.set()
        self.join(60)
        assert not self.is_alive(), f"{type(self).__name__} does not stop"
        if self._crash is not None:
            raise self._crash


class Writer(Ticker):
    """Puts items until it is stopped, each under a new key; notes those that were acknowledged, and what the SDK told
    after its retries. Where a node cannot be reached it asks the next one, as a client behind a Service does."""

    def __init__(self, endpoints: list[str], table: str) -> None:
        super().__init__(seconds=0.02)
        self.acknowledged: list[int] = []
        self.refused: list[str] = []
        self._clients, self._table = deque(make_client(endpoint) for endpoint in endpoints), table
        self._numbers = itertools.count()

    def tick(self) -> None:
        number, problem = next(self._numbers), ""
        for _ in range(WAYS * len(self._clients)):
            try:
                self._clients[0].put_item(TableName=self._table, Item=item(number))
            except botocore.exceptions.ClientError as refusal:
                self.refused.append(str(refusal))
                return
            except botocore.exceptions.BotoCoreError as unreachable:
                problem = str(unreachable)
                self._clients.rotate()
            else:
                self.acknowledged.append(number)
                return
        self.refused.append(problem)

    def check(self, endpoints: list[str]) -> None:
        """Every client got what it asked for, and every node shows it."""
        assert len(self.acknowledged) > 50 and self.refused == [], self.refused[:3]
        for endpoint in endpoints:
            pages = make_client(endpoint).get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
            found = {row["pk"]["S"] for page in pages for row in page["Items"]}
            lost = [number for number in self.acknowledged if item(number)["pk"]["S"] not in found]
            assert not lost, f"{endpoint} lacks {lost[:5]}"


def groups(cluster: Cluster, table: str) -> dict[int, set[str]]:
    """Partition -> the names of the nodes that hold its replicas."""
    return {one["id"]: {replica["node"] for replica in one["replicas"]} for one in cluster.partitions(table)}


def zones(cluster: Cluster) -> dict[str, str]:
    return {node["name"]: node["zone"] for node in cluster.status()["nodes"]}


def least_moves(before: dict[int, set[str]], wanted: dict[str, str]) -> int:
    """Below that no plan levels the groups over the nodes `wanted` (name -> zone)."""
    entries = [make_entry(number, [NodeId(name) for name in sorted(nodes)]) for number, nodes in before.items()]
    sites = [Site(NodeId(name), zone, name, True) for name, zone in wanted.items()]
    return plan_moves(entries, sites, PlacementRule()).moves_min


def declare(cluster: Cluster, nodes: int, *remove: str, replicas: int = REPLICAS) -> None:
    """Asks for so many nodes, and for these to go."""
    [manifest] = yaml.safe_load(cluster.cli("get", "clusters", "-o", "json"))["items"]
    spec = {**manifest["spec"], "nodes": nodes, "removeNodes": list(remove)}
    spec["replication"] = {**spec["replication"], "replicas": replicas}
    manifest = {
        **{field: manifest[field] for field in ("apiVersion", "kind")},
        "metadata": {"name": manifest["metadata"]["name"]},
        "spec": spec,
    }
    cluster.cli("apply", "-f", "-", stdin=yaml.safe_dump(manifest))


def latest_map(cluster: Cluster) -> dict[str, Any]:
    """The newest that any node has. Raises AssertionError if none answers."""
    found: list[dict[str, Any]] = []
    for name in cluster.names():
        with (
            contextlib.suppress(OSError, ValueError, StopIteration),  # A node that goes may be gone by now.
            urllib.request.urlopen(f"http://{cluster.admin_address(name)}/map", timeout=2) as answer,
        ):
            found.append(json.load(answer))
    assert found, "no node has a map"
    return max(found, key=lambda one: int(one["version"]))


def entries(cluster: Cluster, table: str) -> list[dict[str, Any]]:
    """The partitions of a table, or of what holds an index, in the newest map that a node has."""
    return _entries(latest_map(cluster), table)


class Killer(Ticker):
    """kill -9 of the master's node of some partition, one at a time: where the last one takes longer than usual to be
    started again, the next one waits for that. `killed`: names, in order."""

    def __init__(self, cluster: Cluster, table: str, seed: int, seconds: float = KILL_SECONDS) -> None:
        super().__init__(seconds)
        self.killed: list[str] = []
        self._cluster, self._table, self._rng = cluster, table, random.Random(seed)

    def tick(self) -> None:
        status = self._cluster.status()
        back = {node["name"] for node in status["nodes"] if node["state"] == "active"}
        if self.killed and self.killed[-1] in self._cluster.names() and self.killed[-1] not in back:
            return
        masters = [one["master"] for one in self._cluster.partitions(self._table) if one["master"] in back]
        if masters:
            name = self._rng.choice(masters)
            # A node that goes may be gone by now.
            with contextlib.suppress(ProcessLookupError):
                self._cluster.kill(name)
                self.killed.append(name)


class Moves(Ticker):
    """The replicas that are made from now on.

    A node that is away for long gets a log-only replica in its stead, and a new one of its own when it is back: that is
    a repair, no move. So a move is a group's first replica on a node that held none of it when this began. An id that
    no map has shown counts as one too. `stand_ins`: the log-only replicas; a group that had one may need a move more.
    """

    def __init__(self, cluster: Cluster, table: str) -> None:
        super().__init__(LOOK_SECONDS)
        self._cluster, self._table = cluster, table
        found = latest_map(cluster)
        self.before = {entry["id"]: _nodes(entry["target"]) for entry in _entries(found, table)}
        self._first = max(_ids(found), default=0)
        self._seen: dict[int, tuple[int, str] | None] = {}
        self._stand_ins: set[int] = set()
        self._shown: dict[str, float] = {}
        self._began = time.monotonic()

    def tick(self) -> None:
        with contextlib.suppress(AssertionError):
            self._note(latest_map(self._cluster))

    def count(self) -> int:
        """Moves of the table's replicas, when the last map is looked at too."""
        self._note(latest_map(self._cluster))
        last = max(self._seen, default=self._first)
        unseen = set(range(self._first + 1, last + 1)) - self._seen.keys()
        return len(unseen) + len({place for place in self._seen.values() if place is not None})

    @property
    def stand_ins(self) -> int:
        return len(self._stand_ins)

    def story(self) -> str:
        """What was wanted where, as it came: seconds, partition, replicas."""
        return "\n".join(f"{seconds:6.1f} s  {line}" for line, seconds in self._shown.items())

    def _note(self, found: dict[str, Any]) -> None:
        names = {node["id"]: node["name"] for node in found["nodes"].values()}
        for entry in found["partitions"].values():
            here = self.before.get(entry["id"], set())
            wanted = [f"{place['replica']} {place['role']} on {names[place['node']]}" for place in entry["target"]]
            self._shown.setdefault(
                f"{entry['table']}/{entry['id']}: {', '.join(wanted)}", time.monotonic() - self._began
            )
            for place in (*entry["target"], *entry["members"]):
                if place["replica"] > self._first:
                    is_ours = entry["table"] == self._table
                    is_move = is_ours and place["role"] == "voter" and place["node"] not in here
                    self._seen[place["replica"]] = (entry["id"], place["node"]) if is_move else None
                    if is_ours and place["role"] == "log-only":
                        self._stand_ins.add(place["replica"])


def _moved(before: dict[int, set[str]], now: dict[int, set[str]]) -> int:
    return sum(len(nodes - before[number]) for number, nodes in now.items())


def _entries(found: dict[str, Any], table: str) -> list[dict[str, Any]]:
    return [entry for entry in found["partitions"].values() if entry["table"] == table]


def _nodes(places: list[dict[str, Any]]) -> set[str]:
    return {place["node"] for place in places}


def _ids(found: dict[str, Any]) -> list[int]:
    return [place["replica"] for entry in found["partitions"].values() for place in entry["target"]]


class Rescaling:
    """A table under load, by clients whose history is checked and by an SDK with its retries, over nodes that change.

    `staying`: nodes that are there all the while. `with Rescaling(...) as run: run.to(6)`; then `run.check()`.
    """

    def __init__(self, cluster: Cluster, table: str, seed: int, staying: list[str]) -> None:
        self.cluster, self.table = cluster, table
        self.load = Load(cluster.endpoints(), table, keys=8, writers=1, readers=1, pause_ms=20)
        self.writer = Writer([cluster.endpoint(name) for name in staying], table)
        self.killer = Killer(cluster, table, seed)

    def __enter__(self) -> "Rescaling":
        self.load.__enter__()
        self.writer.start()
        self.load.wait_for_service(SERVICE_SECONDS_MAX)
        self.killer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.killer.stop()
        self.load.wait_for_service(SERVICE_SECONDS_MAX)
        self.writer.stop()
        self.load.stop()

    def to(self, nodes: int, *remove: str) -> int:
        """Brings the cluster to so many nodes; how many moves it took: the fewest that do, as far as no node was away
        for so long that others stood in for it. Raises AssertionError."""
        before = groups(self.cluster, self.table)
        moves = Moves(self.cluster, self.table)
        moves.start()
        declare(self.cluster, nodes, *remove)
        self.cluster.wait_until(f"{nodes} nodes", lambda: self._stands_on(nodes, remove), RESCALED_SECONDS_MAX)
        wanted = zones(self.cluster)
        least = least_moves(before, wanted)
        self.cluster.wait_until(f"level on {nodes}", lambda: self._is_done(before, least), RESCALED_SECONDS_MAX)
        moves.stop()
        made = moves.count()
        is_least = least <= made <= least + moves.stand_ins
        assert is_least, f"{made} moves, {least} are the least, {moves.stand_ins} stand-ins:\n{moves.story()}"
        return made

    def _stands_on(self, nodes: int, remove: tuple[str, ...]) -> bool:
        names = set(zones(self.cluster))
        self.load.endpoints = self.cluster.endpoints()
        return len(names) == nodes and not names & set(remove)

    def _is_done(self, before: dict[int, set[str]], least: int) -> bool:
        """Every group is whole and level, and as many replicas are elsewhere as have to be."""
        partitions = self.cluster.partitions(self.table)
        held = {one["id"]: {replica["node"] for replica in one["replicas"]} for one in partitions}
        whole = all(len(nodes) == REPLICAS for nodes in held.values()) and self.cluster.are_level(partitions)
        return whole and _moved(before, held) >= least

    def check(self) -> None:
        """Nothing that was acknowledged is lost, the history is linearizable, and clients were told only what the SDK
        tries again: nodes that cannot be reached, and outcomes that nobody knows."""
        self.load.read_back(SERVICE_SECONDS_MAX)
        self.load.check()
        told = [error for error in self.load.errors if ":" in error]
        wrong = [error for error in told if not error.startswith(("InternalServerError", "ServiceUnavailable"))]
        assert not wrong, dict(self.load.errors)
        self.writer.check(self.cluster.endpoints())


def rescale_for(cluster: Cluster, table: str, sizes: list[tuple[int, ...]], seed: int) -> str:
    """Through all these sizes (nodes, then the numbers of such as are to go) under load and kills; checks everything.
    What was done, in words. Raises AssertionError."""
    found = []
    going = {f"node-{number}" for _, *remove in sizes for number in remove}
    with Rescaling(cluster, table, seed, [name for name in cluster.names() if name not in going]) as run:
        for nodes, *remove in sizes:
            began = time.monotonic()
            moves = run.to(nodes, *(f"node-{number}" for number in remove))
            found.append(words := f"to {nodes} nodes: {moves} moves in {time.monotonic() - began:.0f} s")
            print(f"\n{words}", flush=True)
    run.check()
    killed = f"killed {', '.join(run.killer.killed)}"
    return f"{'; '.join(found)}; {killed}; {run.load.summary()}; {dict(run.load.errors)}"
