"""Policies of access keys: which actions a key may carry out on which resources.

    document  = {"Version": version, "Statement": statement | [statement, ...]}
    version   = "2012-10-17" | "2008-10-17"                                      may be left out
    statement = {"Sid": any text, "Effect": "Allow" | "Deny", "Action": one or a list, "Resource": one or a list}
    action    = "*" | "dynamodb:" name                                           of any case
    resource  = "*" | "arn:aws:dynamodb:" region ":" account ":table/" path      path: TABLE, TABLE/index/INDEX

`*` stands for any characters and `?` for one, in the name of an action and in every part of a resource; a path's `*`
crosses slashes. This is a part of IAM's language with IAM's meaning: a statement that denies goes before all that
allow, and what none allows is not allowed. Everything else of that language (Condition, NotAction, NotResource,
Principal, variables) is refused, as is what could never match here: a policy means all that it says, or is none.
"""

import json
from collections.abc import Collection
from enum import Enum
from typing import Any, Final

import msgspec

REGION: Final = "keystead"
ACCOUNT: Final = "000000000000"
ARN_ROOT: Final = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:"
ACTION_PREFIX: Final = "dynamodb:"
EVERYTHING: Final = "*"

_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_DOCUMENT_MEMBERS: Final = ("Version", "Statement")
_STATEMENT_MEMBERS: Final = ("Sid", "Effect", "Action", "Resource")


class PolicyError(ValueError):
    """The document is no policy that is understood here; the message says where and why."""


class Decision(Enum):
    ALLOWED = "allowed"
    NOT_ALLOWED = "not allowed"
    DENIED = "denied"


class Statement(msgspec.Struct, frozen=True):
    """`actions`: patterns of names in lower case, without the service; `resources`: `*`, or patterns of paths."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True):
    """What one access key may do. A policy without statements allows nothing."""

    statements: tuple[Statement, ...] = ()

    def decide(self, action: str, resource: str) -> Decision:
        """`action`: a name, as GetItem; `resource`: a path, as table/orders, or `*` where the action concerns none."""
        name = action.lower()
        decision = Decision.NOT_ALLOWED
        for statement in self.statements:
            if _matches_any(statement.actions, name) and _matches_any(statement.resources, resource):
                if not statement.allows:
                    return Decision.DENIED
                decision = Decision.ALLOWED
        return decision


def parse_policy(text: bytes, known_actions: Collection[str]) -> Policy:
    """`known_actions`: names that there are; an action that matches none is taken for a mistake. Raises PolicyError."""
    try:
        document = json.loads(text, object_pairs_hook=_without_repetitions)
    except (ValueError, RecursionError) as error:
        raise PolicyError(error if isinstance(error, PolicyError) else f"no JSON: {error}") from None
    members = _members(document, "the policy", _DOCUMENT_MEMBERS)
    version = members.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise PolicyError(f"Version: {version!r} is none of {', '.join(_VERSIONS)}")
    given = members.get("Statement")
    statements = given if isinstance(given, list) else [given]
    if given is None or not statements:
        raise PolicyError("Statement: at least one is needed")
    known = tuple(name.lower() for name in known_actions)
    return Policy(tuple(_statement(one, f"Statement[{n}]", known) for n, one in enumerate(statements)))


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is what the pattern describes. Never slower than the product of both lengths."""
    at_pattern = at_text = 0
    star, resume = -1, 0
    while at_text < len(text):
        if at_pattern < len(pattern) and pattern[at_pattern] == "*":
            star, resume = at_pattern, at_text
            at_pattern += 1
        elif at_pattern < len(pattern) and pattern[at_pattern] in ("?", text[at_text]):
            at_pattern += 1
            at_text += 1
        elif star >= 0:
            # The last star takes one character more; those before it need not give any up.
            resume += 1
            at_pattern, at_text = star + 1, resume
        else:
            return False
    return pattern[at_pattern:].strip("*") == ""


def _matches_any(patterns: tuple[str, ...], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


def _without_repetitions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise PolicyError(f"{repeated!r} is there twice in one object")
    return members


def _members(value: Any, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{where} is no JSON object")
    for name in value:
        if name not in known:
            raise PolicyError(f"{where}: {name!r} is not supported, only {', '.join(known)}")
    return value


def _statement(value: Any, where: str, known_actions: tuple[str, ...]) -> Statement:
    members = _members(value, where, _STATEMENT_MEMBERS)
    if not isinstance(members.get("Sid", ""), str):
        raise PolicyError(f"{where}.Sid is no text")
    effect = members.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"{where}.Effect: {effect!r} is neither Allow nor Deny")
    actions = [_action(text, f"{where}.Action", known_actions) for text in _texts(members, where, "Action")]
    resources = [_resource(text, f"{where}.Resource") for text in _texts(members, where, "Resource")]
    return Statement(effect == "Allow", tuple(actions), tuple(resources))


def _texts(members: dict[str, Any], where: str, name: str) -> list[str]:
    given = members.get(name)
    texts: list[Any] = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise PolicyError(f"{where}.{name} is neither a text nor a list of texts")
    return texts


def _action(text: str, where: str, known: tuple[str, ...]) -> str:
    if text == EVERYTHING:
        return text
    prefix, name = text[: len(ACTION_PREFIX)], text[len(ACTION_PREFIX) :].lower()
    if prefix.lower() != ACTION_PREFIX or not any(matches(name, one) for one in known):
        raise PolicyError(f"{where}: {text!r} is no action of DynamoDB, as dynamodb:GetItem or dynamodb:Batch* are")
    return name


def _resource(text: str, where: str) -> str:
    if text == EVERYTHING:
        return text
    if "${" in text:
        raise PolicyError(f"{where}: {text!r} has a variable, which is not supported")
    parts = text.split(":", 5)
    fixed = ("arn", "aws", "dynamodb", REGION, ACCOUNT)
    if len(parts) != 6 or parts[0] != "arn" or not parts[5].startswith(("table/", EVERYTHING)):
        raise PolicyError(f"{where}: {text!r} is neither * nor an ARN of tables, as {ARN_ROOT}table/orders")
    for ours, pattern in zip(fixed, parts[:5], strict=True):
        if not matches(pattern, ours):
            raise PolicyError(f"{where}: {text!r} can never match: {pattern!r} should be {ours!r} or *")
    return parts[5]
