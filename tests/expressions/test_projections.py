"""A projection is the part of an item that its paths lead to, in place."""

import msgspec
import pytest

from keystead_core.expressions import check_scalar_keys, paths_of, project
from keystead_core.items import Item
from tests.expressions.attributes import HASH_RANGE, item, lst, mp, n, projection, refusal, s

STORED = item(
    pk=s("k"),
    a=s("x"),
    l=lst(n(1), n(2), lst(n(7), n(8)), mp(p=n(1), q=n(2))),
    m=mp(x=n(1), y=lst(s("p"), s("q")), z=mp(w=n(1))),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {"a": s("x")}),
        ("pk, a, fresh", {"pk": s("k"), "a": s("x")}),
        ("m.x", {"m": mp(x=n(1))}),
        ("m.y[1], m.x", {"m": mp(y=lst(s("q")), x=n(1))}),
        ("m.z.w, m.z.v", {"m": mp(z=mp(w=n(1)))}),
        ("l[0], l[2][1], l[3].q", {"l": lst(n(1), lst(n(8)), mp(q=n(2)))}),
        ("l[2], l[0]", {"l": lst(n(1), lst(n(7), n(8)))}),
        ("l[2][1], l[2][0]", {"l": lst(lst(n(7), n(8)))}),
        ("l[0].x, l[1]", {"l": lst(n(2))}),
        ("fresh, m.fresh, m.z.v, l[9], l[2][9]", {}),
        ("m[0]", {}),
        ("l.x", {}),
        ("a.b, pk", {"pk": s("k")}),
    ],
)
def test_a_projection_keeps_what_its_paths_lead_to(text: str, expected: Item) -> None:
    assert project(projection(text), STORED) == expected


def test_list_elements_close_ranks_in_the_order_of_the_list() -> None:
    stored = item(l=lst(*map(n, range(20))))
    assert project(projection("l[11], l[2], l[100], l[10]"), stored) == {"l": lst(n(2), n(10), n(11))}


def test_names_stand_in_a_projection() -> None:
    stored = {"a.b": mp(name=n(1), c=n(2))}
    assert project(projection("#a.#n", {"#a": "a.b", "#n": "name"}), stored) == {"a.b": mp(name=n(1))}


@pytest.mark.parametrize(
    ("text", "verb", "one", "two"),
    [
        ("a, a", "overlap", "[a]", "[a]"),
        ("m, m.x", "overlap", "[m]", "[m, x]"),
        ("m.x, m", "overlap", "[m, x]", "[m]"),
        ("l[1], l[1]", "overlap", "[l, [1]]", "[l, [1]]"),
        ("m.x, m[0]", "conflict", "[m, x]", "[m, [0]]"),
        ("l[0], l.x", "conflict", "[l, [0]]", "[l, x]"),
        ("m.y, m.x, m, m.z.w", "overlap", "[m]", "[m, z, w]"),
        ("a, a, n.x, n[1]", "conflict", "[n, x]", "[n, [1]]"),
    ],
)
def test_paths_of_a_projection_keep_out_of_each_others_way(text: str, verb: str, one: str, two: str) -> None:
    assert refusal(projection, text) == (
        f"Invalid ProjectionExpression: Two document paths {verb} with each other; "
        f"must remove or rewrite one of these paths; path one: {one}, path two: {two}"
    )


@pytest.mark.parametrize(("text", "key"), [("pk.x", "pk"), ("a, sk[0]", "sk")])
def test_a_path_may_not_lead_into_a_key_attribute(text: str, key: str) -> None:
    assert refusal(check_scalar_keys, paths_of(projection(text)), HASH_RANGE) == (
        f"Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: {key}"
    )
    of_index = msgspec.structs.replace(HASH_RANGE, index="by-pk")
    assert refusal(check_scalar_keys, paths_of(projection(text)), of_index).endswith(f"IndexKey: {key}")
