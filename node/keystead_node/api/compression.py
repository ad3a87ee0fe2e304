"""gzip of bodies: requests that come compressed, and answers for clients that ask for it.

The checksum and the signature are of the bytes as they travel, compressed ones: so the service and its clients have it.
Compressed requests are as small or large as others: what they unfold to is bounded while it unfolds.
"""

import asyncio
import gzip
import zlib
from typing import Final

from keystead_node.api.errors import SerializationException
from keystead_node.api.http_requests import BODY_BYTES_MAX

ANSWER_BYTES_MIN: Final = 1024
ENCODING_LINE: Final = b"Content-Encoding: gzip\r\n"
_GZIP: Final = b"gzip"
_WINDOW_BITS: Final = 16 + zlib.MAX_WBITS  # with the header of gzip
_LEVEL: Final = 1
_BYTES_AT_ONCE_MAX: Final = 64 * 1024


def is_gzip(content_encoding: bytes) -> bool:
    return content_encoding.strip().lower() == _GZIP


def unfolded(body: bytes, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """What a gzip body holds. Raises SerializationException if it is none, ends early, or holds more.

    One member of gzip, as clients send it.
    """
    unfolding = zlib.decompressobj(_WINDOW_BITS)
    try:
        content = unfolding.decompress(body, bytes_max + 1)
    except zlib.error:
        raise SerializationException("The request body is not valid gzip") from None
    if len(content) > bytes_max:
        raise SerializationException(f"The request body has more than {bytes_max} bytes when it is decompressed")
    if not unfolding.eof or unfolding.unused_data:
        raise SerializationException("The request body ends within its gzip data, or goes on behind it")
    return content


def takes_gzip(accept_encoding: bytes) -> bool:
    """Whether the client names gzip, and not as what it does not want."""
    for choice in accept_encoding.lower().split(b","):
        coding, _, weight = choice.partition(b";")
        if coding.strip() == _GZIP:
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


async def folded(body: bytes) -> bytes:
    """The body as gzip. Large ones in a thread: the event loop has other requests."""
    if len(body) <= _BYTES_AT_ONCE_MAX:
        return gzip.compress(body, _LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
