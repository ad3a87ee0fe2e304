"""With a directory of access keys, nodes serve those who sign with one of them; it may change at any time."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead_node.api.access_keys import AccessKeys
from tests.pods import secrets
from tests.pods.pods import API, Pods, three_pods

KEYS = {"AKIAFIRST": b"first secret\n", "AKIASECOND": b"second/secret+"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    directory: Path = tmp_path_factory.mktemp("credentials")
    secrets.mount(directory / "keys", KEYS)
    with three_pods(directory, credentials_dir=str(directory / "keys")) as made:
        made.create_table(client(made, "AKIAFIRST", "first secret"))
        yield made


def client(cluster: Pods, key_id: str, secret: str, place: str = "node-0") -> Any:
    return cluster.client(place, aws_access_key_id=key_id, aws_secret_access_key=secret)


def refusal(asked: Any) -> tuple[str, int]:
    with pytest.raises(asked.exceptions.ClientError) as caught:
        asked.put_item(TableName="items", Item={"pk": {"S": "refused"}})
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_every_node_serves_whoever_signs_with_a_key(cluster: Pods) -> None:
    for place in cluster.pods:
        for key_id, secret in KEYS.items():
            asked = client(cluster, key_id, secret.decode().strip(), place)
            asked.put_item(TableName="items", Item={"pk": {"S": f"{place} ü"}})
            assert asked.get_item(TableName="items", Key={"pk": {"S": f"{place} ü"}}, ConsistentRead=True)["Item"]
            assert asked.list_tables()["TableNames"] == ["items"]


def test_who_does_not_is_refused_in_the_services_words(cluster: Pods) -> None:
    assert refusal(client(cluster, "AKIAFIRST", "second/secret+")) == ("InvalidSignatureException", 400)
    assert refusal(client(cluster, "AKIANOBODY", "first secret")) == ("UnrecognizedClientException", 400)
    temporary = cluster.client(
        "node-0", aws_access_key_id="AKIAFIRST", aws_secret_access_key="first secret", aws_session_token="t"
    )
    assert refusal(temporary) == ("UnrecognizedClientException", 400)
    request = urllib.request.Request(
        f"http://{cluster.pods['node-1'].address}:{API}/",
        b"{}",
        {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 400
    assert b"com.amazon.coral.service#MissingAuthenticationTokenException" in caught.value.read()


def test_keys_that_come_and_go_count_without_a_restart(cluster: Pods) -> None:
    pids = {pod.process.pid for pod in cluster.pods.values()}
    third, second = client(cluster, "AKIATHIRD", "third"), client(cluster, "AKIASECOND", "second/secret+", "node-2")
    assert refusal(third)[0] == "UnrecognizedClientException"
    secrets.mount(cluster.directory / "keys", {"AKIAFIRST": KEYS["AKIAFIRST"], "AKIATHIRD": b"third"})
    try:
        cluster.wait("the new key serves", lambda: succeeds(third))
        cluster.wait("the old key is refused", lambda: not succeeds(second))
        assert refusal(second) == ("UnrecognizedClientException", 400)
    finally:
        secrets.mount(cluster.directory / "keys", KEYS)
    cluster.wait("the old key serves again", lambda: succeeds(second))
    assert {pod.process.pid for pod in cluster.pods.values()} == pids


def test_a_key_without_a_secret_is_no_key(tmp_path: Path) -> None:
    secrets.mount(tmp_path, {**KEYS, "AKIAEMPTY": b" \n"})
    assert AccessKeys(tmp_path).secrets == {"AKIAFIRST": "first secret", "AKIASECOND": "second/secret+"}


def test_a_node_whose_keys_are_not_there_serves_nobody_and_says_so(tmp_path: Path) -> None:
    cluster = Pods(tmp_path, credentials_dir=str(tmp_path / "nothing"))
    try:
        pod = cluster.start("node-0", "a", 1)
        assert pod.process.wait(60) == 2
        assert "access keys" in pod.said()
    finally:
        cluster.destroy()


def succeeds(asked: Any) -> bool:
    try:
        asked.list_tables()
    except asked.exceptions.ClientError:
        return False
    return True
