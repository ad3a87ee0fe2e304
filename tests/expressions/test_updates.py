"""What updates make of an item, how they are refused, and what UPDATED_OLD and UPDATED_NEW show of them."""

import copy

import pytest

from keystead_core.expressions import apply_update, check_update, project
from keystead_core.items import Attribute, Item
from tests.expressions.attributes import (
    HASH_RANGE,
    NULL,
    SAMPLES,
    bs,
    item,
    lst,
    mp,
    n,
    ns,
    refusal,
    s,
    ss,
    update,
    used,
)

INVALID_PATH = "The document path provided in the update expression is invalid for update"
INCORRECT_TYPE = "An operand in the update expression has an incorrect data type"
NO_ATTRIBUTE = "The provided expression refers to an attribute that does not exist in the item"


def stored_item() -> Item:
    return item(
        pk=s("k"),
        a=s("old"),
        n=n(5),
        l=lst(n(1), n(2), lst(n(7), n(8)), mp(p=n(1))),
        m=mp(x=n(1), y=lst(s("p"), s("q"))),
        ss=ss("x", "y"),
        ns=ns(1, 2),
        u=NULL,
    )


def updated(text: str, stored: Item | None = None, values: dict[str, Attribute] | None = None) -> Item:
    before = stored_item() if stored is None else stored
    kept = copy.deepcopy(before)
    after = apply_update(update(text, values or used(text)), before).item
    assert before == kept, "an item is never changed in place"
    return after


def changes(text: str, values: dict[str, Attribute] | None = None) -> Item:
    """The attributes that an update of the stored item leaves different; what it removes is {}."""
    before, after = stored_item(), updated(text, None, values)
    names = [*after, *(name for name in before if name not in after)]
    return {name: after.get(name, {}) for name in names if before.get(name) != after.get(name)}


def refused(text: str, values: dict[str, Attribute] | None = None) -> str:
    return refusal(apply_update, update(text, values or used(text)), stored_item())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET a = :s", {"a": s("x")}),
        ("SET fresh = :m", {"fresh": mp(a=n(1))}),
        ("SET a = :u", {"a": NULL}),
        ("SET a = m.y[1]", {"a": s("q")}),
        ("SET a = n + :n", {"a": n(6)}),
        ("SET a = (n - :n)", {"a": n(4)}),
        ("SET a = (n) + (n)", {"a": n(10)}),
        ("SET a = n-:n", {"a": n(4)}),
        ("SET n = n + m.x", {"n": n(6)}),
        ("SET a = if_not_exists(n, :s)", {"a": n(5)}),
        ("SET a = if_not_exists(fresh, :s)", {"a": s("x")}),
        ("SET a = if_not_exists(m.z[3], if_not_exists(m.x, :s))", {"a": n(1)}),
        ("SET fresh = if_not_exists(fresh, :n) + :n", {"fresh": n(2)}),
        ("SET a = list_append(m.y, :l)", {"a": lst(s("p"), s("q"), n(1))}),
        ("SET a = list_append(:l, m.y)", {"a": lst(n(1), s("p"), s("q"))}),
        ("SET a = list_append(m.y, m.y)", {"a": lst(s("p"), s("q"), s("p"), s("q"))}),
        ("SET a = list_append(if_not_exists(fresh, :l), :l)", {"a": lst(n(1), n(1))}),
        ("SET m.z = :s", {"m": mp(x=n(1), y=lst(s("p"), s("q")), z=s("x"))}),
        ("SET m.y[0] = :s", {"m": mp(x=n(1), y=lst(s("x"), s("q")))}),
        ("SET m.y[1] = m", {"m": mp(x=n(1), y=lst(s("p"), mp(x=n(1), y=lst(s("p"), s("q")))))}),
        ("REMOVE a, n, fresh", {"a": {}, "n": {}}),
        ("REMOVE m.x, m.fresh", {"m": mp(y=lst(s("p"), s("q")))}),
        ("ADD n :n", {"n": n(6)}),
        ("ADD fresh :n", {"fresh": n(1)}),
        ("ADD m.x :n, m.z :n", {"m": mp(x=n(2), y=lst(s("p"), s("q")), z=n(1))}),
        ("DELETE ss :ss", {"ss": ss("y")}),
        ("DELETE fresh :ss, m.z :ss", {}),
        ("SET a = :s REMOVE n ADD fresh :ns DELETE ss :ss", {"a": s("x"), "n": {}, "fresh": ns(1), "ss": ss("y")}),
        ("delete ss :ss add n :n set a = :s remove u", {"ss": ss("y"), "n": n(6), "a": s("x"), "u": {}}),
    ],
)
def test_an_update_changes_what_it_names(text: str, expected: Item) -> None:
    assert changes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET a = n, n = a", {"a": n(5), "n": s("old")}),
        ("SET m.y[0] = m.y[1], m.y[1] = m.y[0]", {"m": mp(x=n(1), y=lst(s("q"), s("p")))}),
        ("REMOVE m.x SET m.z = m.x", {"m": mp(y=lst(s("p"), s("q")), z=n(1))}),
        ("ADD n :n SET a = n", {"a": n(5), "n": n(6)}),
    ],
)
def test_right_hand_sides_see_the_item_as_it_was(text: str, expected: Item) -> None:
    assert changes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET l[1] = :s", "1 x 3 4"),
        ("SET l[4] = :s", "1 2 3 4 x"),
        ("SET l[900] = :s", "1 2 3 4 x"),
        ("SET l[9] = :s, l[8] = :n", "1 2 3 4 1 x"),
        ("ADD l[9] :n SET l[8] = :s", "1 2 3 4 x 1"),
        ("REMOVE l[0], l[2]", "2 4"),
        ("REMOVE l[9]", "1 2 3 4"),
        ("REMOVE l[0] SET l[1] = :s", "x 3 4"),
        ("REMOVE l[3] SET l[9] = :s", "1 2 3 x"),
        ("REMOVE l[1] SET l[0] = l[1]", "2 3 4"),
        ("ADD l[0] :n", "2 2 3 4"),
    ],
)
def test_list_elements_go_by_the_indexes_they_had(text: str, expected: str) -> None:
    stored = item(l=lst(*map(n, (1, 2, 3, 4))))
    members = updated(text, stored)["l"]["L"]
    assert " ".join(next(iter(member.values())) for member in members) == expected


