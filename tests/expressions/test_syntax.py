"""What is no expression is refused in the service's words, at the first token that cannot follow what comes before."""

import pytest

from tests.expressions.attributes import SAMPLES, condition, projection, refusal, update, used

CONDITIONS = [
    (" ", "<EOF>", " "),
    ("a", "<EOF>", "a"),
    ("a =", "<EOF>", "="),
    ("a =   ", "<EOF>", "=   "),
    ("  ) a", ")", "  ) a"),
    ("a  =   )  :s", ")", "=   )  :s"),
    ("a = :s )", ")", ":s )"),
    ("(a = :s", "<EOF>", ":s"),
    ("(a", "<EOF>", "a"),
    ("a = 1", "1", "= 1"),
    ("a = 'x'", "'", "= 'x"),
    ("a == :s", "=", "== :s"),
    ("a <>= :s", "=", "<>= :s"),
    ("a > = :s", "=", "> = :s"),
    ("a != :s", "!", "a !="),
    ("a & :s", "&", "a & :s"),
    ("a and b", "and", "a and b"),
    ("(a) AND b = :s", "AND", ") AND b"),
    ("((a) AND b=:s)", "AND", ") AND b"),
    ("(a) b", "b", ") b"),
    ("NOT a", "<EOF>", "a"),
    ("NOT (a)", "<EOF>", ")"),
    ("NOT", "<EOF>", "NOT"),
    ("NOT AND", "AND", "NOT AND"),
    ("a NOT IN (:s)", "NOT", "a NOT IN"),
    ("a = :s b = :s", "b", ":s b ="),
    ("a = :s = :s", "=", ":s = :s"),
    ("a = (b = :s)", "=", "b = :s"),
    ("a = NOT b", "NOT", "= NOT b"),
    ("a = :s AND", "<EOF>", "AND"),
    ("a = :s OR OR b = :s", "OR", "OR OR b"),
    ("AND", "AND", "AND"),
    ("()", ")", "()"),
    ("a = ()", ")", "()"),
    ("a BETWEEN :s", "<EOF>", ":s"),
    ("a BETWEEN :s OR :s", "OR", ":s OR :s"),
    ("a BETWEEN AND :s", "AND", "BETWEEN AND :s"),
    ("a IN ()", ")", "()"),
    ("a IN :s", ":s", "IN :s"),
    ("a IN (:s,)", ")", ",)"),
    ("a IN (b = :s)", "=", "b = :s"),
    ("attribute_exists", "<EOF>", "attribute_exists"),
    ("attribute_exists()", ")", "()"),
    ("contains(a :s)", ":s", "a :s)"),
    ("a[0 = :s", "=", "0 = :s"),
    ("a[-1] = :s", "-", "[-1"),
    ("a[01] = :s", "1", "01]"),
    ("a[] = :s", "]", "[] ="),
    ("a[:s] = :s", ":s", "[:s]"),
    ("a[0.5] = :s", ".", "0.5"),
    ("a[0]b = :s", "b", "]b ="),
    ("[0] = :s", "[", "[0"),
    ("a.:s = :s", ":s", ".:s ="),
    ("a.1 = :s", "1", ".1 ="),
    ("a..b = :s", ".", "..b"),
    ("a.b.", "<EOF>", "."),
    ("1a = :s", "1", "1a"),
    ("_a = :s", "_", "_a"),
    ("a-b = :s", "-", "a-b"),
    ("é = :s", "é", "é ="),
    ("a = :é", ":", "= :é"),
    ("# = :s", "#", "# ="),
    ("#a#b = :s", "#b", "#a#b ="),
    ("a, b", ",", "a, b"),
    ("set = :s", "set", "set ="),
    ("a.add = :s", "add", ".add ="),
    ("(a).b = :s", ".", ").b"),
    ("a = 😀 b", "😀", "= 😀 b"),
]

