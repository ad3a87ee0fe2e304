"""What was seen: the later view wins, other objects of a name are told apart, and lists find what vanished."""

from typing import Any

from keystead_operator.kube.cache import Cache
from keystead_operator.kube.kinds import POD, TABLE


def table(name: str = "orders", uid: str = "u1", version: int = 1, cluster: str = "keystead") -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": "Table", "metadata": metadata, "spec": {"clusterRef": {"name": cluster}}}


def test_news_give_the_key_of_the_cluster() -> None:
    cache = Cache()
    assert cache.see(TABLE, table()) == ("shop", "keystead")
    assert [seen.head.name for seen in cache.tables.of_cluster(("shop", "keystead"))] == ["orders"]


def test_what_is_known_already_is_no_news() -> None:
    cache = Cache()
    cache.see(TABLE, table(version=7))
    assert cache.see(TABLE, table(version=7)) is None


def test_earlier_view_of_an_object_does_not_replace_a_later_one() -> None:
    cache = Cache()
    cache.see(TABLE, table(version=10))
    assert cache.see(TABLE, table(version=9)) is None
    found = cache.tables.get(("shop", "orders"))
    assert found is not None
    assert found.head.resource_version == "10"


def test_object_made_again_under_the_name_replaces_the_old_one() -> None:
    cache = Cache()
    cache.see(TABLE, table(uid="u1", version=10))
    assert cache.see(TABLE, table(uid="u2", version=12)) == ("shop", "keystead")


def test_late_deletion_of_the_old_object_does_not_drop_the_new_one() -> None:
    cache = Cache()
    cache.see(TABLE, table(uid="u2", version=12))
    assert cache.forget(TABLE, table(uid="u1", version=11)) is None
    assert cache.tables.get(("shop", "orders")) is not None


def test_list_drops_what_vanished_while_nobody_watched() -> None:
    cache = Cache()
    cache.see(TABLE, table("orders"))
    cache.see(TABLE, table("carts", uid="u2"))
    before = cache.known(TABLE)
    assert cache.settle(TABLE, before, [("shop", "carts")]) == [("shop", "keystead")]
    assert cache.tables.get(("shop", "orders")) is None
    assert cache.tables.get(("shop", "carts")) is not None


def test_list_does_not_drop_what_was_made_while_it_was_read() -> None:
    cache = Cache()
    before = cache.known(TABLE)
    cache.see(TABLE, table("orders"))
    assert cache.settle(TABLE, before, []) == []
    assert cache.tables.get(("shop", "orders")) is not None


def test_list_does_not_drop_what_was_made_again_meanwhile() -> None:
    cache = Cache()
    cache.see(TABLE, table(uid="u1", version=1))
    before = cache.known(TABLE)
    cache.see(TABLE, table(uid="u2", version=2))
    assert cache.settle(TABLE, before, []) == []


def test_pods_of_others_are_not_kept() -> None:
    cache = Cache()
    metadata = {"namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "1"}
    assert cache.see(POD, {"metadata": metadata, "spec": {}}) is None
    assert cache.pods.all() == []
