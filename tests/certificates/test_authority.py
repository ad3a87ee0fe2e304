"""The operator's own certificates: what they hold, when they are renewed, and that no step locks a node out."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_operator.kube.authority import (
    AUTHORITY_DAYS,
    CA_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    LEAF_DAYS,
    TRUST_SECONDS,
    CertificateFiles,
    Files,
    expires_at,
    node_names,
    renewed,
)
from tests.certificates.handshake import shake_hands

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOTHING = CertificateFiles({}, {}, {})
TRUSTED = timedelta(seconds=TRUST_SECONDS + 1)
PEER_NAME = "node.orders.shop.keystead"


def at(held: CertificateFiles, now: datetime) -> CertificateFiles:
    return renewed(held, "orders", "shop", now)


def leaf(files: Files) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files[CERTIFICATE_FILE])


def test_nothing_changes_until_something_is_due() -> None:
    first = at(NOTHING, NOW)
    for days in (0, 1, LEAF_DAYS // 2):
        assert at(first, NOW + timedelta(days=days)) == first


def test_the_nodes_certificate_bears_the_peers_name_and_those_of_the_services() -> None:
    names = leaf(at(NOTHING, NOW).node).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [
        PEER_NAME,
        "orders",
        "orders.shop",
        "orders.shop.svc",
        "orders.shop.svc.cluster.local",
        "*.orders-peers.shop.svc",
        "localhost",
    ]


def test_certificates_are_what_openssl_takes_at_its_strictest(tmp_path: Path) -> None:
    made = at(NOTHING, datetime.now(UTC))
    for files, purpose in ((made.node, "sslserver"), (made.node, "sslclient"), (made.operator, "sslclient")):
        for name in (CA_FILE, CERTIFICATE_FILE):
            (tmp_path / name).write_bytes(files[name])
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", CA_FILE, CERTIFICATE_FILE]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_leaf_is_renewed_when_two_thirds_of_its_time_are_over() -> None:
    first = at(NOTHING, NOW)
    end = expires_at(first.node)
    assert end == NOW + timedelta(days=LEAF_DAYS)
    later = at(first, NOW + timedelta(days=LEAF_DAYS * 2 / 3))
    assert (later.authority, later.node[CA_FILE]) == (first.authority, first.node[CA_FILE])
    assert expires_at(later.node) == end + timedelta(days=LEAF_DAYS * 2 / 3)
    assert later.operator != first.operator


def test_a_new_authority_is_trusted_before_it_issues_anything() -> None:
    old = at(NOTHING, NOW)
    new = at(CertificateFiles({}, old.node, old.operator), NOW)
    assert new.authority != old.authority
    assert leaf(new.node) == leaf(old.node)
    assert new.node[CA_FILE] == new.authority[CA_FILE] + old.authority[CA_FILE]
    assert at(new, NOW + timedelta(seconds=TRUST_SECONDS - 1)) == new
    issued = at(new, NOW + TRUSTED)
    leaf(issued.node).verify_directly_issued_by(x509.load_pem_x509_certificate(new.authority[CA_FILE]))
    assert issued.node[CA_FILE] == new.node[CA_FILE]


def test_an_authority_is_no_longer_trusted_once_it_has_expired() -> None:
    held = at(NOTHING, NOW)
    first_authority = held.authority[CA_FILE]
    for day in range(0, AUTHORITY_DAYS + 10, 10):
        held = at(held, NOW + timedelta(days=day))
    assert held.authority[CA_FILE] != first_authority
    assert first_authority not in held.node[CA_FILE]


@pytest.mark.parametrize("damage", [{CERTIFICATE_FILE: b"x"}, {KEY_FILE: b""}, {KEY_FILE: b"other"}])
def test_a_leaf_that_cannot_be_used_is_issued_anew_at_once(damage: Files) -> None:
    first = at(NOTHING, NOW)
    if damage.get(KEY_FILE) == b"other":
        damage = {KEY_FILE: first.operator[KEY_FILE]}
    mended = at(CertificateFiles(first.authority, first.node | damage, first.operator), NOW)
    shake_hands(mended.node, first.operator, PEER_NAME, NOW)
    assert mended.operator == first.operator


def test_names_longer_than_a_common_name_may_be_are_no_hindrance() -> None:
    made = renewed(NOTHING, "c" * 63, "n" * 63, NOW)
    assert expires_at(made.node) is not None
    assert len(node_names("c" * 63, "n" * 63)[0]) > 64


@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["", "ca", "tls", "operator"])), max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_node_that_is_one_step_behind_is_never_locked_out(steps: list[tuple[int, str]]) -> None:
    """Days pass, Secrets vanish, the operator looks twice a step: nodes with the files before and after agree."""
    now = datetime.now(UTC)
    held = at(NOTHING, now)
    for days, lost in steps:
        now += timedelta(days=days)
        # The operator looks more often than any certificate lives.
        for back in range(days - 1, -1, -25):
            before, held = held, at(held, now - timedelta(days=back))
            if leaf(before.node).not_valid_after_utc > now - timedelta(days=back):
                for one, other in ((before, held), (held, before)):
                    shake_hands(one.node, other.node, PEER_NAME, now - timedelta(days=back))
                    shake_hands(one.node, other.operator, PEER_NAME, now - timedelta(days=back))
        # A lost Secret of leaves is issued anew by an authority that everybody trusts; a lost authority is replaced.
        if lost == "tls" and len(held.node[CA_FILE].split(b"BEGIN")) > 2:
            lost = ""
        gone = CertificateFiles(
            {} if lost == "ca" else held.authority,
            {} if lost == "tls" else held.node,
            {} if lost == "operator" else held.operator,
        )
        before, held = held, at(gone, now)
        shake_hands(before.node, held.node, PEER_NAME, now)
        shake_hands(held.node, before.node, PEER_NAME, now)
        assert at(held, now) == held


def test_handshakes_of_this_test_do_fail_where_they_should() -> None:
    ours, theirs = at(NOTHING, NOW), at(NOTHING, NOW)
    for server, client, name in ((ours, theirs, PEER_NAME), (ours, ours, "node.other.shop.keystead")):
        with pytest.raises(VerificationError):
            shake_hands(server.node, client.node, name, NOW)
    with pytest.raises(VerificationError):
        shake_hands(ours.node, ours.node, PEER_NAME, NOW + timedelta(days=LEAF_DAYS + 1))
