"""Signatures of callers who are known already, checked without taking the request apart.

The requests of a client differ in their body, target and date, but the head of their Authorization header, all that
comes before the signature, stays the same for a day. What a head says is remembered when a signature with it was found
right, the long way (auth.py). Later requests with that head have their digest computed at once over the bytes as they
came. Whatever is unusual, or not right, is left to the long way, which finds the error's words: this one only ever says
yes, and only where that one would.
"""

import calendar
import hashlib
import hmac
import time
from typing import Final

import msgspec

from keystead_node.api.http_requests import Request
from keystead_node.api.signatures import ALGORITHM, SECONDS_VALID, Signature

_SIGNATURE: Final = b"Signature="
_ALGORITHM: Final = ALGORITHM.encode()
_REWRITTEN: Final = (b"  ", b" \n", b": ", b"\t")
"""White space that the canonical form of a header may not have; in the middle of a value the third is only unusual."""
_HEX_DIGITS: Final = 64
_HEADS_MAX: Final = 1024
_DATES_MAX: Final = 64


class Caller(msgspec.Struct, frozen=True):
    """What a head says. `scope` is DAY/REGION/dynamodb/aws4_request; `signed_line` the names of the signed headers."""

    key_id: str
    day: str
    region: str
    scope: bytes
    signed_line: bytes
    signed_headers: tuple[bytes, ...]


class KnownSignatures:
    """Heads by their bytes, as they were last found right."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Caller] = {}
        self._dates: dict[bytes, float] = {}

    def remember(self, authorization: str, signature: Signature, scope: tuple[str, str, str, str]) -> None:
        """`signature`, with (key id, day, region, whole scope), was right in a request with this header."""
        head, _, _ = authorization.rpartition(_SIGNATURE.decode())
        names = tuple(name.encode() for name in signature.signed_headers)
        key_id, day, region, whole = scope
        if len(self._heads) >= _HEADS_MAX:
            self._heads.clear()
        self._heads[head.encode()] = Caller(key_id, day, region, whole.encode(), b";".join(names), names)

    def caller(self, request: Request, now: float) -> tuple[Caller, bytes] | None:
        """Whose head the request has, and the signature in it; None: look at it the long way."""
        headers = request.headers
        head, _, signature = headers.get(b"authorization", b"").rpartition(_SIGNATURE)
        caller = self._heads.get(head)
        if caller is None or len(signature) != _HEX_DIGITS or request.method != b"POST" or request.target != b"/":
            return None
        if b"x-amz-security-token" in headers or b"x-amz-content-sha256" in headers:
            return None
        signed_at = self._seconds(headers.get(b"x-amz-date", b""), caller.day)
        if signed_at is None or abs(now - signed_at) > SECONDS_VALID:
            return None
        return caller, signature

    def _seconds(self, date: bytes, day: str) -> float | None:
        """Seconds since 1970 of a date of that day."""
        seconds = self._dates.get(date)
        if seconds is None:
            try:
                seconds = float(calendar.timegm(time.strptime(date.decode("ascii"), "%Y%m%dT%H%M%SZ")))
            except ValueError:
                return None
            if len(self._dates) >= _DATES_MAX:
                self._dates.clear()
            self._dates[date] = seconds
        return seconds if date[:8] == day.encode() else None


def is_right(request: Request, caller: Caller, signature: bytes, signing_key: hmac.HMAC) -> bool:
    """Whether the key has signed the request; False too for headers that would have to be rewritten first."""
    headers = request.headers
    try:
        lines = b"".join([b"%b:%b\n" % (name, headers[name]) for name in caller.signed_headers])
    except KeyError:
        return False
    if not lines.isascii() or any(white in lines for white in _REWRITTEN):
        return False
    body_digest = hashlib.sha256(request.body).hexdigest()
    canonical = b"POST\n/\n\n%b\n%b\n%b" % (lines, caller.signed_line, body_digest.encode())
    digest = hashlib.sha256(canonical).hexdigest()
    mac = signing_key.copy()
    mac.update(b"%b\n%b\n%b\n%b" % (_ALGORITHM, headers[b"x-amz-date"], caller.scope, digest.encode()))
    return hmac.compare_digest(mac.hexdigest().encode(), signature)
