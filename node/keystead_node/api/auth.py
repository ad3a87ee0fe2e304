"""Who may call: anyone (embedded mode), or whoever signs with a configured key (AWS Signature Version 4).

A signature is checked by computing it again over the method, path, query, the headers that it names, and the body. The
checks come in the order of the real service: is there a signature, is it whole, is its date recent, is its scope right,
is the key known, is the signature right.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import parse_qsl, quote

import msgspec

from keystead_node.api.errors import (
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "dynamodb"
_TERMINATOR: Final = "aws4_request"
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
CLOCK_SKEW_SECONDS_MAX: Final = 15 * 60


class SignedRequest(msgspec.Struct, frozen=True):
    """What a signature covers. `path` and `query` are as sent, still percent-encoded; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Authenticator(Protocol):
    def __call__(self, request: SignedRequest) -> None:
        """Raises ApiError if the request may not be served."""
        ...


class _Signature(msgspec.Struct, frozen=True):
    credential: str
    signed_headers: str
    signature: str
    date: str


class SignatureV4:
    """Checks signatures against secrets by access key id, as they are then. `now`: seconds since 1970."""

    def __init__(self, secrets: Callable[[], Mapping[str, str]], now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._now = now
        self._signing_keys: dict[tuple[str, str, str], bytes] = {}

    def __call__(self, request: SignedRequest) -> None:
        signature = _parse(request)
        self._check_date(signature)
        key_id, day, region = _scope(signature)
        secret = self._secrets().get(key_id)
        if secret is None or "x-amz-security-token" in request.headers:  # temporary credentials: none were ever given
            raise UnrecognizedClient("The security token included in the request is invalid.")
        if "host" not in signature.signed_headers.split(";"):
            raise InvalidSignature("'Host' must be a 'SignedHeader' in the AWS Authorization.")
        body_digest = hashlib.sha256(request.body).hexdigest()
        canonical = _canonical_request(request, signature, body_digest)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        scope = f"{day}/{region}/{_SERVICE}/{_TERMINATOR}"
        to_sign = f"{_ALGORITHM}\n{signature.date}\n{scope}\n{digest}"
        expected = hmac.new(self._signing_key(secret, day, region), to_sign.encode(), hashlib.sha256)
        # Some clients sign the body's digest as a header too; it must be that of the body then, never UNSIGNED-PAYLOAD.
        claimed = request.headers.get("x-amz-content-sha256", body_digest)
        is_right = hmac.compare_digest(expected.hexdigest().encode(), signature.signature.encode())
        if not is_right or claimed != body_digest:
            raise InvalidSignature(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details."
            )

    def _check_date(self, signature: _Signature) -> None:
        try:
            signed_at = datetime.strptime(signature.date, _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise IncompleteSignature(
                f"Date must be in ISO-8601 'basic format'. Got '{signature.date}'. "
                "See http://en.wikipedia.org/wiki/ISO_8601"
            ) from None
        now = datetime.fromtimestamp(self._now(), UTC)
        age = (now - signed_at).total_seconds()
        if abs(age) > CLOCK_SKEW_SECONDS_MAX:
            what, sign = ("expired", "-") if age > 0 else ("not yet current", "+")
            than = "now earlier" if age > 0 else "still later"
            limit = now + timedelta(seconds=-CLOCK_SKEW_SECONDS_MAX if age > 0 else CLOCK_SKEW_SECONDS_MAX)
            raise InvalidSignature(
                f"Signature {what}: {signature.date} is {than} than {limit.strftime(_DATE_FORMAT)} "
                f"({now.strftime(_DATE_FORMAT)} {sign} 15 min.)"
            )

    def _signing_key(self, secret: str, day: str, region: str) -> bytes:
        name = (secret, day, region)
        key = self._signing_keys.get(name)
        if key is None:
            key = f"AWS4{secret}".encode()
            for part in (day, region, _SERVICE, _TERMINATOR):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            if len(self._signing_keys) >= 1024:
                self._signing_keys.clear()  # a key serves one day and region
            self._signing_keys[name] = key
        return key


def _parse(request: SignedRequest) -> _Signature:
    header = request.headers.get("authorization")
    in_query = "X-Amz-Algorithm" in dict(parse_qsl(request.query, keep_blank_values=True))
    if header is not None and in_query:
        raise InvalidSignature(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
        )
    if in_query:
        raise IncompleteSignature("Signatures in the query string are not supported by Keystead yet")
    if header is None or not header.strip().startswith("AWS4-"):
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    algorithm, _, rest = header.strip().partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.replace(",", " ").split())
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parts.get(name)]
    message = "".join(f"Authorization header requires '{name}' parameter. " for name in missing)
    date = request.headers.get("x-amz-date", "")
    if not date:
        message += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
    if message:
        raise IncompleteSignature(f"{message}Authorization={header}")
    if algorithm != _ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm}' (only {_ALGORITHM} for now). ")
    return _Signature(parts["Credential"], parts["SignedHeaders"], parts["Signature"], date)


def _scope(signature: _Signature) -> tuple[str, str, str]:
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


def _canonical_request(request: SignedRequest, signature: _Signature, body_digest: str) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(request.query, keep_blank_values=True)
    )
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signature.signed_headers.split(";")
    )
    return "\n".join(
        (
            request.method,
            request.path or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            signature.signed_headers,
            body_digest,
        )
    )
