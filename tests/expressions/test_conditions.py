"""Which items meet a condition: values by type, missing operands, precedence."""

import pytest

from keystead_core.items import Attribute
from tests.expressions.attributes import (
    FALSE,
    NULL,
    SAMPLES,
    TRUE,
    b,
    bs,
    holds,
    item,
    lst,
    mp,
    n,
    ns,
    s,
    ss,
)

COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")


def comparisons(one: Attribute, other: Attribute) -> str:
    """The comparators that hold between two attributes."""
    stored = item(x=one, y=other)
    return " ".join(operator for operator in COMPARATORS if holds(f"x {operator} y", stored))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (n(-5), n(-4)),
        (n("9.99"), n(10)),
        (n("1e-130"), n("1.1e-130")),
        (n("99999999999999999999999999999999999998"), n("99999999999999999999999999999999999999")),
        (s(""), s("a")),
        (s("Z"), s("a")),
        (s("z"), s("é")),
        (s("￿"), s("\U00010000")),
        (b("AA=="), b("/w==")),
        (b("AA=="), b("AAA=")),
    ],
)
def test_numbers_strings_and_binaries_are_ordered(low: Attribute, high: Attribute) -> None:
    assert comparisons(low, high) == "<> < <="
    assert comparisons(high, low) == "<> > >="


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (n("1e10"), n("10000000000")),
        (n("-0"), n("0.000")),
        (s("a"), s("a")),
        (b("AAE="), b("AAE=")),
    ],
)
def test_equal_scalars_are_also_at_most_and_at_least(one: Attribute, other: Attribute) -> None:
    assert comparisons(one, other) == "= <= >="


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ss("a", "b"), ss("b", "a")),
        (ns("1.0", 2), ns(2, 1)),
        (bs("AA==", "AQ=="), bs("AQ==", "AA==")),
        (lst(n(1), ss("a", "b")), lst(n("1.0"), ss("b", "a"))),
        (mp(a=n(1), b=lst()), mp(b=lst(), a=n(1))),
        (TRUE, TRUE),
        (NULL, NULL),
    ],
)
def test_sets_lists_maps_and_others_are_equal_member_by_member_and_have_no_order(
    one: Attribute, other: Attribute
) -> None:
    assert comparisons(one, other) == "="


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (s("1"), n(1)),
        (s("AAE="), b("AAE=")),
        (ss("1"), ns(1)),
        (ss("a"), lst(s("a"))),
        (lst(n(1), n(2)), lst(n(2), n(1))),
        (lst(n(1)), lst(n(1), n(1))),
        (mp(a=n(1)), mp(a=n(2))),
        (mp(a=n(1)), mp(b=n(1))),
        (ss("a"), ss("a", "b")),
        (TRUE, FALSE),
        (NULL, FALSE),
    ],
)
def test_what_differs_in_type_or_content_is_unequal_and_has_no_order_between_types(
    one: Attribute, other: Attribute
) -> None:
    assert comparisons(one, other) == "<>"


@pytest.mark.parametrize("operator", ["=", "<", "<=", ">", ">="])
def test_a_missing_operand_makes_a_comparison_false(operator: str) -> None:
    stored = item(x=n(1))
    assert not holds(f"x {operator} y", stored)
    assert not holds(f"y {operator} x", stored)
    assert not holds(f"y {operator} z", stored)


def test_not_equal_is_the_opposite_of_equal_with_missing_operands_too() -> None:
    assert holds("x <> y", item(x=n(1)))
    assert holds("y <> z", item(x=n(1)))
    assert holds("NOT y < x", item(x=n(1)))


@pytest.mark.parametrize(
    ("value", "expected"), [(n(1), False), (n(2), True), (n(3), True), (n("3.01"), False), (s("2"), False)]
)
def test_between_takes_both_bounds_and_one_type(value: Attribute, expected: bool) -> None:
    assert holds("a BETWEEN :low AND :high", item(a=value), {":low": n(2), ":high": n(3)}) is expected


def test_between_takes_bounds_from_the_item_and_sizes() -> None:
    stored = item(a=s("xyz"), low=n(2), high=n(3))
    assert holds("size(a) BETWEEN low AND high", stored)
    assert not holds("size(a) BETWEEN absent AND high", stored)


def test_in_compares_any_type_with_each_candidate() -> None:
    stored = item(a=lst(n(1)), b=n(5))
    values = {":one": s("1"), ":two": lst(n("1.0"))}
    assert holds("a IN (:one, :two)", stored, values)
    assert not holds("b IN (:one, :two)", stored, values)
    assert not holds("absent IN (:one, :two)", stored, values)
    assert holds("b IN (absent, b2, :five)", stored, {":five": n(5)})


