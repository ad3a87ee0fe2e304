"""Signatures of callers who are known already, checked without taking the request apart.

The head of a client's Authorization header, all that comes before the signature, stays the same for a day. What it says
is remembered when a signature with it was found right, the long way (auth.py). A later request with that head has its
digests computed at once over the bytes as they came; and for as long as its signed headers stay the same, which is the
second that their date names, also the digests are begun already: only the body's is put in.

Whatever is unusual, or not right, is left to the long way, which finds the error's words: this one only ever says yes,
and only where that one would.
"""

import calendar
import hmac
import time
from binascii import hexlify
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final

import msgspec

from keystead_node.api.digests import Digest, SigningKeys, hmac_halves, sha256, sha256_of_little
from keystead_node.api.http_requests import Request
from keystead_node.api.signatures import ALGORITHM, SECONDS_VALID, Signature

_DATE: Final = b"x-amz-date"
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_SIGNATURE: Final = "Signature="
_HEX_DIGITS: Final = 64
_REWRITTEN: Final = (b"  ", b" \n", b": ", b"\t")
"""White space that the canonical form of a header may not have; in the middle of a value the third is only unusual."""
_HEADS_MAX: Final = 1024
_BEGUN_MAX: Final = 1024


class _Caller(msgspec.Struct, frozen=True):
    """What a head says. `scope` is DAY/REGION/dynamodb/aws4_request; `names` those of the signed headers, `values` what
    a request has for them and for its date. Raises KeyError if one is not there."""

    key_id: str
    day: str
    region: str
    scope: str
    names: tuple[bytes, ...]
    values: Callable[[Mapping[bytes, bytes]], Any]


class _Begun(msgspec.Struct, frozen=True, gc=False):
    """Digests of requests with the same headers, up to where the body counts: `canonical` lacks the body's digest,
    `inner` that of the canonical request, `outer` that of `inner`.

    Good from `since` to `until`, in seconds since 1970, while the key's secret is `secret`.
    """

    secret: str
    since: float
    until: float
    canonical: Digest
    inner: Digest
    outer: Digest


class KnownSignatures:
    """Heads by their bytes, as they were last found right; what is begun, by the head and the headers' values."""

    def __init__(self, signing_keys: SigningKeys) -> None:
        self._signing_keys = signing_keys
        self._callers: dict[bytes, _Caller] = {}
        self._begun: dict[tuple[bytes, Any], _Begun] = {}

    def remember(self, authorization: str, signature: Signature, scope: tuple[str, str, str, str]) -> None:
        """`signature`, with (key id, day, region, whole scope), was right in a request with this header."""
        head = authorization[:-_HEX_DIGITS]
        if not head.endswith(_SIGNATURE) or head + signature.signature != authorization:
            return
        names = tuple(name.encode() for name in signature.signed_headers)
        if len(self._callers) >= _HEADS_MAX:
            self._callers.clear()
        self._callers[head.encode()] = _Caller(*scope, names, itemgetter(_DATE, *names))

    def key_id(self, request: Request, now: float, secrets: Mapping[str, str]) -> str:
        """Who of `secrets` signed the request; "": look at it the long way. `now`: seconds since 1970."""
        headers = request.headers
        authorization = headers.get(b"authorization", b"")
        head = authorization[:-_HEX_DIGITS]
        caller = self._callers.get(head)
        if caller is None or request.method != b"POST" or request.target != b"/":
            return ""
        if b"x-amz-security-token" in headers or b"x-amz-content-sha256" in headers:
            return ""
        secret = secrets.get(caller.key_id)
        try:
            key = (head, caller.values(headers))
        except KeyError:
            return ""
        begun = found = self._begun.get(key)
        if found is None or found.secret != secret:
            found = self._begin(caller, headers, secret)
        if found is None or not found.since <= now <= found.until:
            return ""
        canonical = found.canonical.copy()
        canonical.update(hexlify(sha256(request.body).digest()))
        inner = found.inner.copy()
        inner.update(hexlify(canonical.digest()))
        outer = found.outer.copy()
        outer.update(inner.digest())
        if not hmac.compare_digest(hexlify(outer.digest()), authorization[-_HEX_DIGITS:]):
            return ""
        if found is not begun:
            self._keep(key, found)
        return caller.key_id

    def _keep(self, key: tuple[bytes, Any], begun: _Begun) -> None:
        """Only what led to a right signature: others than the callers may not fill the memory."""
        if len(self._begun) >= _BEGUN_MAX:
            self._begun.clear()
        self._begun[key] = begun

    def _begin(self, caller: _Caller, headers: Mapping[bytes, bytes], secret: str | None) -> _Begun | None:
        """None too for headers that would have to be rewritten first."""
        date = headers[_DATE]
        lines = b"".join([b"%b:%b\n" % (name, headers[name]) for name in caller.names])
        signed_at = _seconds(date) if date[:8] == caller.day.encode() else None
        if secret is None or signed_at is None:
            return None
        if not lines.isascii() or any(white in lines for white in _REWRITTEN):
            return None
        inner, outer = hmac_halves(self._signing_keys.key(secret, caller.day, caller.region))
        inner.update(b"%b\n%b\n%b\n" % (ALGORITHM.encode(), date, caller.scope.encode()))
        canonical = sha256_of_little(b"POST\n/\n\n%b\n%b\n" % (lines, b";".join(caller.names)))
        return _Begun(secret, signed_at - SECONDS_VALID, signed_at + SECONDS_VALID, canonical, inner, outer)


def _seconds(date: bytes) -> float | None:
    """Seconds since 1970."""
    try:
        return float(calendar.timegm(time.strptime(date.decode("ascii"), _DATE_FORMAT)))
    except ValueError:
        return None
