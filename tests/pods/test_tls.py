"""Encrypted connections: who is let in, who is not and where that is said, and certificates that change under load."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead_operator.admin_client import AdminClient, NodeUnreachable, admin_tls
from keystead_operator.kube.authority import CA_FILE, CERTIFICATE_FILE, KEY_FILE, CertificateFiles, Files
from tests.pods import secrets
from tests.pods.pods import ADMIN, API, PEER, Pod, Pods, three_pods
from tests.pods.secrets import PEER_NAME

OURS = secrets.certificates()
ANOTHERS = secrets.certificates()
EXPIRED = secrets.expired()


class TlsPods(Pods):
    """Pods whose certificates are in `mounted`; `use` changes them."""

    def __init__(self, directory: Path) -> None:
        self.mounted = directory / "tls"
        super().__init__(directory, tls={"dir": str(self.mounted), "peer_name": PEER_NAME})
        self.use(OURS)

    def use(self, made: CertificateFiles) -> None:
        secrets.mount(self.mounted, made.node)
        self.trust(made)

    def trust(self, made: CertificateFiles) -> None:
        """The operator's side."""
        files = made.operator
        self.admin_tls = admin_tls(files[CA_FILE], files[CERTIFICATE_FILE], files[KEY_FILE], PEER_NAME)

    def client(self, place: str, **more: Any) -> Any:
        """Pods have names of the headless Service, which the certificate bears."""
        bundle = self.directory / "clients-ca.crt"
        bundle.write_bytes((self.mounted / CA_FILE).read_bytes())
        url = f"https://{place}.orders-peers.shop.svc:{API}"
        return super().client(place, endpoint_url=url, verify=str(bundle), **more)


@contextlib.contextmanager
def pods_with_names(directory: Path) -> Iterator[TlsPods]:
    made = TlsPods(directory)
    resolve = socket.getaddrinfo

    def with_pods(host: Any, *arguments: Any, **options: Any) -> Any:
        place = str(host).partition(".orders-peers.shop.svc")[0]
        return resolve(made.pods[place].address if place in made.pods else host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch, three_pods(made):
        patch.setattr(socket, "getaddrinfo", with_pods)
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPods]:
    """For tests that leave it as it was."""
    with pods_with_names(tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TlsPods]:
    with pods_with_names(tmp_path) as made:
        yield made


def test_everything_works_over_tls(shared: TlsPods) -> None:
    client = shared.client("node-1")
    shared.create_table(client)
    client.put_item(TableName="items", Item={"pk": {"S": "a"}, "big": {"S": "x" * 300_000}})
    found = shared.client("node-2").get_item(TableName="items", Key={"pk": {"S": "a"}}, ConsistentRead=True)
    assert len(found["Item"]["big"]["S"]) == 300_000
    assert shared.pods["node-0"].program("ask", "GET", "/status").returncode == 0
    assert "mapVersion" in shared.pods["node-0"].program("ask", "GET", "/ui/state").stdout
    assert shared.pods["node-2"].program("prestop").returncode == 0
    assert shared.pods["node-2"].ask("/resume", {})["ok"]
    with socket.create_connection((shared.pods["node-0"].address, API), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert plain.recv(100)[:4] != b"HTTP"


def test_a_client_without_the_authority_does_not_trust_the_api(shared: TlsPods) -> None:
    bundle = shared.directory / "anothers.crt"
    bundle.write_bytes(ANOTHERS.node[CA_FILE])
    connection = http.client.HTTPSConnection(
        "node-0.orders-peers.shop.svc", API, context=ssl.create_default_context(cafile=str(bundle)), timeout=5
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (None, "peer did not return a certificate"),
        (ANOTHERS.node, "unable to get local issuer certificate"),
        (OURS.operator, f"its certificate does not name {PEER_NAME}"),
    ],
    ids=["none", "another authority's", "the operator's"],
)
def test_the_peer_port_takes_nodes_of_this_cluster_alone(shared: TlsPods, shown: Files | None, reason: str) -> None:
    pod = shared.pods["node-0"]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        read_as(shared.directory, pod, PEER, shown)
    shared.wait("the reason is in the log", lambda: reason in pod.said(), 5)
    line = next(json.loads(line) for line in pod.said().splitlines() if reason in line)
    assert (line["event"], line["level"]) == ("peer port refused a connection", "warning")


def test_an_expired_certificate_is_refused_by_its_name_in_the_log(tmp_path: Path) -> None:
    """A node whose certificate was never renewed: the others say why they do not talk to it, and it says so too."""
    late = CertificateFiles(EXPIRED.authority, secrets.certificates(EXPIRED).node, EXPIRED.operator)
    made = TlsPods(tmp_path)
    try:
        made.use(late)
        good = made.start("node-0", "a", 1)
        made.wait("it answers", lambda: "node started" in good.said())
        expired = made.directory / "expired"
        secrets.mount(expired, EXPIRED.node)
        made.config |= {"tls": {"dir": str(expired), "peer_name": PEER_NAME}, "seeds": [f"{good.address}:{PEER}"]}
        bad = made.start("node-1", "b", 2)
        made.wait("the good node says why", lambda: "certificate has expired" in good.said())
        assert "peer port refused a connection" in good.said()
        made.config["seeds"] = [f"{bad.address}:{PEER}"]
        made.config["tls"] = {"dir": str(made.mounted), "peer_name": PEER_NAME}
        third = made.start("node-2", "c", 3)
        made.wait("a node that dials it says why", lambda: "certificate has expired" in third.said())
        assert f"refused the node at {bad.address}:{PEER}" in third.said()
    finally:
        made.destroy()


