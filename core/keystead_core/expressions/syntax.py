"""What the three grammars share: reading tokens, document paths and function calls, and collecting complaints.

A rule that contains itself is a generator which yields the rule that it needs and is sent what that one returns, so
that the depth of an expression costs memory and never the interpreter's stack.

An error in the syntax is raised where it stands. What else the service finds while it reads is noted with its place,
and `_finish` raises the first in the service's order: redundant parentheses; then names and functions from left to
right; then the limits.
"""

from collections.abc import Generator
from typing import Any, Final, NamedTuple, NoReturn

from keystead_core.expressions.errors import ExpressionError
from keystead_core.expressions.lexer import Token, tokenize
from keystead_core.expressions.reserved import is_reserved
from keystead_core.expressions.tree import (
    FUNCTION_OPERANDS,
    INDEX_MAX,
    OPERATORS_MAX,
    PATH_DEPTH_MAX,
    Node,
    Operation,
    Path,
    Placeholder,
)

OPERAND: Final = "operand"
FUNCTION: Final = "function"
CONDITION: Final = "condition"
ARITHMETIC: Final = "arithmetic"

Rule = Generator[Any, Any, Any]


class Term(NamedTuple):
    """A part that has been read. `kind`: an operand, a condition, an addition or subtraction, or a function call, which
    may still be an operand or a condition. `start` is where a function's name stands; `is_grouped`: in parentheses."""

    node: Node
    kind: str
    start: int = 0
    is_grouped: bool = False


def run(rule: Rule) -> Any:
    """What the rule returns."""
    waiting = [rule]
    result = None
    while waiting:
        try:
            needed = waiting[-1].send(result)
        except StopIteration as end:
            waiting.pop()
            result = end.value
        else:
            waiting.append(needed)
            result = None
    return result


class Syntax:
    """A text on its way to a tree."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._index = 0
        self._has_redundant_parentheses = False
        self._complaints: list[tuple[int, str]] = []
        self._exceeded: list[str] = []
        self._operators = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _advance(self) -> Token:
        token = self._tokens[self._index]
        self._index += 1
        return token

    def _take(self, kind: str) -> bool:
        if self._tokens[self._index].kind != kind:
            return False
        self._index += 1
        return True

    def _expect(self, kind: str) -> None:
        if not self._take(kind):
            self._fail()

    def _fail(self) -> NoReturn:
        start = self._tokens[self._index - 1].start if self._index else 0
        following = self._tokens[self._index + 1 : self._index + 2]
        end = following[0].end if following and following[0].kind != "end" else len(self._text)
        near = self._text[start:end]
        raise ExpressionError(f'Syntax error; token: "{self._token.text}", near: "{near}"')

    def _complain(self, start: int, message: str) -> None:
        self._complaints.append((start, message))

    def _exceed(self, message: str) -> None:
        self._exceeded.append(message)

    def _operation(self, operator: str, *operands: Node) -> Operation:
        self._operators += 1
        return Operation(operator, operands)

    def _finish(self) -> None:
        """Expects the end of the text and raises what has been noted."""
        self._expect("end")
        if self._has_redundant_parentheses:
            raise ExpressionError("The expression has redundant parentheses;")
        if self._complaints:
            raise ExpressionError(min(self._complaints)[1])
        if self._operators > OPERATORS_MAX:
            self._exceed(f"The expression contains too many operators; operator count: {OPERATORS_MAX + 1}")
        if self._exceeded:
            raise ExpressionError(self._exceeded[0])

    def _path(self) -> Path:
        elements: list[str | int] = [self._path_name()]
        while True:
            if self._take("."):
                elements.append(self._path_name())
            elif self._take("["):
                elements.append(self._path_index())
                self._expect("]")
            else:
                break
        if len(elements) > PATH_DEPTH_MAX:
            self._exceed(f"The document path has too many nesting levels; nesting levels: {len(elements)}")
        return Path(tuple(elements))

    def _path_name(self) -> str:
        kind, text, start, _ = self._token
        if kind not in ("name", "attribute"):
            self._fail()
        self._advance()
        if kind == "name" and is_reserved(text):
            self._complain(start, f"Attribute name is a reserved keyword; reserved keyword: {text}")
        return text

    def _path_index(self) -> int:
        kind, text, start, _ = self._token
        if kind != "index":
            self._fail()
        self._advance()
        index = int(text) if len(text) <= len(str(INDEX_MAX)) else INDEX_MAX + 1
        if index > INDEX_MAX:
            self._complain(start, f"List index is not within the allowable range; index: [{text}]")
        return index

    def _group(self, inner: Term) -> Term:
        """The term between parentheses of which the second is the next token."""
        self._expect(")")
        if inner.is_grouped:
            self._has_redundant_parentheses = True
        return inner._replace(is_grouped=True)

    def _operand(self) -> Rule:
        """A path, a value, a function call, or one of them in parentheses."""
        if self._take("("):
            return self._group((yield self._operand()))
        return (yield self._atom())

    def _atom(self) -> Rule:
        token = self._token
        if token.kind == "value":
            self._advance()
            return Term(Placeholder(token.text), OPERAND)
        if token.kind == "name" and self._tokens[self._index + 1].kind == "(":
            return (yield self._call())
        return Term(self._path(), OPERAND)

    def _call(self) -> Rule:
        name = self._advance()
        if name.text not in FUNCTION_OPERANDS:
            self._complain(name.start, f"Invalid function name; function: {name.text}")
        self._check_call(name)
        self._expect("(")
        operands = [self._argument((yield self._operand()))]
        while self._take(","):
            operands.append(self._argument((yield self._operand())))
        self._expect(")")
        return Term(self._operation(name.text, *operands), FUNCTION, name.start)

    def _misuse(self, start: int, function: str) -> None:
        self._complain(start, f"The function is not allowed to be used this way in an expression; function: {function}")

    def _check_call(self, name: Token) -> None:
        """Complains about a function that this kind of expression does not have."""
        raise NotImplementedError

    def _argument(self, term: Term) -> Node:
        """The node of a function's operand. Complains about a function that may not be one."""
        raise NotImplementedError
