"""The test kubelet does what other tests rely on: pods are real processes with their own view of the machine."""

import os
import textwrap
from typing import Any

import pytest

from tests.apiserver.kubelet.faults import Faults
from tests.apiserver.kubelet.volumes import VolumeNotReady
from tests.apiserver.rest import Api, Object, wait_until

PYTHON = "python"


def _pod(name: str, script: str, **container: Any) -> Object:
    """A pod whose one container runs a Python script."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {"name": "main", "image": "test", "command": [PYTHON, "-c", textwrap.dedent(script)], **container}
            ],
        },
    }


SERVE = """
    import http.server, os, pathlib, signal, sys
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = pathlib.Path(self.path)
            code = 200 if path.exists() else 404
            self.send_response(code); self.end_headers()
            self.wfile.write(path.read_bytes() if path.is_file() else b"")
        def log_message(self, *told): pass
    signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), os._exit(0)))
    http.server.HTTPServer((os.environ.get("ADDRESS", "127.0.0.1"), 8000), Answer).serve_forever()
"""
OWN_ADDRESS = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def _read(address: str, path: str) -> str:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://{address}:8000{path}", timeout=2) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        return f"error: {error}"


def _phase(api: Api, namespace: str, name: str) -> str:
    found = api.find("Pod", namespace, name)
    return "gone" if found is None else str(found["status"].get("phase", ""))


def _is_ready(api: Api, namespace: str, name: str) -> bool:
    found = api.find("Pod", namespace, name) or {"status": {}}
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", []))


def _address(api: Api, namespace: str, name: str) -> str:
    return str(api.get("Pod", namespace, name)["status"]["podIP"])


@pytest.fixture
def faults(kubelet: Faults, api: Api, namespace: str) -> Faults:
    """The kubelet, once pods can be made in the namespace."""
    wait_until("a service account", lambda: api.find("ServiceAccount", namespace, "default"))
    return kubelet


def test_pod_runs_at_an_address_of_its_own_and_is_ready_when_its_probe_says_so(
    api: Api, namespace: str, faults: Faults
) -> None:
    probe = {"httpGet": {"path": "/tmp/ready", "port": "web"}, "periodSeconds": 1}
    ports = [{"name": "web", "containerPort": 8000}]
    pod = _pod("web", SERVE, env=[OWN_ADDRESS], readinessProbe=probe, ports=ports)
    pod["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
    api.create(pod, namespace)
    wait_until("it runs", lambda: _phase(api, namespace, "web") == "Running")
    address = _address(api, namespace, "web")
    assert address.startswith("127.1.")
    wait_until("it answers", lambda: _read(address, "/etc/hosts").startswith("127.0.0.1"))
    assert not _is_ready(api, namespace, "web")
    (pid,) = faults.pids(namespace, "web")
    (open(f"/proc/{pid}/root/tmp/ready", "w")).close()
    wait_until("it is ready", lambda: _is_ready(api, namespace, "web"))


def test_files_of_config_maps_and_secrets_follow_their_objects(api: Api, namespace: str, faults: Faults) -> None:
    for kind, key in (("ConfigMap", "data"), ("Secret", "stringData")):
        api.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": "c"}, key: {"a": "first"}}, namespace)
    pod = _pod("files", SERVE, env=[OWN_ADDRESS])
    pod["spec"]["volumes"] = [
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "secret", "secret": {"secretName": "c"}},
    ]
    pod["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "config", "mountPath": "/etc/keystead"},
        {"name": "secret", "mountPath": "/etc/keystead/tls"},
    ]
    api.create(pod, namespace)
    wait_until("it runs", lambda: _phase(api, namespace, "files") == "Running")
    address = _address(api, namespace, "files")
    for path in ("/etc/keystead/a", "/etc/keystead/tls/a"):
        wait_until(path, lambda path=path: _read(address, path) == "first")  # type: ignore[misc]
    api.patch("ConfigMap", namespace, "c", {"data": {"a": "second"}})
    api.patch("Secret", namespace, "c", {"stringData": {"a": "second"}})
    for path in ("/etc/keystead/a", "/etc/keystead/tls/a"):
        wait_until(path, lambda path=path: _read(address, path) == "second")  # type: ignore[misc]


def test_volume_keeps_its_files_and_its_node_over_pods(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_claim("data"), namespace)
    write = "open('/var/lib/keystead/a', 'w').write('kept'); import time; time.sleep(600)"
    for name, script in (("first", write), ("second", SERVE)):
        pod = _pod(name, script, env=[OWN_ADDRESS])
        pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/var/lib/keystead"}]
        api.create(pod, namespace)
        wait_until(name, lambda name=name: _phase(api, namespace, name) == "Running")  # type: ignore[misc]
        if name == "first":
            wait_until("it wrote", lambda: (faults.claim_directory(namespace, "data") / "a").exists())
            home = api.get("Pod", namespace, name)["spec"]["nodeName"]
            api.delete("Pod", namespace, name)
            wait_until("it is gone", lambda: _phase(api, namespace, "first") == "gone")
    assert api.get("Pod", namespace, "second")["spec"]["nodeName"] == home
    address = _address(api, namespace, "second")
    wait_until("what was written", lambda: _read(address, "/var/lib/keystead/a") == "kept")
    assert not os.path.exists("/var/lib/keystead/a")
    directory = faults.claim_directory(namespace, "data")
    api.delete("Pod", namespace, "second")
    api.delete("PersistentVolumeClaim", namespace, "data")
    wait_until("the volume is gone", lambda: not directory.exists())


def _claim(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def test_zones_are_chosen_by_node_selector(api: Api, namespace: str, faults: Faults) -> None:
    for zone in ("zone-a", "zone-b", "zone-nowhere"):
        pod = _pod(zone, "import time; time.sleep(600)")
        pod["spec"]["nodeSelector"] = {"topology.kubernetes.io/zone": zone}
        api.create(pod, namespace)
    for zone in ("zone-a", "zone-b"):
        wait_until(zone, lambda zone=zone: _phase(api, namespace, zone) == "Running")  # type: ignore[misc]
        node = api.get("Node", "", api.get("Pod", namespace, zone)["spec"]["nodeName"])
        assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == zone
    lost = wait_until("it is told", lambda: api.get("Pod", namespace, "zone-nowhere")["status"].get("conditions"))
    assert "didn't match" in lost[0]["message"]


def test_names_of_services_lead_to_all_their_pods(api: Api, namespace: str, faults: Faults) -> None:
    service = {"clusterIP": "None", "selector": {"group": "g"}, "publishNotReadyAddresses": True}
    api.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "peers"}, "spec": {**service, "ports": [PORT]}},
        namespace,
    )
    for name in ("one", "two"):
        pod = _pod(name, SERVE, env=[OWN_ADDRESS])
        pod["metadata"]["labels"]["group"] = "g"
        api.create(pod, namespace)
    look_up = f"""
        import socket, time
        while True:
            try:
                found = socket.getaddrinfo('peers.{namespace}.svc', 7000, type=socket.SOCK_STREAM)
            except OSError:
                found = []
            if len({{one[4][0] for one in found}}) == 2:
                break
            time.sleep(0.1)
    """
    pod = _pod("asker", look_up)
    pod["spec"]["restartPolicy"] = "Never"
    api.create(pod, namespace)
    wait_until("both are found", lambda: _phase(api, namespace, "asker") == "Succeeded")


PORT = {"port": 8000}


def test_process_that_was_killed_is_started_again(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_pod("victim", SERVE, env=[OWN_ADDRESS]), namespace)
    wait_until("it is ready", lambda: _is_ready(api, namespace, "victim"))
    faults.kill(namespace, "victim")
    status = wait_until("it was restarted", lambda: _restarted(api, namespace, "victim"))
    assert status and status["lastState"]["terminated"]["exitCode"] == 137
    wait_until("it is ready again", lambda: _is_ready(api, namespace, "victim"))


def _restarted(api: Api, namespace: str, name: str) -> Object | None:
    status: Object = api.get("Pod", namespace, name)["status"]["containerStatuses"][0]
    return status if status["restartCount"] else None


def test_liveness_probe_restarts_a_frozen_process(api: Api, namespace: str, faults: Faults) -> None:
    probe = {"httpGet": {"path": "/etc/hosts", "port": 8000}, "periodSeconds": 1, "failureThreshold": 2}
    pod = _pod("frozen", SERVE, env=[OWN_ADDRESS], startupProbe=probe, livenessProbe=probe, readinessProbe=probe)
    pod["spec"]["terminationGracePeriodSeconds"] = 1
    api.create(pod, namespace)
    wait_until("it is ready", lambda: _is_ready(api, namespace, "frozen"))
    faults.freeze(namespace, "frozen")
    wait_until("it was restarted", lambda: _restarted(api, namespace, "frozen"))


def test_deleted_pod_runs_its_hook_then_is_asked_to_end(api: Api, namespace: str, faults: Faults) -> None:
    hook = {"preStop": {"exec": {"command": [PYTHON, "-c", "print('in the hook', open('/proc/1/comm').read())"]}}}
    api.create(_pod("polite", SERVE, env=[OWN_ADDRESS], lifecycle=hook), namespace)
    wait_until("it is ready", lambda: _is_ready(api, namespace, "polite"))
    wait_until("it answers", lambda: _read(_address(api, namespace, "polite"), "/etc/hosts").startswith("127.0.0.1"))
    api.delete("Pod", namespace, "polite")
    wait_until("it is gone", lambda: _phase(api, namespace, "polite") == "gone")
    told = faults.log(namespace, "polite")
    assert told.index("in the hook") < told.index("asked to end")


def test_pod_on_a_lost_node_stays_until_the_node_is_back(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_pod("stranded", SERVE, env=[OWN_ADDRESS]), namespace)
    wait_until("it is ready", lambda: _is_ready(api, namespace, "stranded"))
    (pid,) = faults.pids(namespace, "stranded")
    node = api.get("Pod", namespace, "stranded")["spec"]["nodeName"]
    faults.lose_node(node)
    try:
        assert not os.path.exists(f"/proc/{pid}")
        assert not _is_ready(api, namespace, "stranded")
        api.create(_pod("other", "import time; time.sleep(600)"), namespace)
        wait_until("others go elsewhere", lambda: _phase(api, namespace, "other") == "Running")
        assert api.get("Pod", namespace, "other")["spec"]["nodeName"] != node
    finally:
        faults.bring_back(node)
    wait_until("it runs again", lambda: _is_ready(api, namespace, "stranded"))
    assert _restarted(api, namespace, "stranded")


def test_paused_node_goes_on_where_it_stood(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_pod("paused", SERVE, env=[OWN_ADDRESS]), namespace)
    wait_until("it is ready", lambda: _is_ready(api, namespace, "paused"))
    pids, address = faults.pids(namespace, "paused"), _address(api, namespace, "paused")
    wait_until("it answers", lambda: _read(address, "/etc/hosts").startswith("127.0.0.1"))
    node = api.get("Pod", namespace, "paused")["spec"]["nodeName"]
    faults.pause_node(node)
    try:
        assert _read(address, "/etc/hosts").startswith("error")
        api.delete("Pod", namespace, "paused")
        assert _phase(api, namespace, "paused") == "Running"
        assert faults.pids(namespace, "paused") == pids
    finally:
        faults.bring_back(node)
    wait_until("the deletion is carried out", lambda: _phase(api, namespace, "paused") == "gone")


def test_token_of_the_service_account_is_mounted_and_works(api: Api, namespace: str, faults: Faults) -> None:
    script = """
        import json, os, ssl, urllib.request
        where = "/var/run/secrets/kubernetes.io/serviceaccount/"
        token, namespace = open(where + "token").read(), open(where + "namespace").read()
        url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
        request = urllib.request.Request(url + "/apis/authentication.k8s.io/v1/selfsubjectreviews", method="POST",
            data=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode(),
            headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        context = ssl.create_default_context(cafile=where + "ca.crt")
        user = json.load(urllib.request.urlopen(request, context=context))["status"]["userInfo"]["username"]
        assert user == f"system:serviceaccount:{namespace}:default", user
    """
    pod = _pod("account", script)
    pod["spec"]["restartPolicy"] = "Never"
    api.create(pod, namespace)
    phase = wait_until("it ends", lambda: _phase(api, namespace, "account") in ("Succeeded", "Failed"))
    assert phase
    assert _phase(api, namespace, "account") == "Succeeded", faults.log(namespace, "account")


def test_lost_volume_is_empty_and_its_pod_starts_over(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_claim("data"), namespace)
    pod = _pod("owner", "open('/var/lib/data/a', 'a').write('x'); import time; time.sleep(600)")
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/var/lib/data"}]
    api.create(pod, namespace)
    wait_until("it wrote", lambda: _read_file(faults, namespace) == "x")
    faults.kill(namespace, "owner")
    wait_until("it wrote again", lambda: _read_file(faults, namespace) == "xx")
    faults.lose_volume(namespace, "data")
    wait_until("it began anew", lambda: _read_file(faults, namespace) == "x")


def _read_file(faults: Faults, namespace: str) -> str:
    try:
        return (faults.claim_directory(namespace, "data") / "a").read_text()
    except (OSError, VolumeNotReady) as problem:
        return str(problem)


def test_volume_grows_when_its_claim_asks_for_more(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_claim("data"), namespace)
    pod = _pod("owner", "import time; time.sleep(600)")
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    api.create(pod, namespace)
    wait_until("it runs", lambda: _phase(api, namespace, "owner") == "Running")
    api.patch("PersistentVolumeClaim", namespace, "data", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    wait_until(
        "it grew",
        lambda: api.get("PersistentVolumeClaim", namespace, "data")["status"]["capacity"]["storage"] == "2Gi",
    )


def test_image_that_cannot_be_pulled_is_told(api: Api, namespace: str, faults: Faults) -> None:
    api.create(_pod("nowhere", "pass", image="unpullable/keystead:1"), namespace)
    state = wait_until("it is told", lambda: _waiting(api, namespace, "nowhere"))
    assert state == "ErrImagePull"


def _waiting(api: Api, namespace: str, name: str) -> str:
    statuses = api.get("Pod", namespace, name)["status"].get("containerStatuses") or [{"state": {}}]
    reason = str(statuses[0]["state"].get("waiting", {}).get("reason", ""))
    return "" if reason == "ContainerCreating" else reason
