"""The bundle for bug reports: what is in it, and what is not."""

import json
import tarfile
from pathlib import Path

import pytest

from keystead_cli.redaction import REDACTED, redacted, redacted_text
from tests.kubectl.conftest import KEY, Shown

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
def bundle(shown: Shown) -> dict[str, str]:
    """Its files by name, without the directory."""
    log = shown.cluster.pods["node-1"].log
    with log.open("a") as file:
        file.write('{"event": "x", "header": "Authorization: Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"}\n')
    said = shown.ok("report", "-f", "bundle.tar.gz")
    assert "bundle.tar.gz: look through it before you send it" in said
    with tarfile.open(shown.directory / "bundle.tar.gz") as tar:
        names = tar.getnames()
        assert {name.partition("/")[0] for name in names} == {"keystead-report-orders"}
        return {name.partition("/")[2]: (tar.extractfile(name) or pytest.fail(name)).read().decode() for name in names}


def test_it_holds_objects_statuses_metrics_and_logs(bundle: dict[str, str]) -> None:
    assert json.loads(bundle["objects/storageclusters.json"])["items"][0]["metadata"] == {"name": "orders"}
    for place in ("node-0", "node-1", "node-2"):
        assert json.loads(bundle[f"nodes/orders-{place}/status.json"])["node"]["name"] == place
        assert json.loads(bundle[f"nodes/orders-{place}/map.json"])["cluster"] == "c-pods"
        assert "keystead_" in bundle[f"nodes/orders-{place}/metrics.txt"]
        assert "node started" in bundle[f"logs/orders-{place}.log"]


def test_what_could_not_be_had_is_listed_with_the_reason(bundle: dict[str, str]) -> None:
    problems = bundle["problems.txt"]
    assert "objects/services.json: Error from server (Forbidden)" in problems
    assert "logs/orders-node-0.previous.log: " in problems


def test_no_secret_is_asked_for_and_none_is_in_it(shown: Shown, bundle: dict[str, str]) -> None:
    calls = (shown.directory / "calls").read_text()
    assert "secret" not in calls.lower()
    whole = "\n".join(bundle.values())
    for secret in ("MIGHAgEAMBMGByqGSM49", "hunter2", "abc123", "eyJhbGciOi"):
        assert secret not in whole
    assert REDACTED in bundle["objects/events.json"] and REDACTED in bundle["logs/orders-node-1.log"]


def test_a_file_that_cannot_be_written_is_an_error(shown: Shown, tmp_path: Path) -> None:
    assert "No such file or directory" in shown.refused("report", "-f", str(tmp_path / "no" / "where.tar.gz"))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"before {KEY} after", "MIGHAgEAMBMGByqGSM49"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE cut off", "MHcCAQEE"),
        ("x eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrOHMifQ.c2ln y", "eyJpc3MiOiJrOHMifQ"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("Credential=AKIAIOSFODNN7EXAMPLE/20260101, Signature=0123456789abcdef0123", "0123456789abcdef0123"),
        ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("s3://backup:s3cr3t@store/bucket", "s3cr3t"),
        ("--password=open-sesame", "open-sesame"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_of_text(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redacted_text(text)
    assert REDACTED in redacted_text(text)


def test_words_that_only_sound_like_it_stay() -> None:
    text = "partition 7 epoch 3: the master's lease; tokens_total 5; ca.crt; AKIA; eyJ.; secretRef orders-keys"
    assert redacted_text(text) == text


def test_fields_that_hold_secrets_are_taken_out_and_names_of_secrets_stay() -> None:
    found = redacted(
        {
            "secretRef": {"name": "orders-keys"},
            "credentials": {"secretRef": {"name": "k"}},
            "automountServiceAccountToken": True,
            "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}, {"name": "KEYSTEAD_ZONE", "value": "a"}],
            "secretKey": "x",
            "apiKey": 7,
            "metadata": {
                "managedFields": [1],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"},
            },
        }
    )
    assert found == {
        "secretRef": {"name": "orders-keys"},
        "credentials": {"secretRef": {"name": "k"}},
        "automountServiceAccountToken": True,
        "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": REDACTED}, {"name": "KEYSTEAD_ZONE", "value": "a"}],
        "secretKey": REDACTED,
        "apiKey": REDACTED,
        "metadata": {"annotations": {}},
    }
