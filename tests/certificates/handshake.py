"""What the two ends of a connection check of each other's certificates, at any time of day."""

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import verification as v

from keystead_operator.kube.authority import CA_FILE, CERTIFICATE_FILE, KEY_FILE, Files


def shake_hands(server: Files, client: Files, server_name: str, now: datetime) -> None:
    """Raises VerificationError if either end refuses the other's certificate, AssertionError if a key is another's."""
    policy = _trusting(client, now)
    policy.build_server_verifier(x509.DNSName(server_name)).verify(_shown(server), [])
    _trusting(server, now).build_client_verifier().verify(_shown(client), [])


def _trusting(files: Files, now: datetime) -> v.PolicyBuilder:
    return v.PolicyBuilder().store(v.Store(x509.load_pem_x509_certificates(files[CA_FILE]))).time(now)


def _shown(files: Files) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificate(files[CERTIFICATE_FILE])
    assert load_pem_private_key(files[KEY_FILE], None).public_key() == certificate.public_key()
    return certificate
