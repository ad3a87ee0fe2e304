"""What runs before a pod ends: masterships go to others first, and the next start takes part again."""

import http.client
import threading
import time
from pathlib import Path
from typing import Any

from tests.pods.pods import ADMIN, API, Pods, three_pods


def test_a_node_that_is_stopped_after_prestop_fails_no_write(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        victim = _master_of_table(cluster)
        other = next(place for place in cluster.pods if place != victim)
        with _Writes(cluster.client(other)) as writes:
            done = cluster.pods[victim].program("prestop", "--seconds", "15")
            assert done.returncode == 0, done.stderr
            assert _masterships(cluster, victim) == 0
            assert cluster.pods[victim].stop() == 0
            writes.more(50)
        assert writes.failures == []
        number = int(victim[-1])
        pod = cluster.start(victim, "abc"[number], number + 1)
        cluster.wait("it takes part again", lambda: _takes_part(pod.status()))


def test_clients_are_led_elsewhere_before_the_node_ends(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        pod = cluster.pods["node-1"]
        kept = http.client.HTTPConnection(pod.address, API, timeout=10)
        assert _asked(kept).getheader("Connection") is None
        stopping = threading.Thread(target=pod.program, args=("prestop",))
        stopping.start()
        cluster.wait("it is not ready any more", lambda: _readiness(pod.address) == 503)
        assert _asked(kept).getheader("Connection") == "close"
        stopping.join()
        assert _asked(http.client.HTTPConnection(pod.address, API, timeout=10)).status == 200


def test_prestop_waits_while_too_few_others_would_be_left(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        cluster.create_table(cluster.client("node-0"))
        cluster.pods["node-2"].kill()
        refused = cluster.pods["node-1"].program("prestop", "--seconds", "1")
        assert refused.returncode == 1
        assert "not handed over in 1 s" in refused.stderr
        cluster.start("node-2", "c", 3)
        assert cluster.pods["node-1"].program("prestop").returncode == 0


def test_prestop_of_a_node_that_does_not_run_ends_at_once(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        cluster.pods["node-2"].kill()
        assert cluster.pods["node-2"].program("prestop").returncode == 0


def test_maintenance_that_the_catalog_knows_of_outlives_a_restart(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        cluster.create_table(cluster.client("node-0"))
        node = cluster.pods["node-2"].status()["node"]["id"]
        _set_state(cluster, node, "maintenance")
        cluster.wait("it rests", lambda: _rests(cluster.pods["node-2"].status()))
        cluster.pods["node-2"].kill()
        pod = cluster.start("node-2", "c", 3)
        cluster.wait_registered()
        cluster.wait("it still rests", lambda: _rests(pod.status()))
        _set_state(cluster, node, "active")
        cluster.wait("it takes part again", lambda: _takes_part(pod.status()))
        _set_state(cluster, node, "maintenance")
        stopped = cluster.pods["node-1"]  # which has the new map, but not on its disk yet
        assert stopped.stop() == 0
        assert "Traceback" not in stopped.said()


def test_ask_prints_what_the_admin_port_answers(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        pod = cluster.pods["node-1"]
        assert '"name":"node-1"' in pod.program("ask", "GET", "/status").stdout
        refused = pod.program("ask", "POST", "/catalog/command", body='{"type": "Nothing"}')
        assert (refused.returncode, refused.stdout) == (1, '{"ok":false,"error":"unknown command \'Nothing\'"}')
        pod.kill()
        away = pod.program("ask", "GET", "/status")
        assert (away.returncode, away.stdout) == (1, "")
        assert "does not answer" in away.stderr


class _Writes:
    """Writes one after the other, in a thread; a write has failed if three tries in 100 ms did not do it."""

    def __init__(self, client: Any) -> None:
        self.failures: list[str] = []
        self._client = client
        self._done = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Writes":
        self._thread.start()
        self.more(20)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, number: int) -> None:
        until = self._done + number
        while self._done < until and self._thread.is_alive():
            time.sleep(0.01)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._client.put_item(TableName="items", Item={"pk": {"S": str(self._done)}})
            except self._client.exceptions.ClientError as error:
                self.failures.append(str(error))
            self._done += 1


def _asked(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    return answer


def _readiness(address: str) -> int:
    connection = http.client.HTTPConnection(address, ADMIN, timeout=10)
    connection.request("GET", "/readyz")
    return connection.getresponse().status


def _master_of_table(cluster: Pods) -> str:
    cluster.create_table(cluster.client("node-0"))
    return next(place for place in cluster.pods if _masterships(cluster, place, of_tables=True))


def _masterships(cluster: Pods, place: str, of_tables: bool = False) -> int:
    replicas = cluster.pods[place].status()["replicas"]
    return sum(r["role"] == "master" and (r["partition"] != 1 or not of_tables) for r in replicas)


def _set_state(cluster: Pods, node: str, state: str) -> None:
    command = {"type": "SetNodeState", "node": node, "state": state}
    assert cluster.pods["node-0"].ask("/catalog/command", command)["ok"]


def _rests(status: dict[str, Any]) -> bool:
    return bool(status) and all(r["ineligibleReason"] == "planned" for r in status["replicas"])


def _takes_part(status: dict[str, Any]) -> bool:
    return bool(status) and bool(status["replicas"]) and all(r["eligible"] for r in status["replicas"])
