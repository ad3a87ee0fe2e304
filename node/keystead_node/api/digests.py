"""SHA-256 and HMAC as signatures need them: begun once, copied, and ended many times; keys that are made of secrets.

Digests of little are by the interpreter's own SHA-256: OpenSSL's is twice as fast a byte, and takes longer to begin.
"""

import hashlib
import hmac
import importlib
from collections.abc import Callable
from typing import Final, Protocol

_LITTLE_BYTES_MAX: Final = 384
_BLOCK_BYTES: Final = 64
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_SIGNING_KEYS_MAX: Final = 1024
_SERVICE: Final = b"dynamodb"
_TERMINATOR: Final = b"aws4_request"


class Digest(Protocol):
    """One that is begun, as hashlib's are."""

    def copy(self) -> "Digest": ...
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


def _own_sha256() -> Callable[[bytes], Digest]:
    """The interpreter's own, by the name that its version has for it; it may have been built without."""
    for name in ("_sha2", "_sha256"):
        try:
            found: Callable[[bytes], Digest] = importlib.import_module(name).sha256
        except (ImportError, AttributeError):
            continue
        return found
    return hashlib.sha256


sha256_of_little: Final = _own_sha256()


def sha256(data: bytes) -> Digest:
    return sha256_of_little(data) if len(data) <= _LITTLE_BYTES_MAX else hashlib.sha256(data)


def hmac_halves(key: bytes) -> tuple[Digest, Digest]:
    """HMAC-SHA256 as RFC 2104 has it: the first takes the message, the second the first one's digest. Raises
    ValueError for a key that is longer than a block."""
    if len(key) > _BLOCK_BYTES:
        raise ValueError("the key is longer than a block")
    block = key.ljust(_BLOCK_BYTES, b"\0")
    return sha256_of_little(block.translate(_INNER_PAD)), sha256_of_little(block.translate(_OUTER_PAD))


class SigningKeys:
    """The keys that requests are signed with, each good for one day and region."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str, str], bytes] = {}

    def key(self, secret: str, day: str, region: str) -> bytes:
        name = (secret, day, region)
        key = self._keys.get(name)
        if key is None:
            key = f"AWS4{secret}".encode()
            for part in (day.encode(), region.encode(), _SERVICE, _TERMINATOR):
                key = hmac.digest(key, part, "sha256")
            if len(self._keys) >= _SIGNING_KEYS_MAX:
                self._keys.clear()
            self._keys[name] = key
        return key