def test_changes_inside_one_list_do_not_disturb_each_other() -> None:
    after = updated("SET l[2][5] = :n, l[3].q = :n REMOVE l[2][0], l[0]")
    assert after["l"] == lst(n(2), lst(n(8), n(1)), mp(p=n(1), q=n(1)))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("DELETE e :v", {"l": lst(ss("x", "y"), n(1)), "m": mp(e=ss("x", "y"))}),
        ("DELETE m.e :v", {"e": ss("x", "y"), "l": lst(ss("x", "y"), n(1)), "m": mp()}),
        ("DELETE l[0] :v", {"e": ss("x", "y"), "l": lst(n(1)), "m": mp(e=ss("x", "y"))}),
    ],
)
def test_a_set_without_elements_is_removed(text: str, kept: Item) -> None:
    stored = item(e=ss("x", "y"), l=lst(ss("x", "y"), n(1)), m=mp(e=ss("x", "y")))
    assert updated(text, stored, {":v": ss("y", "x", "z")}) == kept


@pytest.mark.parametrize(
    ("old", "added", "deleted", "operand"),
    [
        (ss("x", "y"), ss("x", "y", "z"), ss("x"), ss("z", "y")),
        (ns(1, 3), ns(1, 3, 2), ns(3), ns("1.0", 2)),
        (bs("AA==", "AQ=="), bs("AA==", "AQ==", "Ag=="), bs("AA=="), bs("AQ==", "Ag==")),
    ],
)
def test_sets_gain_and_lose_elements(old: Attribute, added: Attribute, deleted: Attribute, operand: Attribute) -> None:
    assert updated("ADD e :v", item(e=old), {":v": operand}) == {"e": added}
    assert updated("DELETE e :v", item(e=old), {":v": operand}) == {"e": deleted}


def test_copies_that_no_item_could_hold_are_refused_before_they_are_measured() -> None:
    stored = item(big=lst(*[n(1)] * 100_000))
    text = "SET " + ", ".join(f"c{number} = big" for number in range(250))
    assert refusal(apply_update, update(text), stored) == "Item size to update has exceeded the maximum allowed size"


def test_an_update_of_no_item_starts_from_its_key() -> None:
    assert updated("SET a = :s ADD c :n", item(pk=s("k"))) == {"pk": s("k"), "a": s("x"), "c": n(1)}


@pytest.mark.parametrize(
    "text",
    [
        "SET fresh.x = :s",
        "SET a.x = :s",
        "SET a[0] = :s",
        "SET l.x = :s",
        "SET m[0] = :s",
        "SET m.y.z = :s",
        "SET l[9].x = :s",
        "REMOVE fresh.x",
        "REMOVE a.x",
        "REMOVE m.fresh.x",
        "ADD fresh.x :n",
        "DELETE fresh[0] :ss",
    ],
)
def test_a_path_needs_the_map_or_list_it_leads_into(text: str) -> None:
    assert refused(text) == INVALID_PATH


