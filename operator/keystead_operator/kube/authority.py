"""A cluster's own certificates: the authority, the nodes' certificate and the operator's. Files in, files out.

    Secret C-ca            ca.crt ca.key            the authority; only the operator reads it
    Secret C-tls           ca.crt tls.crt tls.key   all nodes; ca.crt holds every authority that is trusted
    Secret C-operator-tls  ca.crt tls.crt tls.key   the operator and `kubectl keystead`

`renewed` says what they should hold now; while nothing is due that is what they hold. Each lives for a time and is
renewed when two thirds of it are over. A new authority is first only trusted beside the old one; certificates of its
own making come when everybody has surely read that, TRUST_SECONDS later, and the old one is trusted until it expires.
So each step may be taken while every other node is one step behind.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 3 * 365
LEAF_DAYS: Final = 90
TRUST_SECONDS: Final = 600
"""Longer than a changed Secret takes to reach every running pod, and a node to read its files again."""
BACKDATED: Final = timedelta(hours=1)
"""Clocks of other machines may be behind."""
NAME_LENGTH_MAX: Final = 64

CA_FILE: Final = "ca.crt"
CA_KEY_FILE: Final = "ca.key"
CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"

Files = dict[str, bytes]


class CertificateFiles(msgspec.Struct, frozen=True):
    """What the three Secrets hold, in PEM; {} for one that is not there."""

    authority: Files
    node: Files
    operator: Files


class _Pair(msgspec.Struct, frozen=True):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def node_names(cluster: str, namespace: str) -> list[str]:
    """Names in the nodes' certificate: the fixed one that peers check first, then those that clients use."""
    services = [cluster, f"{cluster}.{namespace}", f"{cluster}.{namespace}.svc"]
    return [
        f"node.{cluster}.{namespace}.keystead",
        *services,
        f"{cluster}.{namespace}.svc.cluster.local",
        f"*.{cluster}-peers.{namespace}.svc",
        "localhost",
    ]


def operator_names(cluster: str, namespace: str) -> list[str]:
    """The name by which the admin ports know the operator."""
    return [f"operator.{cluster}.{namespace}.keystead"]


def renewed(held: CertificateFiles, cluster: str, namespace: str, now: datetime) -> CertificateFiles:
    """What the Secrets should hold at `now` (with a time zone). Files that cannot be read count as not there."""
    authority = _pair(held.authority, CA_FILE, CA_KEY_FILE)
    if authority is None or (renewal_is_due(authority.certificate, now) and _may_follow(authority, held, now)):
        authority = _make_authority(cluster, now)
    trusted = _trusted(authority.certificate, held.node.get(CA_FILE) or held.operator.get(CA_FILE, b""), now)
    bundle = b"".join(_pem(certificate) for certificate in trusted)
    return CertificateFiles(
        {CA_FILE: _pem(authority.certificate), CA_KEY_FILE: _key_pem(authority.key)},
        _leaf_files(held.node, authority, trusted, node_names(cluster, namespace), now) | {CA_FILE: bundle},
        _leaf_files(held.operator, authority, trusted, operator_names(cluster, namespace), now) | {CA_FILE: bundle},
    )


def _may_follow(authority: _Pair, held: CertificateFiles, now: datetime) -> bool:
    """Whether another authority may be made: no leaf has to be issued before everybody trusts that one.

    A leaf that is due or missing is first issued by the old authority, as long as that lives.
    """
    leaves = [_pair(files, CERTIFICATE_FILE, KEY_FILE) for files in (held.node, held.operator)]
    lasting = all(
        leaf is not None and _has_arrived(leaf, now) and not renewal_is_due(leaf.certificate, now) for leaf in leaves
    )
    return lasting or authority.certificate.not_valid_after_utc <= now + timedelta(days=LEAF_DAYS)


def renewal_is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Two thirds of its time are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= end - (end - begin) / 3


def expires_at(files: Files) -> datetime | None:
    """When the certificate of a Secret of leaves ends; None where there is none that can be read."""
    pair = _pair(files, CERTIFICATE_FILE, KEY_FILE)
    return pair.certificate.not_valid_after_utc if pair is not None else None


def _trusted(own: x509.Certificate, bundle: bytes, now: datetime) -> list[x509.Certificate]:
    """The authority, and those trusted so far that have not expired."""
    try:
        others = x509.load_pem_x509_certificates(bundle) if bundle.strip() else []
    except ValueError:
        others = []
    return [own, *(other for other in others if other != own and other.not_valid_after_utc > now)]


def _leaf_files(
    files: Files, authority: _Pair, trusted: Sequence[x509.Certificate], names: list[str], now: datetime
) -> Files:
    leaf = _pair(files, CERTIFICATE_FILE, KEY_FILE)
    if (
        leaf is None
        or not _is_usable(leaf.certificate, trusted, now)
        or _is_to_be_replaced(leaf, authority, names, now)
    ):
        leaf = _issue(authority, names, now)
        return {CERTIFICATE_FILE: _pem(leaf.certificate), KEY_FILE: _key_pem(leaf.key)}
    return {CERTIFICATE_FILE: files[CERTIFICATE_FILE], KEY_FILE: files[KEY_FILE]}


def _is_usable(leaf: x509.Certificate, trusted: Sequence[x509.Certificate], now: datetime) -> bool:
    return leaf.not_valid_after_utc > now and any(_is_issued_by(leaf, authority) for authority in trusted)


def _is_to_be_replaced(leaf: _Pair, authority: _Pair, names: list[str], now: datetime) -> bool:
    """Whether it is due, and a certificate of the authority would be trusted by everybody."""
    certificate = leaf.certificate
    if not _has_arrived(authority, now):
        return False
    return (
        renewal_is_due(certificate, now)
        or not _is_issued_by(certificate, authority.certificate)
        or _names_of(certificate) != names
    )


def _has_arrived(pair: _Pair, now: datetime) -> bool:
    """Made so long ago that every pod has read it."""
    return now >= pair.certificate.not_valid_before_utc + BACKDATED + timedelta(seconds=TRUST_SECONDS)


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names_of(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _make_authority(cluster: str, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"keystead {serial:x}"[:17] + f" {cluster}")
    builder = _builder(name, name, key.public_key(), serial, now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _Pair(_signed(builder, key, x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())), key)


def _issue(authority: _Pair, names: list[str], now: datetime) -> _Pair:
    """A certificate of these names, for both ends of a connection."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    builder = _builder(_name(names[0]), issuer.subject, key.public_key(), x509.random_serial_number(), now, LEAF_DAYS)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
    ):
        builder = builder.add_extension(extension, critical)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return _Pair(_signed(builder, authority.key, identifier), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(serial)
    builder = builder.not_valid_before(now - BACKDATED).not_valid_after(now + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, identifier: x509.AuthorityKeyIdentifier
) -> x509.Certificate:
    return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:NAME_LENGTH_MAX])])


def _pair(files: Files, certificate_file: str, key_file: str) -> _Pair | None:
    """None where a file is missing, is none of that kind, or the two do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(files[certificate_file])
        key = serialization.load_pem_private_key(files[key_file], None)
    except (KeyError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return _Pair(certificate, key)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
