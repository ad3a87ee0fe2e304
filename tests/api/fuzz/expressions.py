"""Expressions: good ones, the same words in any order, and texts that a careless reader would choke on."""

from hypothesis import strategies as st

PATHS = st.sampled_from(
    ["a", "b", "m.a", "l[0]", "#n", "#n.a", "m.#n[1]", "pk", "sk", "size", "l[99999999999999999999]"]
)
VALUES = st.sampled_from([":v", ":w", ":x"])
OPERANDS = st.one_of(PATHS, VALUES, PATHS.map("size({})".format))
_COMPARISONS = st.builds("{} {} {}".format, OPERANDS, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), OPERANDS)
_FUNCTIONS = st.one_of(
    st.builds("{}({})".format, st.sampled_from(["attribute_exists", "attribute_not_exists"]), PATHS),
    st.builds("{}({}, {})".format, st.sampled_from(["begins_with", "contains", "attribute_type"]), OPERANDS, OPERANDS),
    st.builds("{} BETWEEN {} AND {}".format, OPERANDS, OPERANDS, OPERANDS),
    st.builds("{} IN ({}, {})".format, OPERANDS, OPERANDS, OPERANDS),
)
CONDITIONS = st.recursive(
    _COMPARISONS | _FUNCTIONS,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["AND", "OR", "and"]), inner),
        inner.map("NOT {}".format),
        inner.map("({})".format),
    ),
    max_leaves=4,
)
KEY_CONDITIONS = st.one_of(
    st.just("pk = :v"),
    st.builds("pk = :v AND sk {} :w".format, st.sampled_from(["=", "<", "<=", ">", ">="])),
    st.just("pk = :v AND sk BETWEEN :w AND :x"),
    st.just("pk = :v AND begins_with(sk, :w)"),
    st.just("#n = :v"),
    st.just("g = :v"),
)
PROJECTIONS = st.lists(PATHS, min_size=1, max_size=4).map(", ".join)
_SUMS = st.one_of(
    OPERANDS,
    st.builds("{} {} {}".format, OPERANDS, st.sampled_from(["+", "-"]), OPERANDS),
    st.builds("if_not_exists({}, {})".format, PATHS, OPERANDS),
    st.builds("list_append({}, {})".format, OPERANDS, OPERANDS),
)
_CLAUSES = st.one_of(
    st.lists(st.builds("{} = {}".format, PATHS, _SUMS), min_size=1, max_size=3).map(
        lambda all: "SET " + ", ".join(all)
    ),
    st.lists(PATHS, min_size=1, max_size=2).map(lambda all: "REMOVE " + ", ".join(all)),
    st.builds("ADD {} {}".format, PATHS, VALUES),
    st.builds("DELETE {} {}".format, PATHS, VALUES),
)
UPDATES = st.lists(_CLAUSES, min_size=1, max_size=3).map(" ".join)

WORDS = (
    *("SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN", "size", "contains", "begins_with"),
    *("attribute_type", "if_not_exists", "list_append", "(", ")", "[", "]", ",", ".", "=", "<>", "<", ">=", "+", "-"),
    *("a", "pk", "#n", ":v", ":w", "0", "1", "#", ":", "é", "\x00", "'", '"', "\\", "--", "/*", "😀", "\u00a0"),
)
SOUP = st.lists(st.sampled_from(WORDS), max_size=12).flatmap(
    lambda words: st.sampled_from(["", " "]).map(lambda s: s.join(words))
)
HOSTILE = st.sampled_from(
    [
        "",
        " ",
        "(" * 4000,
        "(" * 2000 + "a = :v" + ")" * 2000,
        "NOT " * 1000 + "a = :v",
        " AND ".join(["a = :v"] * 400),
        "a" + ".a" * 2000,
        "a" + "[0]" * 1300,
        "a[" + "9" * 4000 + "]",
        "size(" * 800 + "a" + ")" * 800 + " = :v",
        "SET " + ", ".join(f"a{number} = :v" for number in range(350)),
        "SET a = " + "if_not_exists(a, " * 200 + ":v" + ")" * 200,
        "REMOVE " + ", ".join(f"l[{number}]" for number in range(400)),
        "a IN (" + ", ".join([":v"] * 101) + ")",
        "a = :v" + " " * 4090,
        "x" * 4097,
        "x" * 70_000,
        "a٣ = :v",
        "l[٣] = :v",
        "a = :v; DROP TABLE orders",
    ]
)


def expressions(name: str) -> st.SearchStrategy[str]:
    """Texts for the member called `name`."""
    good = {
        "KeyConditionExpression": KEY_CONDITIONS,
        "ProjectionExpression": PROJECTIONS,
        "UpdateExpression": UPDATES,
    }.get(name, CONDITIONS)
    return st.one_of(*[good] * 8, SOUP, HOSTILE)
