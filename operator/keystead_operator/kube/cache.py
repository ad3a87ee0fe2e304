"""What was last seen of the objects, by kind; the reconcile loop reads nothing else of them.

Fed by watch events, by the answers to our own writes, and by the periodic list (which also finds what a watch missed).
"""

from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar, assert_never

from keystead_operator.kube.kinds import CLAIM, POD, STORAGE_CLUSTER, TABLE, Kind
from keystead_operator.kube.seen import Head, Json, Key, Seen, SeenClaim, SeenCluster, SeenPod, SeenTable, cluster_key

READERS: Final[dict[str, Callable[[Json], Seen]]] = {
    STORAGE_CLUSTER.kind: SeenCluster.of,
    TABLE.kind: SeenTable.of,
    POD.kind: SeenPod.of,
    CLAIM.kind: SeenClaim.of,
}


S = TypeVar("S", SeenCluster, SeenTable, SeenPod, SeenClaim)


class Store(Generic[S]):
    """The objects of one kind, also by the cluster that they belong to."""

    def __init__(self) -> None:
        self._all: dict[Key, S] = {}
        self._of_cluster: dict[Key, dict[str, S]] = {}

    def get(self, key: Key) -> S | None:
        return self._all.get(key)

    def of_cluster(self, key: Key) -> list[S]:
        """In the order of their names."""
        found = self._of_cluster.get(key, {})
        return [found[name] for name in sorted(found)]

    def all(self) -> list[S]:
        return list(self._all.values())

    def put(self, seen: S) -> bool:
        """Keeps what was seen, unless something later is known; whether it changed anything."""
        key = seen.head.key
        known = self._all.get(key)
        if known is not None:
            if known.head.uid == seen.head.uid and known.head.order >= seen.head.order:
                return False
            self._unlink(known)
        self._all[key] = seen
        self._of_cluster.setdefault(cluster_key(seen), {})[seen.head.name] = seen
        return True

    def drop(self, key: Key, uid: str) -> S | None:
        """Forgets that very object; gives what was known of it."""
        known = self._all.get(key)
        if known is None or known.head.uid != uid:
            return None
        del self._all[key]
        self._unlink(known)
        return known

    def _unlink(self, known: S) -> None:
        key = cluster_key(known)
        siblings = self._of_cluster[key]
        del siblings[known.head.name]
        if not siblings:
            del self._of_cluster[key]


class Cache:
    """`synced`: every kind was listed once, so that an object that is not here does not exist. `refused`: the kinds
    that may not be listed any more, and what the API server said; what is known of them grows old."""

    def __init__(self) -> None:
        self.clusters: Store[SeenCluster] = Store()
        self.tables: Store[SeenTable] = Store()
        self.pods: Store[SeenPod] = Store()
        self.claims: Store[SeenClaim] = Store()
        self.synced = False
        self.refused: dict[Kind, str] = {}

    def see(self, kind: Kind, manifest: Json) -> Key | None:
        """Takes an object in; gives the key of the cluster that it concerns, if that was news."""
        seen = READERS[kind.kind](manifest)
        match seen:
            case SeenCluster():
                news = self.clusters.put(seen)
            case SeenTable():
                news = self.tables.put(seen)
            case SeenPod():
                news = bool(seen.cluster) and self.pods.put(seen)
            case SeenClaim():
                news = bool(seen.cluster) and self.claims.put(seen)
            case _:
                assert_never(seen)
        return cluster_key(seen) if news else None

    def forget(self, kind: Kind, manifest: Json) -> Key | None:
        """An object is gone; gives the key of the cluster that this concerns."""
        meta = manifest["metadata"]
        return self._drop(kind, (meta.get("namespace", ""), meta["name"]), meta["uid"])

    def known(self, kind: Kind) -> dict[Key, str]:
        """What is known now, with its uids: to be given to `settle` once a list that starts after this is complete."""
        return {head.key: head.uid for head in self._heads(kind)}

    def settle(self, kind: Kind, before: dict[Key, str], listed: Iterable[Key]) -> list[Key]:
        """Drops what was known before a list began and is not in it; gives the keys of the clusters concerned."""
        present = set(listed)
        dropped = (self._drop(kind, key, uid) for key, uid in before.items() if key not in present)
        return [key for key in dropped if key is not None]

    def _heads(self, kind: Kind) -> list[Head]:
        match kind.kind:
            case "StorageCluster":
                return [seen.head for seen in self.clusters.all()]
            case "Table":
                return [seen.head for seen in self.tables.all()]
            case "Pod":
                return [seen.head for seen in self.pods.all()]
            case _:
                return [seen.head for seen in self.claims.all()]

    def _drop(self, kind: Kind, key: Key, uid: str) -> Key | None:
        known: Seen | None
        match kind.kind:
            case "StorageCluster":
                known = self.clusters.drop(key, uid)
            case "Table":
                known = self.tables.drop(key, uid)
            case "Pod":
                known = self.pods.drop(key, uid)
            case _:
                known = self.claims.drop(key, uid)
        return cluster_key(known) if known is not None else None