UPDATES = [
    ("SET", "<EOF>", "SET"),
    ("SET a", "<EOF>", "a"),
    ("SET a :s", ":s", "a :s"),
    ("SET a = :s,", "<EOF>", ","),
    ("SET a=:s,,b=:s", ",", ",,b"),
    ("SET a=:s b=:s", "b", ":s b="),
    ("FOO a", "FOO", "FOO a"),
    ("SETa = :s", "SETa", "SETa ="),
    ("SET SET a = :s", "SET", "SET SET a"),
    ("SET a = :s AND b = :s", "AND", ":s AND b"),
    ("SET a = n + :n + :n", "+", ":n + :n"),
    ("SET a = (n + :n) + :n", "+", ") + :n"),
    ("SET a = n + (n - :n)", "-", "n - :n"),
    ("SET a = n * :n", "*", "n * :n"),
    ("SET a = -:n", "-", "= -:n"),
    ("SET a = n+1", "1", "+1"),
    ("SET a = if_not_exists(a, :n + :n)", "+", ":n + :n"),
    ("SET a = if_not_exists a", "a", "if_not_exists a"),
    ("SET (a) = :s", "(", "SET (a"),
    ("SET :s = :s", ":s", "SET :s ="),
    ("SET a = :n set", "<EOF>", "set"),
    ("SET remove = :n", "remove", "SET remove ="),
    ("REMOVE a = :s", "=", "a = :s"),
    ("REMOVE :s", ":s", "REMOVE :s"),
    ("REMOVE SET a = :s", "SET", "REMOVE SET a"),
    ("REMOVE between", "between", "REMOVE between"),
    ("ADD s", "<EOF>", "s"),
    ("ADD s s", "s", "s s"),
    ("ADD s = :ss", "=", "s = :ss"),
    ("ADD n (:n)", "(", "n (:n"),
    ("ADD n size(:n)", "size", "n size("),
    ("DELETE s", "<EOF>", "s"),
]

PROJECTIONS = [
    (",", ",", ","),
    ("a,", "<EOF>", ","),
    ("a b", "b", "a b"),
    (":a", ":a", ":a"),
    ("foo(a)", "(", "foo(a"),
    ("(a)", "(", "(a"),
    ("a = b", "=", "a = b"),
    ("a[1", "<EOF>", "1"),
    ("*", "*", "*"),
    ("a, and", "and", ", and"),
]


@pytest.mark.parametrize(("text", "token", "near"), CONDITIONS)
def test_a_condition_is_refused_at_the_first_token_that_cannot_follow(text: str, token: str, near: str) -> None:
    expected = f'Invalid ConditionExpression: Syntax error; token: "{token}", near: "{near}"'
    assert refusal(condition, text, {":s": SAMPLES[":s"]}) == expected


@pytest.mark.parametrize(("text", "token", "near"), UPDATES)
def test_an_update_is_refused_at_the_first_token_that_cannot_follow(text: str, token: str, near: str) -> None:
    assert refusal(update, text, SAMPLES) == f'Invalid UpdateExpression: Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(("text", "token", "near"), PROJECTIONS)
def test_a_projection_is_refused_at_the_first_token_that_cannot_follow(text: str, token: str, near: str) -> None:
    assert refusal(projection, text) == f'Invalid ProjectionExpression: Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    "text",
    [
        "size (a) > :n",
        "a . b[ 0 ] .c= :n",
        "a=:n\r\n",
        "\ta\n=\n:n",
        "(a) = (:n)",
        "((a) = :n)",
        "not(a = :n)",
        "NOT NOT a = :n",
        "a IN ((:n))",
        "(size(a)) > :n",
        "(attribute_exists(a)) Or a between :n and (:n) aNd a = :n",
    ],
)
def test_spaces_case_of_keywords_and_single_parentheses_are_free(text: str) -> None:
    condition(text, {":n": SAMPLES[":n"]} if ":n" in text else None)


@pytest.mark.parametrize("call", [condition, update, projection])
def test_an_empty_expression_is_refused(call: object) -> None:
    assert refusal(call, "").endswith("Expression: The expression can not be empty;")