@pytest.mark.parametrize(
    "text",
    [
        "SET a = n + a",
        "SET a = ss - :n",
        "SET a = list_append(a, :l)",
        "SET a = list_append(l, l[0])",
        "SET a = if_not_exists(fresh, :s) + :n",
        "ADD a :n",
        "ADD u :n",
        "ADD n :ss",
        "ADD ss :n",
        "ADD ss :ns",
        "DELETE a :ss",
        "DELETE ns :ss",
    ],
)
def test_an_operand_of_the_wrong_type_is_refused_when_the_item_shows_it(text: str) -> None:
    assert refused(text) == INCORRECT_TYPE


@pytest.mark.parametrize(
    "text",
    [
        "SET a = fresh",
        "SET a = l[9]",
        "SET n = fresh + :n",
        "SET a = list_append(fresh, :l)",
        "SET a = if_not_exists(fresh, fresher)",
    ],
)
def test_an_attribute_that_is_not_there_is_refused_as_an_operand(text: str) -> None:
    assert refused(text) == NO_ATTRIBUTE


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        (
            "ADD n :v",
            "9.9e125",
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
        ("SET n = n + :v", "1e-120", "Attempting to store more than 38 significant digits in a Number"),
        (
            "SET n = n - :v",
            "9.85e125",
            "Number underflow. Attempting to store a number with magnitude smaller than supported range",
        ),
    ],
)
def test_arithmetic_is_exact_or_refused(text: str, number: str, message: str) -> None:
    stored = item(n=n("9.9e125"))
    if "underflow" in message:
        stored, number = item(n=n("1.5e-130")), "1e-130"
    assert refusal(apply_update, update(text, {":v": n(number)}), stored) == message


@pytest.mark.parametrize(
    ("text", "verb", "one", "two"),
    [
        ("SET a = :s, a = :n", "overlap", "[a]", "[a]"),
        ("SET a = :s REMOVE a", "overlap", "[a]", "[a]"),
        ("SET m = :m, m.x = :n", "overlap", "[m]", "[m, x]"),
        ("SET m.x = :n, m = :m", "overlap", "[m, x]", "[m]"),
        ("REMOVE l[1] SET l[1] = :s", "overlap", "[l, [1]]", "[l, [1]]"),
        ("ADD m.x :n DELETE m.x.y :ss", "overlap", "[m, x]", "[m, x, y]"),
        ("SET m.x = :n, m[0] = :n", "conflict", "[m, x]", "[m, [0]]"),
        ("SET l[0] = :n, l.x = :n", "conflict", "[l, [0]]", "[l, x]"),
    ],
)
def test_paths_that_get_in_each_others_way_are_refused(text: str, verb: str, one: str, two: str) -> None:
    assert refusal(update, text, SAMPLES) == (
        f"Invalid UpdateExpression: Two document paths {verb} with each other; "
        f"must remove or rewrite one of these paths; path one: {one}, path two: {two}"
    )


def test_names_that_stand_for_the_same_attribute_overlap() -> None:
    message = refusal(update, "SET #a = :s REMOVE #b.c", {":s": s("x")}, {"#a": "a", "#b": "a"})
    assert message.endswith("path one: [a], path two: [a, c]")


@pytest.mark.parametrize(
    ("text", "key"),
    [("SET pk = :s", "pk"), ("REMOVE sk", "sk"), ("ADD sk :n", "sk"), ("DELETE pk :ss", "pk"), ("SET pk.x = :s", "pk")],
)
def test_key_attributes_may_not_be_updated(text: str, key: str) -> None:
    assert refusal(check_update, update(text, used(text)), HASH_RANGE) == (
        f"One or more parameter values were invalid: Cannot update attribute {key}. This attribute is part of the key"
    )


def test_key_attributes_may_be_read_whole_but_not_entered() -> None:
    check_update(update("SET a = pk, c = sk"), HASH_RANGE)
    assert refusal(check_update, update("SET a = pk.x"), HASH_RANGE) == (
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk"
    )


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("SET a = :s", {"a": s("old")}, {"a": s("x")}),
        ("SET fresh = :s", {}, {"fresh": s("x")}),
        ("REMOVE a", {"a": s("old")}, {}),
        ("SET m.z = :s ADD m.x :n", {"m": mp(x=n(1))}, {"m": mp(z=s("x"), x=n(2))}),
        ("SET m.y[1] = :s", {"m": mp(y=lst(s("q")))}, {"m": mp(y=lst(s("x")))}),
        ("DELETE ss :ss", {"ss": ss("x", "y")}, {"ss": ss("y")}),
    ],
)
def test_updated_old_and_new_are_the_touched_paths_of_either_item(text: str, old: Item, new: Item) -> None:
    stored = stored_item()
    result = apply_update(update(text, used(text)), stored)
    assert project(result.touched, stored) == old
    assert project(result.touched, result.item) == new
