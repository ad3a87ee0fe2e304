"""Generated values of the core's formats, and damaged copies of their bytes."""

from __future__ import annotations

from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from keystead_core.ids import NodeId, ReplicaId
from keystead_core.replication.membership import Member, Membership

ZONES = ("a", "b", "c")
numbers = st.integers(0, 2**63 - 1)
texts = st.text(max_size=20)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type: numbers, texts, bytes, structs, lists, pairs and alternatives of those."""
    annotation = getattr(annotation, "__supertype__", annotation)  # A NewType is its base on the wire.
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        hints = get_type_hints(annotation)
        return st.builds(annotation, **{name: values_of(hints[name]) for name in annotation.__struct_fields__})
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of([values_of(choice) for choice in inside])
    if origin is list:
        return st.lists(values_of(inside[0]), max_size=4)
    if origin is tuple:
        return st.tuples(*[values_of(part) for part in inside])
    return {
        int: numbers,
        float: st.floats(allow_nan=False),
        str: texts,
        bytes: st.binary(max_size=40),
        bool: st.booleans(),
        type(None): st.none(),
    }[annotation]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some overwritten, cut off, doubled or added: most often no longer what they were."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(("overwrite", "overwrite", "cut", "insert", "double"))):
            case "overwrite":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                data += data[at : at + 64]
    return bytes(data)


@st.composite
def memberships(draw: st.DrawFn, voters_min: int = 1) -> Membership:
    """A membership that its own rules allow: up to seven voters in up to three zones, learners beside them."""
    count = draw(st.integers(voters_min, 7))
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=count, max_size=count))
    members = [Member(ReplicaId(i + 1), NodeId(f"n{i + 1}"), zone) for i, zone in enumerate(zones)]
    if count >= 3 and draw(st.booleans()):
        members[-1] = msgspec.structs.replace(members[-1], log_only=True)
    for i in range(draw(st.integers(0, 2))):
        members.append(Member(ReplicaId(20 + i), NodeId(f"n{20 + i}"), draw(st.sampled_from(ZONES)), voter=False))
    write_quorum = draw(st.sampled_from((0, count // 2 + 1, count)))
    durable_zones = draw(st.integers(1, len(set(zones))))
    return Membership(
        draw(st.integers(1, 1000)), draw(st.integers(1, 1000)), tuple(members), write_quorum, durable_zones
    )
