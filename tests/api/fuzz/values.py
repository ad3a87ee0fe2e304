"""What requests are made of: values, names and keys, mostly good ones, of the tables that the fuzz works on."""

from typing import Any

from hypothesis import strategies as st

TABLES: dict[str, dict[str, str]] = {
    "orders": {"pk": "S"},
    "lines": {"pk": "S", "sk": "N"},
    "blobs": {"pk": "B", "sk": "B"},
    "kept": {"pk": "N"},
}
"""The tables that there are, with their keys; `kept` is protected against deletion."""
INDEXED, LOCAL_INDEX, GLOBAL_INDEX = "lines", "by-g", "of-g"
"""The one table that has indexes."""
INDEX_NAMES = st.sampled_from([LOCAL_INDEX, GLOBAL_INDEX, "none", "ab", ""])
ARN = "arn:aws:dynamodb:keystead:000000000000:table/"

KEY_VALUES: dict[str, list[str]] = {
    "S": ["a", "b", "é", "\x00", "k" * 2048, "k" * 2049, ""],
    "N": ["1", "2", "-1.5", "1E125", "1E-130", "1E126", "1.50E1", "", "x"],
    "B": ["AAE=", "/w==", "AB==", "", "A"],
}
ATTRIBUTE_NAMES = st.sampled_from(["a", "b", "c", "g", "m", "l", "pk", "sk", "size", "a.b", "", "é", "x" * 255])
TABLE_NAMES = st.sampled_from(
    [*TABLES] * 4
    + [ARN + name for name in TABLES]
    + ["none", "ab", "a" * 256, "bad name", "", ARN + "none", "arn:aws:x"]
)

STRINGS = st.sampled_from(["", "x", "abc", "\x00", "é", "😀", "\u2028", "x" * 300])
NUMBERS = st.sampled_from(["0", "1", "-1", "3.14", "1e5", "-0", "007", "9" * 38, "9.99E+125", "1E-130", "+1"])
BAD_NUMBERS = st.sampled_from(
    ["", " 1", "1_0", "0x10", "NaN", "Infinity", "1" * 39, "1E126", "1E-131", "1E99999999999999999999", "٣", ".", "1e"]
)
BINARIES = st.sampled_from(["", "AAE=", "/w==", "AAAA"])
BAD_BINARIES = st.sampled_from(["=", "A", "AB==", "AA==AA==", "A A=", "####", "AAE", "é===", "AAE=\n"])


def _sets(members: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(members, max_size=3)


def _typed(
    strings: st.SearchStrategy[str], numbers: st.SearchStrategy[str], binaries: st.SearchStrategy[str]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.fixed_dictionaries({"S": strings}),
        st.fixed_dictionaries({"N": numbers}),
        st.fixed_dictionaries({"B": binaries}),
        st.fixed_dictionaries({"BOOL": st.booleans()}),
        st.fixed_dictionaries({"NULL": st.booleans()}),
        st.fixed_dictionaries({"SS": _sets(strings)}),
        st.fixed_dictionaries({"NS": _sets(numbers)}),
        st.fixed_dictionaries({"BS": _sets(binaries)}),
    )


SCALARS = _typed(STRINGS, NUMBERS, BINARIES)
ODD = _typed(STRINGS, BAD_NUMBERS, BAD_BINARIES) | st.sampled_from(
    [{}, {"S": "x", "N": "1"}, {"X": "x"}, {"S": None}, {"SS": [None]}, {"L": [None]}, {"M": {"": None}}, {"s": "x"}]
)
VALUES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=2)}),
        st.fixed_dictionaries({"M": st.dictionaries(ATTRIBUTE_NAMES, inner, max_size=2)}),
    ),
    max_leaves=3,
)
ANY_VALUES = st.one_of(*[VALUES] * 6, *[st.sampled_from([{"N": "1"}, {"S": "x"}])] * 4, ODD)


def keys_of(table: str) -> st.SearchStrategy[dict[str, Any]]:
    """Keys of one of TABLES, the first three values of each type being good ones."""
    members = {
        name: st.sampled_from(KEY_VALUES[kind][:3] * 4 + KEY_VALUES[kind]).map(lambda value, kind=kind: {kind: value})
        for name, kind in TABLES[table].items()
    }
    return st.fixed_dictionaries(members)
