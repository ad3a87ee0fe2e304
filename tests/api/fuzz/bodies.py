"""Bodies: requests as JSON text, good or spoiled, first in their members and then in their text."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.api.fuzz.shapes import MOSTLY, requests

_CHANGES = [0, 0, 0, 0, 1, 1, 2, 3]
_STRETCHED_MAX = 300
"""Characters of what is made a thousand times as long: bodies over 16 MB are another test's."""


class Raw(str):
    """JSON text that stands as it is, also where it is none."""


class Twice:
    """An object's member that is given twice, under one name."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second

    def __repr__(self) -> str:
        return f"Twice({self.first!r}, {self.second!r})"


HOSTILE = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e300),
        *map(Raw, ("1e400", "-1e400", "1E-400", "NaN", "Infinity", "-Infinity", "01", "1.", "+1", "9" * 5000)),
        *map(Raw, ('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x41"', '"\t"', '"open', "undefined", "{'a':1}")),
        *map(
            Raw,
            (
                "[" * 5000 + "]" * 5000,
                '{"a":' * 5000 + "1" + "}" * 5000,
                "[" * 100_000,
                '{"M":{"a":' * 40 + "1" + "}}" * 40,
            ),
        ),
        *(
            "",
            " ",
            "x",
            "x" * 256,
            "x" * 1025,
            "x" * 2049,
            "x" * 66_000,
            "é",
            "😀",
            "\u202e",
            "\ufffe",
            "\x00",
            "null",
            "0",
        ),
        *("TRUE", "yes", "NONE", "ALL_OLD", "AB==", "=", "2020-01-01T00:00:00Z", "arn:aws:dynamodb:x:1:table/orders"),
        *([], {}, [[]], [None], {"": ""}, {"a": {}}, [{}], {"S": "x"}, [{"S": "x"}], {"N": "1"}, {"L": [{"L": []}]}),
    ]
)


@st.composite
def bodies(draw: st.DrawFn, operation: str) -> bytes:
    """A request's body."""
    members: Any = copy.deepcopy(draw(requests(operation)))
    for _ in range(draw(st.sampled_from(_CHANGES))):
        members = _spoiled(draw, members)
    text = encoded(members).encode("utf-8", "surrogatepass")
    return text if draw(MOSTLY) else _garbled(draw, text)


def encoded(value: Any) -> str:
    """JSON, and what Raw and Twice make of it."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Twice):
        return encoded(value.second)  # moved to where nothing has a name
    if isinstance(value, list):
        return f"[{','.join(map(encoded, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(_member(str(name), content) for name, content in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _member(name: str, content: Any) -> str:
    quoted = json.dumps(name, ensure_ascii=False)
    if isinstance(content, Twice):
        return f"{quoted}:{encoded(content.first)},{quoted}:{encoded(content.second)}"
    return f"{quoted}:{encoded(content)}"


def _hostile(draw: st.DrawFn) -> Any:
    """One of HOSTILE, to be changed like all else."""
    return copy.deepcopy(draw(HOSTILE))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of every object and list inside, as (container, name or index)."""
    inside = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [found for at, member in inside for found in [(value, at), *_places(member)]]


def _spoiled(draw: st.DrawFn, members: Any) -> Any:
    """One change, anywhere."""
    places = _places(members)
    if not places:
        return _hostile(draw)
    container, at = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "replace", "drop", "add", "twice", "wrap", "swap", "stretch"])):
        case "replace":
            container[at] = _hostile(draw)
        case "drop":
            del container[at]
        case "add" if isinstance(container, dict):
            container[
                draw(st.sampled_from(["", "Extra", "S", "N", "M", "pk", "#n", ":v", "TableName", "__type", "é"]))
            ] = _hostile(draw)
        case "add":
            container.append(_hostile(draw))
        case "twice" if isinstance(container, dict):
            container[at] = (
                Twice(_hostile(draw), container[at]) if draw(st.booleans()) else Twice(container[at], _hostile(draw))
            )
        case "wrap":
            container[at] = draw(st.sampled_from([[container[at]], {"a": container[at]}, {"L": [container[at]]}]))
        case "stretch" if isinstance(container[at], str) and len(container[at]) <= _STRETCHED_MAX:
            container[at] = container[at] * draw(st.sampled_from([2, 100, 1000]))
        case "stretch" if isinstance(container[at], list):
            container[at] = container[at] * draw(st.sampled_from([2, 26, 101]))
        case _:
            other, there = draw(st.sampled_from(places))
            container[at] = (
                copy.deepcopy(other[there])
                if there in (other if isinstance(other, dict) else range(len(other)))
                else None
            )
    return members


def _garbled(draw: st.DrawFn, text: bytes) -> bytes:
    """The text cut, with bytes put in, or in another encoding."""
    at = draw(st.integers(0, len(text)))
    match draw(st.sampled_from(["cut", "insert", "tail", "head", "utf-16", "nothing"])):
        case "cut":
            return text[:at]
        case "insert":
            return (
                text[:at]
                + draw(st.sampled_from([b"\xff", b"\x00", b",", b"}", b'"', b"\\", b"\xed\xa0\x80", b"//x\n"]))
                + text[at:]
            )
        case "tail":
            return text + draw(st.sampled_from([b"}", b"{}", b" \n\t", b"\x00", b"x"]))
        case "head":
            return draw(st.sampled_from([b"\xef\xbb\xbf", b" ", b"\x00", b")]}',\n", b"[1]"])) + text
        case "utf-16":
            return text.decode("utf-8", "replace").encode("utf-16")
    return b""
