"""What a policy says, and what it decides."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead_core.access_policy import Decision, Policy, PolicyError, matches, parse_policy

KNOWN = ("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "BatchWriteItem", "ListTables", "DeleteTable")
TABLES = "arn:aws:dynamodb:*:*:table/"
ALLOWED, NOT_ALLOWED, DENIED = Decision.ALLOWED, Decision.NOT_ALLOWED, Decision.DENIED


def statement(effect: str, action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> Policy:
    return parse_policy(json.dumps({"Version": "2012-10-17", "Statement": statements}).encode(), KNOWN)


def test_what_no_statement_allows_is_not_allowed() -> None:
    reader = policy(statement("Allow", ["dynamodb:GetItem", "dynamodb:Query"]))
    assert reader.decide("GetItem", "table/orders") is ALLOWED
    assert reader.decide("Query", "table/orders/index/byDate") is ALLOWED
    assert reader.decide("PutItem", "table/orders") is NOT_ALLOWED
    assert Policy().decide("GetItem", "table/orders") is NOT_ALLOWED


@pytest.mark.parametrize("deny_first", [True, False])
def test_a_deny_goes_before_every_allow_wherever_it_stands(deny_first: bool) -> None:
    statements = [statement("Deny", "dynamodb:*", TABLES + "secret"), statement("Allow", "*")]
    decided = policy(*(statements if deny_first else statements[::-1]))
    assert decided.decide("GetItem", "table/secret") is DENIED
    assert decided.decide("GetItem", "table/secrets") is ALLOWED


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("*", ["GetItem", "PutItem"], []),
        ("dynamodb:*", ["GetItem", "DeleteTable"], []),
        ("dynamodb:Batch*", ["BatchGetItem", "BatchWriteItem"], ["GetItem"]),
        ("dynamodb:*Item", ["GetItem", "BatchGetItem"], ["Query"]),
        ("dynamodb:?etItem", ["GetItem"], ["BatchGetItem", "PutItem"]),
        ("DynamoDB:getitem", ["GetItem"], ["BatchGetItem"]),
    ],
)
def test_actions_have_wildcards_and_no_case(pattern: str, allowed: list[str], refused: list[str]) -> None:
    decided = policy(statement("Allow", pattern))
    assert {name: decided.decide(name, "table/t") for name in allowed} == dict.fromkeys(allowed, ALLOWED)
    assert {name: decided.decide(name, "table/t") for name in refused} == dict.fromkeys(refused, NOT_ALLOWED)


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        (TABLES + "orders", ["table/orders"], ["table/orders2", "table/Orders", "table/orders/index/byDate", "*"]),
        (TABLES + "orders/index/*", ["table/orders/index/byDate"], ["table/orders", "table/other/index/byDate"]),
        (TABLES + "*/index/by?", ["table/orders/index/byX"], ["table/orders/index/byDate", "table/orders"]),
        (TABLES + "shop-*", ["table/shop-a", "table/shop-a/index/b"], ["table/shop", "table/*"]),
        (TABLES + "*", ["table/orders", "table/*", "table/orders/index/byDate"], ["*"]),
        ("arn:aws:dynamodb:keystead:000000000000:table/orders", ["table/orders"], ["table/other"]),
        ("arn:aws:dynamodb:key*:0*:*", ["table/orders"], []),
        ("*", ["table/orders", "table/*", "*"], []),
    ],
)
def test_resources_are_tables_and_indexes_by_their_arns(pattern: str, allowed: list[str], refused: list[str]) -> None:
    decided = policy(statement("Allow", "dynamodb:Query", pattern))
    assert {path: decided.decide("Query", path) for path in allowed} == dict.fromkeys(allowed, ALLOWED)
    assert {path: decided.decide("Query", path) for path in refused} == dict.fromkeys(refused, NOT_ALLOWED)


def test_a_name_that_a_request_gives_is_no_pattern() -> None:
    decided = policy(statement("Allow", "dynamodb:GetItem", TABLES + "orders"))
    assert decided.decide("GetItem", "table/*") is NOT_ALLOWED
    assert decided.decide("GetItem", "table/order?") is NOT_ALLOWED


def test_one_statement_needs_no_list_and_may_have_a_name() -> None:
    document = {"Statement": statement("Allow", "dynamodb:Scan", Sid="Readers")}
    assert parse_policy(json.dumps(document).encode(), KNOWN).decide("Scan", "table/t") is ALLOWED


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "no JSON: "),
        ("[]", "the policy is no JSON object"),
        ("{}", "Statement: at least one is needed"),
        ('{"Statement": []}', "Statement: at least one is needed"),
        ('{"Statement": [1]}', "Statement[0] is no JSON object"),
        ('{"Version": "2017-08-17", "Statement": []}', "Version: '2017-08-17' is none of 2012-10-17, 2008-10-17"),
        ('{"Id": "x", "Statement": []}', "the policy: 'Id' is not supported, only Version, Statement"),
        ('{"Statement": [], "Statement": []}', "'Statement' is there twice in one object"),
        ("[" * 100_000, "no JSON: "),
    ],
)
def test_a_document_that_is_no_policy_is_refused_with_the_place(document: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(document.encode(), KNOWN)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("element", ["Condition", "NotAction", "NotResource", "Principal", "NotPrincipal", "effect"])
def test_elements_that_are_not_understood_are_never_ignored(element: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(statement("Allow", "*"), statement("Allow", "*") | {element: {}})
    assert str(caught.value) == f"Statement[1]: '{element}' is not supported, only Sid, Effect, Action, Resource"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"Effect": "allow"}, "Effect: 'allow' is neither Allow nor Deny"),
        ({"Sid": 1}, "Sid is no text"),
        ({"Action": []}, "Action is neither a text nor a list of texts"),
        ({"Action": ["dynamodb:Query", 1]}, "Action is neither a text nor a list of texts"),
        ({"Action": "dynamodb:GetItme"}, "Action: 'dynamodb:GetItme' is no action of DynamoDB"),
        ({"Action": "s3:GetObject"}, "Action: 's3:GetObject' is no action of DynamoDB"),
        ({"Action": "GetItem"}, "Action: 'GetItem' is no action of DynamoDB"),
        ({"Resource": None}, "Resource is neither a text nor a list of texts"),
        ({"Resource": "orders"}, "Resource: 'orders' is neither * nor an ARN of tables"),
        ({"Resource": "arn:aws:dynamodb:*"}, "Resource: 'arn:aws:dynamodb:*' is neither * nor an ARN of tables"),
        ({"Resource": "arn:aws:dynamodb:*:*:orders"}, "Resource: 'arn:aws:dynamodb:*:*:orders' is neither *"),
        ({"Resource": TABLES + "${aws:username}"}, "Resource: 'arn:aws:dynamodb:*:*:table/${aws:username}' has a var"),
        (
            {"Resource": "arn:aws:dynamodb:eu-west-2:*:table/a"},
            "Resource: 'arn:aws:dynamodb:eu-west-2:*:table/a' can never match: 'eu-west-2' should be 'keystead' or *",
        ),
        (
            {"Resource": "arn:aws:dynamodb:*:123456789012:table/a"},
            "Resource: 'arn:aws:dynamodb:*:123456789012:table/a' can never match: '123456789012' should be '0000000000",
        ),
    ],
)
def test_a_statement_that_could_never_mean_what_it_says_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(statement("Allow", "dynamodb:*") | wrong)
    assert str(caught.value).startswith(f"Statement[0].{message}")


def by_trying(pattern: str, text: str) -> bool:
    """What a pattern means, by trying all that its first star can stand for."""
    if not pattern or not text:
        return not text and not pattern.strip("*")
    if pattern[0] == "*":
        return any(by_trying(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return pattern[0] in ("?", text[0]) and by_trying(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=7), st.text("ab*?", max_size=7))
def test_a_pattern_matches_what_its_stars_can_stand_for(pattern: str, text: str) -> None:
    assert matches(pattern, text) == by_trying(pattern, text)


def test_a_pattern_of_many_stars_takes_no_exponential_time() -> None:
    assert not matches("*a" * 30 + "b", "a" * 2000)
