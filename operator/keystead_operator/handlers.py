"""What kopf is for here: it watches, and these handlers hand what it saw to `Intake`. They do nothing else.

No handler changes anything at the API server; kopf puts no finalizers or annotations on what it only watches. kopf runs
in a thread with an event loop of its own: when it ends, it cancels every task of its loop, and none of those is ours.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

import kopf

from keystead_operator.kube.config import KubeConfig
from keystead_operator.kube.kinds import CLAIM, POD, STORAGE_CLUSTER, TABLE, Kind
from keystead_operator.kube.resync import OURS

PAGE_SIZE: Final = 250
IDLE_SECONDS: Final = 0.2
CONNECT_SECONDS: Final = 10.0

WATCHED: Final = (STORAGE_CLUSTER, TABLE, POD, CLAIM)


Intake = Callable[[Kind, dict[str, Any]], None]
"""Takes a watch event of a kind: {type: None | ADDED | MODIFIED | DELETED, object: manifest}. From any thread."""


def watch(config: KubeConfig, namespaces: list[str], intake: Intake, stop: threading.Event) -> None:
    """kopf's watches, until `stop` is set; `namespaces` []: all. Blocks. Raises whatever the watches met."""
    asyncio.run(
        kopf.operator(
            registry=registry_for(config, intake),
            settings=kopf_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop,
        )
    )


def registry_for(config: KubeConfig, intake: Intake) -> kopf.OperatorRegistry:
    """The handlers."""
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
        kopf.on.event(group, version, kind.plural, registry=registry)(_handler(kind, intake))
    return registry


def _handler(kind: Kind, intake: Intake) -> Callable[..., Any]:
    async def on_event(event: dict[str, Any], **_: Any) -> None:
        intake(kind, event)

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
