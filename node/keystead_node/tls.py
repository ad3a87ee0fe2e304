"""TLS of a node's three ports, and of the connections that it dials.

    peer    both ends show a certificate that ca.crt verifies and that bears the fixed name, whatever their addresses
    admin   a client may show one; what it may ask then is the admin port's matter (`may_command`)
    API     the node shows its certificate, clients show none

The files are looked at every few seconds and read again when they change, for the handshakes that begin after that;
connections that are open stay. ca.crt may hold several authorities, so that one can take the place of another. Files
that do not fit together, as in the middle of a change, are left for the next look; the last good ones serve meanwhile.
"""

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from keystead_node.config import TlsConfig
from keystead_node.tls_files import dialling_context, fill
from keystead_node.watched_files import WatchedFiles

HANDSHAKE_SECONDS_MAX: Final = 5.0
SAME_LINE_SECONDS: Final = 10.0
log = structlog.get_logger("tls")

PeerCertificate = Mapping[str, Any]
"""A verified certificate as ssl.SSLSocket.getpeercert gives it."""


class Door(ssl.SSLContext):
    """What a listening port is given: handshakes are made by the context that is in force when they begin."""

    in_force: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self.in_force.wrap_bio(*arguments, **options)


class Tls:
    """The node's certificates. Raises FilesUnusable where the first ones cannot be read."""

    def __init__(self, config: TlsConfig) -> None:
        self.config = config
        self.peer_door, self.admin_door, self.api_door = (Door(ssl.PROTOCOL_TLS_SERVER) for _ in range(3))
        self.dialling: ssl.SSLContext
        self._directory = Path(config.dir)
        self.files = WatchedFiles(self._directory, "certificates", self._load)

    def _load(self) -> None:
        """All four contexts, or none."""
        peer = self._context("peer port", ssl.CERT_REQUIRED)
        admin = self._context("admin port", ssl.CERT_OPTIONAL)
        api = self._context("API port", ssl.CERT_NONE)
        self.dialling = dialling_context(self._directory)
        for door, context in ((self.peer_door, peer), (self.admin_door, admin), (self.api_door, api)):
            door.in_force = context

    def _context(self, port: str, clients: ssl.VerifyMode) -> ssl.SSLContext:
        context = _PortContext(ssl.PROTOCOL_TLS_SERVER)
        context.port = port
        context.sslobject_class = _LoggedHandshake
        context.verify_mode = clients
        fill(context, self._directory)
        if clients != ssl.CERT_NONE:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0  # a resumed session would not be verified again
        return context


def is_peer(config: TlsConfig, certificate: PeerCertificate | None) -> bool:
    """Whether a node of this cluster has shown it."""
    return config.peer_name in _names(certificate)


def may_command(config: TlsConfig, certificate: PeerCertificate | None) -> bool:
    """Whether the operator or a node has shown it."""
    return not _names(certificate).isdisjoint((config.peer_name, config.operator_name))


def _names(certificate: PeerCertificate | None) -> set[str]:
    return {name for kind, name in (certificate or {}).get("subjectAltName", ()) if kind == "DNS"}


class _PortContext(ssl.SSLContext):
    port = ""


_told: dict[str, float] = {}


class _LoggedHandshake(ssl.SSLObject):
    """Says why a handshake was refused: event loops keep that to themselves."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise  # not over, or given up by the other end
        except ssl.SSLError as error:
            port = getattr(self.context, "port", "")
            tell_refused(f"{port} refused a connection", reason_of(error))
            raise


def reason_of(error: ssl.SSLError) -> str:
    """In words: 'certificate has expired', 'peer did not return a certificate'."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).replace("_", " ").lower()


def tell_refused(what: str, reason: str) -> None:
    """A log line; the same one at most once in a while, because who is refused comes again."""
    now = time.monotonic()
    if now - _told.get(what + reason, -SAME_LINE_SECONDS) >= SAME_LINE_SECONDS:
        if len(_told) > 1000:
            _told.clear()
        _told[what + reason] = now
        log.warning(what, reason=reason)
