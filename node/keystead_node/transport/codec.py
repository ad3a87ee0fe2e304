"""Frames on a connection between two nodes.

frame   = length:u32 (little-endian, of kind and body) kind:u8 body
kind    1 hello      msgpack Hello: the first frame of both sides
        2 message    one message of the core (replication/messages.py)
        3 request    id:u32 and a msgpack request (requests.py)
        4 answer     id:u32 and a msgpack Answer
"""

import struct
from typing import Final

import msgspec

from keystead_core.replication.messages import Message, MessageError, decode_message, encode_message
from keystead_node.transport.requests import Answer, Request

HELLO: Final = 1
MESSAGE: Final = 2
REQUEST: Final = 3
ANSWER: Final = 4
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
_HEAD: Final = struct.Struct("<IB")
_HEAD_ID: Final = struct.Struct("<IBI")
_ID: Final = struct.Struct("<I")


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Who speaks. Connections between clusters, or of versions that do not know each other's frames, are refused.

    `address`: where the speaker listens to peers in this boot, host:port; "" in versions that did not say it.
    `requests`: the numbers of requests beyond `ALWAYS_KNOWN` that the speaker knows: one that a node does not know is a
    bad frame to it, which costs the connection.
    """

    cluster: str
    node: str
    boot: int
    protocol: int = 1
    address: str = ""
    requests: list[int] = []


class FrameError(ValueError):
    """The peer sent what is no frame of this protocol."""


_encoder = msgspec.msgpack.Encoder()
_hello_decoder = msgspec.msgpack.Decoder(Hello)
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answer_decoder = msgspec.msgpack.Decoder(Answer)


def encode_hello(hello: Hello) -> bytes:
    body = _encoder.encode(hello)
    return _HEAD.pack(len(body) + 1, HELLO) + body


def encode_core_message(message: Message) -> bytes:
    body = encode_message(message)
    return _HEAD.pack(len(body) + 1, MESSAGE) + body


def encode_request(number: int, request: Request) -> bytes:
    body = _encoder.encode(request)
    return _HEAD_ID.pack(len(body) + 5, REQUEST, number) + body


def encode_answer(number: int, answer: Answer) -> bytes:
    body = _encoder.encode(answer)
    return _HEAD_ID.pack(len(body) + 5, ANSWER, number) + body


Frame = tuple[int, int, Hello | Message | Request | Answer]


class FrameReader:
    """Takes bytes as they arrive, gives (kind, id, body) of whole frames; the id is 0 but for requests and answers.

    Pieces of a frame that is not whole yet are put together once, when it is: a chunk of a copy comes in several.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Raises FrameError; the connection is of no use then."""
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._pieces)
            self._pieces = []
        frames: list[Frame] = []
        offset, size, view = 0, len(data), memoryview(data)
        while offset < size:
            end = offset + _HEAD.size
            if end <= size:
                length, kind = _HEAD.unpack_from(data, offset)
                if not 1 <= length <= FRAME_BYTES_MAX:
                    raise FrameError(f"a frame of {length} bytes")
                end = offset + 4 + length
            if end > size:
                self._pieces.append(data[offset:])
                self._missing = end - size
                break
            frames.append(_decode(kind, view[offset + _HEAD.size : end]))
            offset = end
        return frames


def _decode(kind: int, body: memoryview) -> Frame:
    try:
        match kind:
            case 2:
                return kind, 0, decode_message(body)
            case 3:
                return kind, _ID.unpack_from(body)[0], _request_decoder.decode(body[4:])
            case 4:
                return kind, _ID.unpack_from(body)[0], _answer_decoder.decode(body[4:])
            case 1:
                return kind, 0, _hello_decoder.decode(body)
            case _:
                raise FrameError(f"frame kind {kind} is not known")
    except (msgspec.MsgspecError, UnicodeDecodeError, MessageError, struct.error) as error:
        raise FrameError(f"frame of kind {kind}: {error}") from error
