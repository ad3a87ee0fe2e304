"""Where the API server is, and how to prove who we are: from a kubeconfig file, or from the pod's ServiceAccount."""

import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """No API server can be reached with what there is; the message says why."""


class KubeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`server` is a URL. Certificates are PEM. `token_file` is read anew for each request: tokens rotate."""

    server: str
    namespace: str = "default"
    ca: bytes = b""
    insecure: bool = False
    token: str = ""
    token_file: str = ""
    certificate: bytes = b""
    key: bytes = b""

    def bearer(self) -> str:
        """The token as it is now; "" if there is none."""
        return Path(self.token_file).read_text().strip() if self.token_file else self.token

    def ssl_context(self) -> ssl.SSLContext | None:
        """None for a server without TLS."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            with tempfile.NamedTemporaryFile() as both:
                both.write(self.certificate + b"\n" + self.key)
                both.flush()
                context.load_cert_chain(both.name)
        return context


def load_config(kubeconfig: str | None) -> KubeConfig:
    """The file named, else the pod's own account, else $KUBECONFIG or ~/.kube/config. Raises ConfigError."""
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_dir():
        return _in_pod()
    path = Path(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    try:
        return read_kubeconfig(yaml.safe_load(path.read_text()), path.parent)
    except (OSError, yaml.YAMLError, KeyError, StopIteration, TypeError) as problem:
        raise ConfigError(f"{path} is no usable kubeconfig: {problem}") from problem


def _in_pod() -> KubeConfig:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    shown = f"[{host}]" if ":" in host else host
    return KubeConfig(
        server=f"https://{shown}:{port}",
        namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
        ca=(SERVICE_ACCOUNT / "ca.crt").read_bytes(),
        token_file=str(SERVICE_ACCOUNT / "token"),
    )


def read_kubeconfig(content: dict[str, Any], base: Path) -> KubeConfig:
    """The current context of a kubeconfig. Raises KeyError, StopIteration, OSError."""
    context = _named(content["contexts"], content["current-context"])["context"]
    cluster = _named(content["clusters"], context["cluster"])["cluster"]
    user = _named(content["users"], context["user"]).get("user") or {}
    return KubeConfig(
        server=cluster["server"].rstrip("/"),
        namespace=context.get("namespace", "default"),
        ca=_content(cluster, "certificate-authority", base),
        insecure=cluster.get("insecure-skip-tls-verify", False),
        token=user.get("token", ""),
        token_file=str(base / user["tokenFile"]) if "tokenFile" in user else "",
        certificate=_content(user, "client-certificate", base),
        key=_content(user, "client-key", base),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _content(section: dict[str, Any], key: str, base: Path) -> bytes:
    if f"{key}-data" in section:
        return base64.b64decode(section[f"{key}-data"])
    return (base / section[key]).read_bytes() if key in section else b""
