"""A node says that its volume is empty until it was given something: over others no catalog is formed."""

from pathlib import Path

from tests.pods.pods import Pods, three_pods


def test_a_node_that_restarts_before_the_catalog_is_formed_still_has_an_empty_volume(tmp_path: Path) -> None:
    cluster = Pods(tmp_path)
    try:
        for boot in (1, 2):
            pod = cluster.start("node-0", "a", boot)
            cluster.wait("it answers", pod.status)
            found = pod.status()["node"]
            assert (found["boot"], found["volume_empty"]) == (boot, True)
            pod.kill()
    finally:
        cluster.destroy()


def test_a_node_that_knows_a_catalog_has_no_empty_volume_any_more(tmp_path: Path) -> None:
    with three_pods(tmp_path) as cluster:
        assert not any(pod.status()["node"]["volume_empty"] for pod in cluster.pods.values())
