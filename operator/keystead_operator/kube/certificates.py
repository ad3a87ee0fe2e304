"""The cluster's certificates as Secrets, and the operator's way to the nodes' admin ports with them."""

import base64
import ssl
import time
from datetime import UTC, datetime
from typing import Final

import structlog

from keystead_operator.admin_client import admin_tls
from keystead_operator.kube.authority import (
    CA_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    CertificateFiles,
    Files,
    renewed,
)
from keystead_operator.kube.client import KubeClient, NotFound
from keystead_operator.kube.kinds import SECRET
from keystead_operator.manifests.config import secret
from keystead_operator.manifests.frame import Frame
from keystead_operator.substrate import ActionFailed

CHECK_SECONDS: Final = 600.0
"""How often the Secrets are read again: for a renewal that is due, and for what others did to them."""

log = structlog.get_logger("certificates")


class Certificates:
    """Of one cluster. `context` is what the operator reaches nodes with; None where TLS is off."""

    def __init__(self, client: KubeClient) -> None:
        self.context: ssl.SSLContext | None = None
        self._client = client
        self._held: Files = {}
        self._checked_at = float("-inf")
        self._checked_for: tuple[bool, str] | None = None

    async def ensure(self, frame: Frame) -> bool:
        """Brings the Secrets to what they should hold now; whether `context` is another one than before.

        Raises KubeError, ActionFailed.
        """
        asked = (frame.encrypted, frame.tls_secret)
        now = time.monotonic()
        if self._checked_for == asked and now - self._checked_at < CHECK_SECONDS:
            return False
        files = await self._files(frame) if frame.encrypted else {}
        self._checked_for, self._checked_at = asked, now
        if files == self._held and (self.context is not None) == frame.encrypted:
            return False
        self.context = self._context(frame, files) if frame.encrypted else None
        self._held = files
        return True

    def _context(self, frame: Frame, files: Files) -> ssl.SSLContext:
        try:
            return admin_tls(files[CA_FILE], files[CERTIFICATE_FILE], files[KEY_FILE], frame.peer_name).context
        except ssl.SSLError as problem:
            raise ActionFailed(f"the operator's certificate cannot be used: {problem}") from problem

    async def _files(self, frame: Frame) -> Files:
        """What the operator proves itself with. A given issuer's Secret serves nodes and operator alike."""
        if "issuerSecretRef" in frame.spec["tls"]:
            files = await self._read(frame, frame.tls_secret)
            missing = [name for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE) if name not in files]
            if missing:
                raise ActionFailed(f"the Secret {frame.tls_secret} of the issuer lacks {', '.join(missing)}")
            return files
        names = (f"{frame.cluster}-ca", f"{frame.cluster}-tls", f"{frame.cluster}-operator-tls")
        authority, node, operator = [await self._read(frame, name) for name in names]
        made = renewed(CertificateFiles(authority, node, operator), frame.cluster, frame.namespace, datetime.now(UTC))
        pairs = zip(names, (authority, node, operator), (made.authority, made.node, made.operator), strict=True)
        for name, held, wanted in pairs:
            if held != wanted:
                await self._client.apply(secret(frame, name, wanted))
                log.info("certificates written", secret=name)
        return made.operator

    async def _read(self, frame: Frame, name: str) -> Files:
        try:
            found = await self._client.get(SECRET, frame.namespace, name)
        except NotFound:
            return {}
        return {key: base64.b64decode(content) for key, content in (found.get("data") or {}).items()}