@pytest.mark.parametrize(
    "text",
    [
        "((a = :s))",
        "(((a = :s)))",
        "((a)) = :s",
        "a = ((:s))",
        "NOT ((a = :s))",
        "size(((a))) > :s",
        "a = :s AND ((b=:s))",
    ],
)
def test_parentheses_around_parentheses_are_redundant(text: str) -> None:
    message = "Invalid ConditionExpression: The expression has redundant parentheses;"
    assert refusal(condition, text, {":s": SAMPLES[":s"]}) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo(a)", "Invalid function name; function: foo"),
        ("Size(a) > :n", "Invalid function name; function: Size"),
        ("a = select(b)", "Invalid function name; function: select"),
        ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
        ("NOT (size(a))", "The function is not allowed to be used this way in an expression; function: size"),
        (
            "attribute_exists(a) = :s",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "contains(a, begins_with(a, :s))",
            "The function is not allowed to be used this way in an expression; function: begins_with",
        ),
        (
            "a IN (begins_with(a, :s))",
            "The function is not allowed to be used this way in an expression; function: begins_with",
        ),
        ("list_append(a, b) = :s", "The function is not allowed in a condition expression; function: list_append"),
        ("if_not_exists(a, :s) = :s", "The function is not allowed in a condition expression; function: if_not_exists"),
        ("select = :s", "Attribute name is a reserved keyword; reserved keyword: select"),
        ("a.Name[0] = :s", "Attribute name is a reserved keyword; reserved keyword: Name"),
        ("a[2147483648] = :s", "List index is not within the allowable range; index: [2147483648]"),
        ("a[99999999999999999999] = :s", "List index is not within the allowable range; index: [99999999999999999999]"),
    ],
)
def test_a_condition_names_only_what_conditions_have(text: str, message: str) -> None:
    assert refusal(condition, text, SAMPLES) == f"Invalid ConditionExpression: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET a = foo(a)", "Invalid function name; function: foo"),
        ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
        ("SET a = n + size(n)", "The function is not allowed in an update expression; function: size"),
        (
            "SET a = list_append(list_append(l, :l), :l)",
            "The function is not allowed to be used this way in an expression; function: list_append",
        ),
        (
            "SET a = if_not_exists(a, list_append(l, :l))",
            "The function is not allowed to be used this way in an expression; function: list_append",
        ),
        (
            "SET a = list_append(l, l) + :n",
            "The function is not allowed to be used this way in an expression; function: list_append",
        ),
        ("SET a = ((n + :n))", "The expression has redundant parentheses;"),
        ("SET a = :s SET b = :s", 'The "SET" section can only be used once in an update expression;'),
        ("REMOVE a SET b = :s REMOVE c", 'The "REMOVE" section can only be used once in an update expression;'),
        ("ADD a :n ADD b :n", 'The "ADD" section can only be used once in an update expression;'),
        ("DELETE a :ss DELETE b :ss", 'The "DELETE" section can only be used once in an update expression;'),
        ("SET a = :s SET b = select", "Attribute name is a reserved keyword; reserved keyword: select"),
    ],
)
def test_an_update_names_only_what_updates_have(text: str, message: str) -> None:
    assert refusal(update, text, SAMPLES) == f"Invalid UpdateExpression: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo(a) AND ((a = :s))", "The expression has redundant parentheses;"),
        ("foo(a) AND select = :zz", "Invalid function name; function: foo"),
        ("select = :zz AND foo(a)", "Attribute name is a reserved keyword; reserved keyword: select"),
        ("size(a) AND foo(a)", "The function is not allowed to be used this way in an expression; function: size"),
        ("foo(select)", "Invalid function name; function: foo"),
        (
            "contains(a) AND a = :zz",
            "Incorrect number of operands for operator or function; "
            "operator or function: contains, number of operands: 1",
        ),
        (
            "a = :zz AND contains(a)",
            "An expression attribute value used in expression is not defined; attribute value: :zz",
        ),
        ("contains(a) AND foo(a)", "Invalid function name; function: foo"),
    ],
)
def test_of_several_errors_the_first_in_the_order_of_the_service_is_told(text: str, message: str) -> None:
    assert refusal(condition, text, used(text)) == f"Invalid ConditionExpression: {message}"