def test_the_admin_port_shows_health_to_all_and_the_rest_to_the_operator(shared: TlsPods) -> None:
    pod = shared.pods["node-0"]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert ask_as(shared.directory, pod, path, None)[0] == 200
    for path in ("/status", "/map", "/ui", "/ui/state", "/maintain", "/nothing"):
        status, body = ask_as(shared.directory, pod, path, None)
        assert (status, b"no certificate shown" in body) == (403, True)
    assert ask_as(shared.directory, pod, "/status", OURS.operator)[0] == 200
    assert ask_as(shared.directory, pod, "/status", OURS.node)[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask_as(shared.directory, pod, "/healthz", ANOTHERS.operator)


def test_a_node_without_its_certificates_says_so_and_ends(tmp_path: Path) -> None:
    made = TlsPods(tmp_path)
    try:
        for path, reason in ((KEY_FILE, "No such file"), (CERTIFICATE_FILE, "No such file")):
            secrets.mount(made.mounted, {name: data for name, data in OURS.node.items() if name != path})
            pod = made.start("node-0", "a", 1)
            assert pod.process.wait(60) == 2
            assert reason in pod.said()
    finally:
        made.destroy()


def test_certificates_and_authority_change_under_load_without_one_failed_request(cluster: TlsPods) -> None:
    cluster.create_table(cluster.client("node-0"))
    files = OURS
    with _Load(cluster) as load:
        for step in (secrets.with_new_authority, secrets.issued_by_it, _with_the_new_authority_alone):
            files = step(files)
            before = {place: pod.said().count("certificates read again") for place, pod in cluster.pods.items()}
            cluster.use(files)
            cluster.wait(
                "all have read it",
                lambda before=before: all(
                    pod.said().count("certificates read again") > before[place] for place, pod in cluster.pods.items()
                ),
            )
            load.reconnect()
            load.more(30)
        assert load.failures == []
    for pod in cluster.pods.values():
        assert pod.process.poll() is None
        assert "refused a connection" not in pod.said()
        assert "refused the node" not in pod.said()
    # What is dialled now is dialled with the new certificates alone; the old ones open nothing.
    restarted = cluster.pods["node-2"]
    restarted.kill()
    restarted = cluster.start("node-2", "c", 3)
    cluster.wait("it is connected again", lambda: restarted.status().get("replicas"))
    cluster.wait_registered()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        read_as(cluster.directory, restarted, PEER, OURS.node)
    with pytest.raises(NodeUnreachable):
        old = admin_tls(OURS.operator[CA_FILE], OURS.operator[CERTIFICATE_FILE], OURS.operator[KEY_FILE], PEER_NAME)
        asyncio.run(AdminClient(tls=old).status(f"{restarted.address}:{ADMIN}"))


def test_files_that_do_not_fit_together_leave_the_last_ones_in_force(cluster: TlsPods) -> None:
    pod = cluster.pods["node-0"]
    secrets.mount(cluster.mounted, OURS.node | {KEY_FILE: ANOTHERS.node[KEY_FILE]})
    cluster.wait("it says so", lambda: "certificates not taken" in pod.said())
    assert "key values mismatch" in pod.said().lower().replace("_", " ")
    assert pod.status()["node"]["name"] == "node-0"


def _with_the_new_authority_alone(held: CertificateFiles) -> CertificateFiles:
    return CertificateFiles(
        held.authority,
        held.node | {CA_FILE: held.authority[CA_FILE]},
        held.operator | {CA_FILE: held.authority[CA_FILE]},
    )


def client_context(directory: Path, shown: Files | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if shown is not None:
        for name in (CERTIFICATE_FILE, KEY_FILE):
            (directory / name).write_bytes(shown[name])
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
    return context


def read_as(directory: Path, pod: Pod, port: int, shown: Files | None) -> None:
    """Returns if the port says something to a client with that certificate; raises OSError if it hangs up."""
    plain = socket.create_connection((pod.address, port), 5)
    with client_context(directory, shown).wrap_socket(plain) as encrypted:
        if not encrypted.recv(1):
            raise ConnectionResetError("hung up")


def ask_as(directory: Path, pod: Pod, path: str, shown: Files | None) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(pod.address, ADMIN, context=client_context(directory, shown), timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _Load:
    """Writes and reads through every node at once, without a retry; `reconnect` makes new connections."""

    def __init__(self, cluster: TlsPods) -> None:
        self.failures: list[str] = []
        self._cluster = cluster
        self._done = [0, 0, 0]
        self._stop = threading.Event()
        self._clients: dict[str, Any] = {}
        self.reconnect()
        self._threads = [threading.Thread(target=self._run, args=(n, f"node-{n}")) for n in range(3)]

    def reconnect(self) -> None:
        self._clients = {place: self._cluster.client(place) for place in self._cluster.pods}

    def __enter__(self) -> "_Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, number: int) -> None:
        """Waits until each thread has done that many more."""
        until = [done + number for done in self._done]
        while any(thread.is_alive() for thread in self._threads) and any(
            done < wanted for done, wanted in zip(self._done, until, strict=True)
        ):
            time.sleep(0.02)

    def _run(self, n: int, place: str) -> None:
        while not self._stop.is_set():
            client, key = self._clients[place], {"pk": {"S": f"{n}-{self._done[n] % 50}"}}
            try:
                client.put_item(TableName="items", Item=key | {"n": {"N": str(self._done[n])}})
                found = client.get_item(TableName="items", Key=key, ConsistentRead=True)
                assert found["Item"]["n"]["N"] == str(self._done[n]), f"{found} after {self._done[n]}"
            except Exception as error:  # whatever it was, a client saw it
                self.failures.append(f"{place}: {type(error).__name__}: {error}")
            self._done[n] += 1
