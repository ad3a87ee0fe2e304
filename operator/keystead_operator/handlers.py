"""What kopf is for here: it watches, and these handlers put what it saw into the cache and its key on our queue.

No handler changes anything at the API server; kopf puts no finalizers or annotations on what it only watches.
"""

from collections.abc import Callable
from typing import Any, Final

import kopf

from keystead_operator.kube.cache import Cache
from keystead_operator.kube.config import KubeConfig
from keystead_operator.kube.kinds import CLAIM, POD, STORAGE_CLUSTER, TABLE, Kind
from keystead_operator.kube.resync import OURS
from keystead_operator.kube.work_queue import WorkQueue

PAGE_SIZE: Final = 250
IDLE_SECONDS: Final = 0.2
CONNECT_SECONDS: Final = 10.0

WATCHED: Final = (STORAGE_CLUSTER, TABLE, POD, CLAIM)


def registry_for(config: KubeConfig, cache: Cache, queue: WorkQueue) -> kopf.OperatorRegistry:
    """The handlers of one operator process."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=config.server,
            ca_data=config.ca or None,
            insecure=config.insecure or None,
            token=config.bearer() or None,
            certificate_data=config.certificate or None,
            private_key_data=config.key or None,
            default_namespace=config.namespace,
        )

    for kind in WATCHED:
        group, _, version = kind.api_version.rpartition("/")
        kopf.on.event(group, version, kind.plural, registry=registry)(_intake(kind, cache, queue))
    return registry


def _intake(kind: Kind, cache: Cache, queue: WorkQueue) -> Callable[..., Any]:
    async def on_event(event: dict[str, Any], **_: Any) -> None:
        if event["type"] == "DELETED":
            key = cache.forget(kind, event["object"])
        else:
            key = cache.see(kind, event["object"])
        if key is not None:
            queue.add(key)

    on_event.__name__ = f"on_{kind.plural}"
    return on_event


def kopf_settings() -> kopf.OperatorSettings:
    """No events posted, no peering, no look at other kinds; lists in pages, and only our own pods and volumes."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.batching.idle_timeout = IDLE_SECONDS
    settings.watching.chunk_size = PAGE_SIZE
    settings.watching.connect_timeout = CONNECT_SECONDS
    for kind in (POD, CLAIM):
        settings.watching.label_selectors[kind.plural] = OURS
    return settings
