"""With a directory of access keys, nodes serve those who sign with one of them, as far as its policy goes; both may
change at any time."""

import json
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
    settings = {"hot_log_mb": 16, "audit_log": str(directory / "{name}.jsonl"), "audit_level": "denied"}
    with three_pods(directory, credentials_dir=str(directory / "keys"), settings=settings) as made:
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


READ_ONLY = b"""{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:ListTables"], "Resource": "*"}
]}"""


def test_policies_that_come_change_and_go_count_without_a_restart(cluster: Pods) -> None:
    pids = {pod.process.pid for pod in cluster.pods.values()}
    second = client(cluster, "AKIASECOND", "second/secret+", "node-1")
    secrets.mount(cluster.directory / "keys", {**KEYS, "AKIASECOND.policy.json": READ_ONLY})
    try:
        cluster.wait("the policy counts", lambda: writing(second) == "AccessDeniedException")
        assert second.list_tables()["TableNames"] == ["items"]
        assert writing(client(cluster, "AKIAFIRST", "first secret", "node-1")) == ""
        # One that cannot be read takes everything away, and says whose it is.
        broken = READ_ONLY.replace(b'"Resource"', b'"Condition": {}, "Resource"')
        secrets.mount(cluster.directory / "keys", {**KEYS, "AKIASECOND.policy.json": broken})
        cluster.wait("nothing is allowed", lambda: not succeeds(second))
        assert writing(second) == "AccessDeniedException"
        (told,) = [line for line in cluster.pods["node-1"].said().splitlines() if "policy cannot be read" in line]
        assert json.loads(told)["file"] == "AKIASECOND.policy.json"
        assert json.loads(told)["error"].startswith("Statement[0]: 'Condition' is not supported")
    finally:
        secrets.mount(cluster.directory / "keys", KEYS)
    cluster.wait("the key may do everything again", lambda: writing(second) == "")
    assert {pod.process.pid for pod in cluster.pods.values()} == pids


def test_each_node_has_an_audit_log_of_its_own_and_flushes_it_at_its_end(cluster: Pods) -> None:
    """Last of this cluster's tests: a node is stopped."""
    stranger = client(cluster, "AKIASTRANGER", "guess", "node-2")
    for _ in range(3):
        assert refusal(stranger) == ("UnrecognizedClientException", 400)
    assert cluster.pods["node-2"].stop() == 0
    lines = [json.loads(line) for line in (cluster.directory / "node-2.jsonl").read_text().splitlines()]
    last = [(line["key"], line["operation"], line["tables"], line["result"]) for line in lines[-3:]]
    assert last == [("AKIASTRANGER", "PutItem", ["items"], "UnrecognizedClientException")] * 3
    others = (cluster.directory / "node-0.jsonl").read_text()
    assert "AKIASTRANGER" not in others and '"result":"ok"' not in others


def test_files_beside_keys_are_policies_or_nothing(tmp_path: Path) -> None:
    """A misspelt policy must not become a key whose secret everybody can guess."""
    policy = {"AKIAFIRST.policy.json": READ_ONLY, "AKIANOBODY.policy.json": READ_ONLY}
    misspelt = {"AKIASECOND.policy": READ_ONLY, "AKIASECOND.json": READ_ONLY, "AKIASECOND.POLICY.JSON": READ_ONLY}
    secrets.mount(tmp_path, {**KEYS, **policy, **misspelt})
    keys = AccessKeys(tmp_path)
    assert keys.secrets.keys() == {"AKIAFIRST", "AKIASECOND"}
    assert keys.policies.keys() == {"AKIAFIRST", "AKIANOBODY"}


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


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"insecure_no_auth": False}, "set credentials_dir to a directory of access keys"),
        ({"insecure_no_auth": True, "credentials_dir": "keys"}, "credentials_dir and insecure_no_auth rule each other"),
        ({"settings": {"audit_level": "some"}}, "settings.audit_level: 'some' is none of off, denied, writes, all"),
        ({"settings": {"audit_log": "/none/audit.jsonl"}}, "/none/audit.jsonl cannot be written: No such file"),
        ({"settings": {"hot_log_mb": 8}}, "settings.hot_log_mb: 8 is less than 16"),
    ],
)
def test_a_node_that_is_told_what_cannot_be_does_not_start(tmp_path: Path, config: dict[str, Any], says: str) -> None:
    cluster = Pods(tmp_path, **config)
    try:
        pod = cluster.start("node-0", "a", 1)
        assert pod.process.wait(60) == 2
        assert says in pod.said()
    finally:
        cluster.destroy()


def test_authentication_is_off_where_that_is_said_aloud(tmp_path: Path) -> None:
    cluster = Pods(tmp_path, insecure_no_auth=False)
    cluster.arguments = ["--insecure-no-auth"]
    try:
        pod = cluster.start("node-0", "a", 1)
        cluster.wait("the node answers", pod.status)
        assert "the API is open to whoever reaches it" in pod.said()
        # What is no server is not asked who may call it.
        cluster.arguments = []
        assert pod.program("ask", "GET", "/status").returncode == 0
    finally:
        cluster.destroy()


def writing(asked: Any) -> str:
    """The error's code; "" where there was none."""
    try:
        asked.put_item(TableName="items", Item={"pk": {"S": "written"}})
    except asked.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def succeeds(asked: Any) -> bool:
    try:
        asked.list_tables()
    except asked.exceptions.ClientError:
        return False
    return True