@pytest.mark.parametrize(
    ("value", "prefix", "expected"),
    [
        (s("abc"), s("ab"), True),
        (s("abc"), s(""), True),
        (s("abc"), s("bc"), False),
        (b("AAEC"), b("AAE="), True),
        (b("AAEC"), b("AQ=="), False),
        (s("AAEC"), b("AAE="), False),
        (n(12), s("1"), False),
    ],
)
def test_begins_with_takes_strings_or_binaries(value: Attribute, prefix: Attribute, expected: bool) -> None:
    assert holds("begins_with(a, :prefix)", item(a=value), {":prefix": prefix}) is expected


@pytest.mark.parametrize(
    ("value", "part", "expected"),
    [
        (s("axb"), s("x"), True),
        (s("axb"), s(""), True),
        (s("axb"), n(1), False),
        (b("AAEC"), b("AQ=="), True),
        (b("AAEC"), s("AQ=="), False),
        (ss("x", "y"), s("x"), True),
        (ss("xz", "y"), s("x"), False),
        (ss("x", "y"), ss("x"), False),
        (ns("1.0", 2), n("1.00"), True),
        (ns(1), s("1"), False),
        (bs("AQ=="), b("AQ=="), True),
        (lst(n(1), s("a")), n("1.0"), True),
        (lst(s("axb")), s("x"), False),
        (lst(lst(n(1))), lst(n(1)), True),
        (lst(ss("a", "b")), ss("b", "a"), True),
        (lst(TRUE, NULL), NULL, True),
        (mp(a=n(1)), s("a"), False),
        (n(11), n(1), False),
    ],
)
def test_contains_finds_parts_elements_and_members(value: Attribute, part: Attribute, expected: bool) -> None:
    assert holds("contains(a, :part)", item(a=value), {":part": part}) is expected


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (s("abc"), 3),
        (s("é"), 1),
        (s("😀"), 2),
        (s(""), 0),
        (b("AAE="), 2),
        (ss("x", "y"), 2),
        (lst(n(1), n(2), n(3)), 3),
        (mp(a=n(1)), 1),
    ],
)
def test_size_counts_units_bytes_or_members(value: Attribute, size: int) -> None:
    assert holds("size(a) = :size", item(a=value), {":size": n(size)})


@pytest.mark.parametrize("value", [n(5), TRUE, NULL])
def test_what_has_no_size_is_as_if_it_were_missing(value: Attribute) -> None:
    assert not holds("size(a) >= :zero", item(a=value), {":zero": n(0)})
    assert holds("size(a) <> :zero", item(a=value), {":zero": n(0)})


def test_each_type_has_its_name() -> None:
    names = ("S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL")
    for name, value in zip(names, SAMPLES.values(), strict=True):
        assert holds("attribute_type(a, :type)", item(a=value), {":type": s(name)})
        other = "N" if name == "S" else "S"
        assert not holds("attribute_type(a, :type)", item(a=value), {":type": s(other)})
    assert not holds("attribute_type(absent, :type)", item(a=n(1)), {":type": s("NULL")})


def test_existence_is_about_the_path_not_the_value() -> None:
    stored = item(a=NULL, m=mp(x=lst(n(1))))
    for path, exists in (
        ("a", True),
        ("m.x[0]", True),
        ("m.x[1]", False),
        ("m.y", False),
        ("a.x", False),
        ("a[0]", False),
    ):
        assert holds(f"attribute_exists({path})", stored) is exists
        assert holds(f"attribute_not_exists({path})", stored) is not exists


def test_no_item_meets_only_what_missing_attributes_meet() -> None:
    assert holds("attribute_not_exists(a)", {})
    assert not holds("attribute_exists(a)", {})
    assert holds("a <> :n", {}, {":n": n(1)})


def test_names_stand_for_whole_attribute_names() -> None:
    stored = {"a.b": n(1), "a": mp(b=n(2)), "#x": n(3)}
    assert holds("#p = :n", stored, {":n": n(1)}, {"#p": "a.b"})
    assert holds("#p.#q = :n", stored, {":n": n(2)}, {"#p": "a", "#q": "b"})
    assert holds("#x = :n", stored, {":n": n(3)}, {"#x": "#x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t = :t OR t = :f AND t = :f", True),
        ("(t = :t OR t = :f) AND t = :f", False),
        ("NOT t = :f AND t = :t", True),
        ("NOT (t = :f OR t = :t)", False),
        ("NOT t = :t OR t = :t", True),
        ("NOT NOT t = :t AND t = :t", True),
        ("t BETWEEN :f AND :t AND t = :t", True),
        ("NOT t IN (:t) OR NOT t = :f", True),
        ("t = :f AND t = :f OR t = :t", True),
        ("t = :f AND (t = :f OR t = :t)", False),
    ],
)
def test_not_binds_closer_than_and_and_and_closer_than_or(text: str, expected: bool) -> None:
    values = {":t": n(1), ":f": n(0)}
    assert holds(text, item(t=n(1)), {key: value for key, value in values.items() if key in text}) is expected
