"""How clients' keys and values stand in rows, and the digest by which rows are compared with the log (invariant 8).

Every value is written once, so that the rows alone tell which record wrote them. The digest is the XOR of a hash of
each row: the same rows have the same digest, whatever way they came about.
"""

import xxhash

Key = int
Value = int


def key_bytes(key: Key) -> bytes:
    return b"k%d" % key


def value_bytes(value: Value) -> bytes:
    return b"%d" % value


def value_of(data: bytes | None) -> Value | None:
    return None if data is None else int(data)


def row_digest(key: bytes, value: bytes) -> int:
    return xxhash.xxh3_64_intdigest(b"%s=%s" % (key, value))


def digest_of(rows: dict[bytes, bytes]) -> int:
    digest = 0
    for key, value in rows.items():
        digest ^= row_digest(key, value)
    return digest
