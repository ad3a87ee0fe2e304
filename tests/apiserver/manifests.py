"""Manifests that tests begin with and change."""

from copy import deepcopy
from typing import Any

from tests.apiserver.rest import Object


def cluster(name: str = "keystead", **spec: Any) -> Object:
    """A StorageCluster that lets everybody in, unless credentials are given; what else is not given has the default."""
    return {
        "apiVersion": "keystead.io/v1alpha1",
        "kind": "StorageCluster",
        "metadata": {"name": name},
        "spec": {"credentials": {"insecureNoAuth": True}, **spec},
    }


def table(name: str = "orders", **spec: Any) -> Object:
    """A Table with one string key, `id`."""
    return {
        "apiVersion": "keystead.io/v1alpha1",
        "kind": "Table",
        "metadata": {"name": name},
        "spec": {"attributes": [{"name": "id", "type": "S"}], "keySchema": {"hashKey": "id"}, **spec},
    }


def changed(manifest: Object, path: str, value: Any) -> Object:
    """A copy in which the field at the dotted path is set, or taken away for None."""
    copied = deepcopy(manifest)
    *parents, last = path.split(".")
    place = copied
    for name in parents:
        place = place.setdefault(name, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return copied
