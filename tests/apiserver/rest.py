"""Paths of the Kubernetes API, and a small client that shows its answers as they are: tests read the very words."""

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import requests

Object = dict[str, Any]
T = TypeVar("T")

_KINDS: Final = {
    "Namespace": ("v1", "namespaces", False),
    "Node": ("v1", "nodes", False),
    "PersistentVolume": ("v1", "persistentvolumes", False),
    "Pod": ("v1", "pods", True),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims", True),
    "Service": ("v1", "services", True),
    "ConfigMap": ("v1", "configmaps", True),
    "Secret": ("v1", "secrets", True),
    "ServiceAccount": ("v1", "serviceaccounts", True),
    "Event": ("v1", "events", True),
    "Lease": ("coordination.k8s.io/v1", "leases", True),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets", True),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", True),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses", False),
    "Role": ("rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", True),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "StorageCluster": ("keystead.io/v1alpha1", "storageclusters", True),
    "Table": ("keystead.io/v1alpha1", "tables", True),
}
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
REQUEST_SECONDS_MAX: Final = 20.0


def path_of(kind: str, namespace: str = "", name: str = "", part: str = "") -> str:
    """The path of a collection, of an object, or of a part (subresource) of one."""
    version, plural, namespaced = _KINDS[kind]
    base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    if namespaced and namespace:
        base += f"/namespaces/{namespace}"
    return base + f"/{plural}" + (f"/{name}" if name else "") + (f"/{part}" if part else "")


def api_version(kind: str) -> str:
    return _KINDS[kind][0]


class ApiError(Exception):
    """The API server refused. `status` is the HTTP status, `reason` its one word, the text what it says."""

    def __init__(self, status: int, answer: Object) -> None:
        super().__init__(str(answer.get("message", answer)))
        self.status = status
        self.reason = str(answer.get("reason", ""))
        causes = answer.get("details", {}).get("causes", []) if isinstance(answer.get("details"), dict) else []
        self.causes: list[tuple[str, str]] = [(c.get("field", ""), c.get("message", "")) for c in causes]


class Api:
    """A user of the API server, by certificate or by token. Not for use by several threads at once."""

    def __init__(
        self, server: str, ca_file: Path, certificate: tuple[Path, Path] | None = None, token: str = ""
    ) -> None:
        self.server = server
        self.ca_file = ca_file
        self.certificate = certificate
        self.token = token
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(ca_file)
        if certificate is not None:
            self._session.cert = (str(certificate[0]), str(certificate[1]))
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def with_token(self, token: str) -> "Api":
        """The same server, by another user."""
        return Api(self.server, self.ca_file, token=token)

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if self.certificate is not None:
            context.load_cert_chain(*self.certificate)
        return context

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Object:
        """Raises ApiError."""
        answer = self._session.request(
            method,
            self.server + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type, **(headers or {})},
            timeout=REQUEST_SECONDS_MAX,
        )
        try:
            read: Object = answer.json()
        except ValueError:
            read = {"message": answer.text}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, read)
        return read

    def get(self, kind: str, namespace: str, name: str) -> Object:
        return self.request("GET", path_of(kind, namespace, name))

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """None where there is none. Raises ApiError otherwise."""
        try:
            return self.get(kind, namespace, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def objects(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        items: list[Object] = []
        query = {"limit": "500", **({"labelSelector": selector} if selector else {})}
        while True:
            page = self.request("GET", path_of(kind, namespace), query=query)
            items += [{"kind": kind, "apiVersion": api_version(kind), **item} for item in page["items"]]
            if not page["metadata"].get("continue"):
                return items
            query["continue"] = page["metadata"]["continue"]

    def create(self, manifest: Object, namespace: str = "", *, strict: bool = True) -> Object:
        space = namespace or manifest["metadata"].get("namespace", "")
        query = {"fieldValidation": "Strict"} if strict else {}
        return self.request("POST", path_of(manifest["kind"], space), manifest, query=query)

    def apply(self, manifest: Object, namespace: str = "", *, manager: str = "tests", part: str = "") -> Object:
        """Server-side apply, by force."""
        space = namespace or manifest["metadata"].get("namespace", "")
        path = path_of(manifest["kind"], space, manifest["metadata"]["name"], part)
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return self.request("PATCH", path, manifest, content_type=APPLY, query=query)

    def replace(self, manifest: Object, namespace: str = "", part: str = "") -> Object:
        space = namespace or manifest["metadata"].get("namespace", "")
        return self.request("PUT", path_of(manifest["kind"], space, manifest["metadata"]["name"], part), manifest)

    def patch(self, kind: str, namespace: str, name: str, change: Object, part: str = "") -> Object:
        """A merge patch."""
        query = {"fieldValidation": "Strict"}
        return self.request("PATCH", path_of(kind, namespace, name, part), change, content_type=MERGE, query=query)

    def delete(self, kind: str, namespace: str, name: str, *, grace_seconds: int | None = None) -> None:
        body: Object = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        self.request("DELETE", path_of(kind, namespace, name), body)

    def token_of(self, namespace: str, service_account: str) -> str:
        """A fresh token of a service account."""
        path = path_of("ServiceAccount", namespace, service_account, "token")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
        token: str = self.request("POST", path, body)["status"]["token"]
        return token

    def table(self, kind: str, namespace: str, *, wide: bool = False) -> list[dict[str, str]]:
        """What `kubectl get` prints: a row per object, by the titles of the columns (`wide`: with -o wide)."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        answer = self.request("GET", path_of(kind, namespace), headers={"Accept": accept})
        columns = answer["columnDefinitions"]
        shown = [i for i, column in enumerate(columns) if wide or not column.get("priority")]
        return [{columns[i]["name"]: row["cells"][i] for i in shown} for row in answer["rows"]]


def wait_until(what: str, look: Callable[[], T], seconds: float = 30.0, every_seconds: float = 0.1) -> T:
    """Waits until `look` gives something true, and gives it. An AssertionError says what it saw last."""
    until = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}; seen: {seen!r}"
        time.sleep(every_seconds)
