"""The API server as the tests look at it: objects as plain dicts, by kind, namespace and name."""

from typing import Any, Final

import pykube
import requests

from e2e.harness.commands import CACHE

Object = dict[str, Any]

PATHS: Final = {
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Event": ("/api/v1", "events"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "StorageCluster": ("/apis/keystead.io/v1alpha1", "storageclusters"),
    "Table": ("/apis/keystead.io/v1alpha1", "tables"),
}
TIMEOUT_SECONDS: Final = 10.0
CLUSTER_WIDE: Final = ("Namespace", "Node", "PersistentVolume")


class NoAnswer(Exception):
    """The API server does not answer."""


class Refused(AssertionError):
    """The API server answered with an error; `status` is its HTTP status and the text its reason."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Kube:
    """Reads and changes objects. A method raises NoAnswer or Refused."""

    def __init__(self) -> None:
        self._api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(CACHE / "kubeconfig")), timeout=TIMEOUT_SECONDS)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        url = self._api.config.cluster["server"] + path
        try:
            answer: requests.Response = self._api.session.request(method, url, timeout=TIMEOUT_SECONDS, **options)
        except requests.RequestException as problem:
            raise NoAnswer(str(problem)) from problem
        if answer.status_code >= 400:
            try:
                message = str(answer.json().get("message"))
            except (ValueError, AttributeError):
                message = answer.text[:500]
            raise Refused(answer.status_code, message)
        return answer

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Object]:
        found: list[Object] = self.request("GET", path_of(kind, namespace), params={"labelSelector": labels}).json()[
            "items"
        ]
        return found

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """None where there is no such object."""
        try:
            found: Object = self.request("GET", path_of(kind, namespace, name)).json()
        except Refused as problem:
            if problem.status == 404:
                return None
            raise
        return found

    def patch(self, kind: str, namespace: str, name: str, patch: Object) -> Object:
        """A merge patch."""
        headers = {"Content-Type": "application/merge-patch+json"}
        changed: Object = self.request("PATCH", path_of(kind, namespace, name), json=patch, headers=headers).json()
        return changed

    def delete(self, kind: str, namespace: str, name: str, grace_seconds: int | None = None) -> None:
        """No error where it is gone already. Does not wait until it is."""
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        try:
            self.request("DELETE", path_of(kind, namespace, name), json=options)
        except Refused as problem:
            if problem.status != 404:
                raise

    def metrics_of_pod(self, namespace: str, pod: str, port: int, scheme: str = "https") -> str:
        """Through the API server's proxy."""
        return self.request("GET", f"/api/v1/namespaces/{namespace}/pods/{scheme}:{pod}:{port}/proxy/metrics").text


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    group, plural = PATHS[kind]
    where = f"/namespaces/{namespace}" if namespace and kind not in CLUSTER_WIDE else ""
    return f"{group}{where}/{plural}" + (f"/{name}" if name else "")


def condition(found: Object | None, kind: str) -> Object:
    """A condition of an object; an empty one, of status "", where it has none."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {"status": "", "reason": "", "message": ""})
