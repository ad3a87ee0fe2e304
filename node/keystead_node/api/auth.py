"""Who calls: whoever signs with a configured key (AWS Signature Version 4).

A signature is checked by computing it again over the method, path, query, the headers that it names, and the body. The
checks come in the order of the real service: is there a signature, is it whole, is its date recent, is its scope right,
is the key known, is the signature right.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import quote

from keystead_node.api.digests import SigningKeys
from keystead_node.api.errors import IncompleteSignature, InvalidSignature, UnrecognizedClient
from keystead_node.api.http_requests import Request
from keystead_node.api.known_signatures import KnownSignatures
from keystead_node.api.signatures import ALGORITHM, SECONDS_VALID, Signature, SignedRequest, read_signature

_SERVICE: Final = "dynamodb"
_TERMINATOR: Final = "aws4_request"
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
CLOCK_SKEW_SECONDS_MAX: Final = SECONDS_VALID


class Authenticator(Protocol):
    def __call__(self, request: SignedRequest) -> str:
        """The access key id of whoever signed the request. Raises ApiError if it may not be served."""
        ...

    def known(self, request: Request) -> str:
        """The same where that is quickly found; "" says nothing of the request."""
        ...


class SignatureV4:
    """Checks signatures against secrets by access key id, as they are then. `now`: seconds since 1970."""

    def __init__(self, secrets: Callable[[], Mapping[str, str]], now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._now = now
        self._signing_keys = SigningKeys()
        self._known = KnownSignatures(self._signing_keys)

    def known(self, request: Request) -> str:
        return self._known.key_id(request, self._now(), self._secrets())

    def __call__(self, request: SignedRequest) -> str:
        signature = read_signature(request)
        self._check_date(signature)
        key_id, day, region = _scope(signature)
        secret = self._secrets().get(key_id)
        if secret is None:
            raise UnrecognizedClient("The security token included in the request is invalid.")
        _check_signed_headers(signature)
        body_digest = hashlib.sha256(request.body).hexdigest()
        canonical = _canonical_request(request, signature, body_digest)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        scope = f"{day}/{region}/{_SERVICE}/{_TERMINATOR}"
        to_sign = f"{ALGORITHM}\n{signature.date}\n{scope}\n{digest}"
        expected = hmac.digest(self._signing_keys.key(secret, day, region), to_sign.encode(), "sha256").hex()
        # Some clients sign the body's digest as a header too; it must be that of the body then, never UNSIGNED-PAYLOAD.
        claimed = request.headers.get("x-amz-content-sha256", body_digest)
        is_right = hmac.compare_digest(expected.encode(), signature.signature.encode())
        if not is_right or claimed != body_digest:
            raise InvalidSignature(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details."
            )
        if not signature.is_presigned:
            self._known.remember(request.headers["authorization"], signature, (key_id, day, region, scope))
        return key_id

    def _check_date(self, signature: Signature) -> None:
        try:
            signed_at = datetime.strptime(signature.date, _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise IncompleteSignature(
                f"Date must be in ISO-8601 'basic format'. Got '{signature.date}'. "
                "See http://en.wikipedia.org/wiki/ISO_8601"
            ) from None
        now = datetime.fromtimestamp(self._now(), UTC)
        age = (now - signed_at).total_seconds()
        if age > signature.seconds_valid:
            raise _out_of_time("expired", signature.date, "now earlier", now, -signature.seconds_valid)
        if -age > CLOCK_SKEW_SECONDS_MAX:
            raise _out_of_time("not yet current", signature.date, "still later", now, CLOCK_SKEW_SECONDS_MAX)


def _out_of_time(what: str, date: str, than: str, now: datetime, offset_seconds: int) -> InvalidSignature:
    limit = now + timedelta(seconds=offset_seconds)
    sign, seconds = ("-", -offset_seconds) if offset_seconds < 0 else ("+", offset_seconds)
    span = f"{seconds // 60} min." if seconds % 60 == 0 else f"{seconds} sec."
    return InvalidSignature(
        f"Signature {what}: {date} is {than} than {limit.strftime(_DATE_FORMAT)} "
        f"({now.strftime(_DATE_FORMAT)} {sign} {span})"
    )


def _scope(signature: Signature) -> tuple[str, str, str]:
    """(access key id, day, region) of the credential."""
    parts = signature.credential.rstrip("/").split("/")
    if len(parts) != 5:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{signature.credential}'"
        )
    key_id, day, region, service, terminator = parts
    problems = []
    if service != _SERVICE:
        problems.append(f"Credential should be scoped to correct service: '{_SERVICE}'. ")
    if terminator != _TERMINATOR:
        problems.append(f"Credential should be scoped with a valid terminator: '{_TERMINATOR}', not '{terminator}'. ")
    if day != signature.date[:8]:
        problems.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day}' != '{signature.date[:8]}', from '{signature.date}'."
        )
    if problems:
        raise InvalidSignature("".join(problems))
    return key_id, day, region


def _check_signed_headers(signature: Signature) -> None:
    if "host" not in signature.signed_headers:
        raise InvalidSignature("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    # Whoever is given a presigned request may send that one: not another operation with the same body.
    if signature.is_presigned and "x-amz-target" not in signature.signed_headers:
        raise InvalidSignature("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")


def _canonical_request(request: SignedRequest, signature: Signature, body_digest: str) -> str:
    query = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in signature.query)
    sent = request.headers
    headers = "".join([f"{name}:{' '.join(sent.get(name, '').split())}\n" for name in signature.signed_headers])
    return "\n".join(
        (
            request.method,
            request.path or "/",
            "&".join([f"{name}={value}" for name, value in query]),
            headers,
            ";".join(signature.signed_headers),
            body_digest,
        )
    )
