"""The environment of a container, from its spec: literal values, fields of the pod, ConfigMaps and Secrets."""

import os

from tests.apiserver.kubelet.containers import PROGRAMS, PYTHON_CACHE
from tests.apiserver.kubelet.volumes import Sources, VolumeNotReady, field_of
from tests.apiserver.rest import Object


def environment(container: Object, pod: Object, sources: Sources, api_server: str) -> dict[str, str]:
    """`pod` has its address already. Raises VolumeNotReady where something that it refers to is not there."""
    host, _, port = api_server.removeprefix("https://").partition(":")
    env = {
        "PATH": f"{PROGRAMS}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": "/tmp",
        "HOSTNAME": pod["metadata"]["name"],
        "PYTHONPYCACHEPREFIX": str(PYTHON_CACHE),
        "LANG": "C.UTF-8",
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
    }
    for source in container.get("envFrom") or []:
        kind, name, optional = _reference(source, "configMapRef", "secretRef", "name")
        data = sources.data_of(kind, name, optional)
        env |= {source.get("prefix", "") + key: value.decode() for key, value in data.items()}
    for one in container.get("env") or []:
        value = _value(one, pod, sources)
        # Pods have addresses of their own here, but share the loopback's others.
        if value is not None and one["name"] != "KEYSTEAD_LOCAL":
            env[one["name"]] = value
    return env


def _value(one: Object, pod: Object, sources: Sources) -> str | None:
    source = one.get("valueFrom")
    if source is None:
        return str(one.get("value", ""))
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    if "configMapKeyRef" in source or "secretKeyRef" in source:
        kind, name, optional = _reference(source, "configMapKeyRef", "secretKeyRef", "name")
        key = (source.get("configMapKeyRef") or source["secretKeyRef"])["key"]
        data = sources.data_of(kind, name, optional)
        if key not in data and not optional:
            raise VolumeNotReady(f"couldn't find key {key} in {kind} {name}")
        return data[key].decode() if key in data else None
    raise VolumeNotReady(f"the test kubelet does not know {sorted(source)}")


def _reference(source: Object, config_map: str, secret: str, name: str) -> tuple[str, str, bool]:
    kind, found = ("ConfigMap", source[config_map]) if config_map in source else ("Secret", source[secret])
    return kind, found[name], bool(found.get("optional", False))
