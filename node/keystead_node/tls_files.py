"""The files of a node's certificates, and a context to dial with. Light: programs beside the node start with it."""

import ssl
from pathlib import Path
from typing import Final

CA_FILE: Final = "ca.crt"
CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"


class FilesUnusable(Exception):
    """The message says which files, and why."""


def fill(context: ssl.SSLContext, directory: Path) -> None:
    """Gives the context what it shows and what it trusts. Raises FilesUnusable."""
    try:
        context.load_verify_locations(directory / CA_FILE)
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
    except ssl.SSLError as error:
        raise FilesUnusable(f"the certificates of {directory}: {error.reason or error}") from error
    except OSError as error:
        raise FilesUnusable(f"the certificates of {directory}: {error.strerror or error}") from error


def dialling_context(directory: Path) -> ssl.SSLContext:
    """For connections to nodes: they are to be called with the nodes' common name as `server_hostname`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    fill(context, directory)
    return context
