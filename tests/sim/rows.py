"""How clients' keys and values stand in rows, and the digest by which rows are compared with the log (invariant 8).

Every value is written once, so that the rows alone tell which record wrote them. The digest is the XOR of a hash of
each row: the same rows have the same digest, whatever way they came about.
"""

import xxhash

Key = int
Value = int


SPREAD_FROM: Key = 1000
"""From here on row keys begin with a hash, as a table's do: dial-ups cut the space of hashes."""


def key_bytes(key: Key) -> bytes:
    plain = b"k%d" % key
    return plain if key < SPREAD_FROM else xxhash.xxh3_64_digest(plain) + plain


def key_of(row_key: bytes) -> Key:
    return int(row_key[row_key.rindex(b"k") + 1 :])


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
