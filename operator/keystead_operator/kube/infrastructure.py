"""Brings the objects around the pods to what they should be: those that are not as they were applied last, and now
and then all of them, so that what somebody else changed or deleted is put right."""

import hashlib
import time
from typing import Final

import msgspec
import structlog

from keystead_operator.kube.client import KubeClient
from keystead_operator.manifests.accounts import catalog_lease, role, role_binding, service_account
from keystead_operator.manifests.config import config_map
from keystead_operator.manifests.frame import Frame, Manifest
from keystead_operator.manifests.policies import network_policy
from keystead_operator.manifests.services import client_service, peers_service

REPEAT_SECONDS: Final = 900.0

log = structlog.get_logger("objects")


def common_objects(frame: Frame) -> list[Manifest]:
    """What a cluster has once, but for its pods, volumes and Secrets."""
    return [
        service_account(frame),
        role(frame),
        role_binding(frame),
        catalog_lease(frame),
        config_map(frame),
        client_service(frame),
        peers_service(frame),
        network_policy(frame),
    ]


class Applier:
    """Applies manifests of one cluster, each only when it is news."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._applied: dict[tuple[str, str], tuple[str, float]] = {}

    async def apply(self, manifest: Manifest) -> None:
        """Raises KubeError."""
        key = (manifest["kind"], manifest["metadata"]["name"])
        content = hashlib.sha256(msgspec.json.encode(manifest, order="deterministic")).hexdigest()
        known, at = self._applied.get(key, ("", 0.0))
        now = time.monotonic()
        if known == content and now - at < REPEAT_SECONDS:
            return
        await self._client.apply(manifest)
        self._applied[key] = (content, now)
        if known != content:
            log.info("applied", kind=key[0], name=key[1])
