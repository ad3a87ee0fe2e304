"""The two places where a request carries its signature: the Authorization header, and the query string (presigned).

Authorization: AWS4-HMAC-SHA256 Credential=KEY/DAY/REGION/dynamodb/aws4_request, SignedHeaders=a;b, Signature=HEX
?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=..&X-Amz-Date=..&X-Amz-Expires=..&X-Amz-SignedHeaders=..&X-Amz-Signature=..
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from keystead_node.api.errors import (
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SECONDS_VALID: Final = 15 * 60
PRESIGNED_SECONDS_MAX: Final = 7 * 24 * 3600
_IN_HEADER: Final = ("Credential", "Signature", "SignedHeaders")
_IN_QUERY: Final = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")

Pairs = list[tuple[str, str]]


class SignedRequest(msgspec.Struct, frozen=True):
    """What a signature covers. `path` and `query` are as sent, still percent-encoded; header names in lower case.

    `body`: the bytes as they were sent, compressed if they were.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Signature(msgspec.Struct, frozen=True):
    """A signature and what it says of itself. `query`: the decoded pairs of the query string that are signed.

    `seconds_valid`: how long it may be used, counted from its date.
    """

    credential: str
    signed_headers: list[str]
    signature: str
    date: str
    query: Pairs
    is_presigned: bool = False
    seconds_valid: int = SECONDS_VALID


def read_signature(request: SignedRequest) -> Signature:
    """Raises ApiError where there is none, or not all of it."""
    header = request.headers.get("authorization")
    query = parse_qsl(request.query, keep_blank_values=True) if request.query else []
    in_query = any(name == "X-Amz-Algorithm" for name, _ in query)
    if header is not None and in_query:
        raise InvalidSignature(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
        )
    if in_query:
        return _presigned(query)
    if header is None or not header.strip().startswith("AWS4-"):
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    if "x-amz-security-token" in request.headers:
        raise _temporary()
    return _in_header(header, request.headers.get("x-amz-date", ""), query)


def claimed_key_id(request: SignedRequest) -> str:
    """The access key id that the request names, right or not; "" where it names none."""
    try:
        return read_signature(request).credential.partition("/")[0]
    except (IncompleteSignature, InvalidSignature, MissingAuthenticationToken, UnrecognizedClient):
        return ""


def _in_header(header: str, date: str, query: Pairs) -> Signature:
    algorithm, _, rest = header.strip().partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.replace(",", " ").split())
    message = "".join(
        f"Authorization header requires '{name}' parameter. " for name in _IN_HEADER if not parts.get(name)
    )
    if not date:
        message += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
    if message:
        raise IncompleteSignature(f"{message}Authorization={header}")
    _check_algorithm(algorithm)
    return Signature(parts["Credential"], parts["SignedHeaders"].split(";"), parts["Signature"], date, query)


def _presigned(query: Pairs) -> Signature:
    parts = dict(query)
    message = "".join(
        f"AWS query-string parameters must include '{name}'. " for name in _IN_QUERY if not parts.get(name)
    )
    if message:
        raise IncompleteSignature(f"{message}Re-examine the query-string parameters.")
    _check_algorithm(parts["X-Amz-Algorithm"])
    if "X-Amz-Security-Token" in parts:
        raise _temporary()
    return Signature(
        credential=parts["X-Amz-Credential"],
        signed_headers=parts["X-Amz-SignedHeaders"].split(";"),
        signature=parts["X-Amz-Signature"],
        date=parts["X-Amz-Date"],
        query=[pair for pair in query if pair[0] != "X-Amz-Signature"],
        is_presigned=True,
        seconds_valid=_seconds_valid(parts.get("X-Amz-Expires", str(SECONDS_VALID))),
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). ")


def _seconds_valid(text: str) -> int:
    if text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= PRESIGNED_SECONDS_MAX:
        return int(text)
    raise IncompleteSignature(f"X-Amz-Expires must be a number of seconds from 1 to {PRESIGNED_SECONDS_MAX}")


def _temporary() -> UnrecognizedClient:
    """Temporary credentials: none were ever given out."""
    return UnrecognizedClient("The security token included in the request is invalid.")
