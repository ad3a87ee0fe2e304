"""The grammar of conditions, filters and key conditions.

    or        = and {OR and}
    and       = not {AND not}
    not       = {NOT} predicate
    predicate = function | ( or )
              | operand comparator operand
              | operand BETWEEN operand AND operand
              | operand IN ( operand {, operand} )
    operand   = path | value | function | ( operand )

Whether parentheses hold an operand or a condition shows only behind what they hold, so `or` is read in either case, and
a term says what it turned out to be. What cannot continue with the next token is refused at that token.
"""

from collections.abc import Callable
from typing import Final

from keystead_core.expressions.lexer import Token
from keystead_core.expressions.syntax import CONDITION, FUNCTION, OPERAND, Rule, Syntax, Term, run
from keystead_core.expressions.tree import (
    COMPARATORS,
    CONDITION_FUNCTIONS,
    IN_OPERANDS_MAX,
    UPDATE_FUNCTIONS,
    Node,
    Operation,
    ParsedCondition,
)

_COMPARATORS: Final = frozenset(COMPARATORS)


class ConditionSyntax(Syntax):
    def parse(self) -> ParsedCondition:
        """Raises ExpressionError."""
        root = self._condition(run(self._or()))
        self._finish()
        return ParsedCondition(root)

    def _or(self) -> Rule:
        return self._chain("OR", self._and)

    def _and(self) -> Rule:
        return self._chain("AND", self._not)

    def _chain(self, operator: str, part: Callable[[], Rule]) -> Rule:
        term: Term = yield part()
        if self._token.kind != operator or term.kind == OPERAND:
            return term
        operands = [self._condition(term)]
        while self._take(operator):
            operands.append(self._condition((yield part())))
        self._operators += len(operands) - 1
        return Term(_flat(operator, operands), CONDITION)

    def _not(self) -> Rule:
        count = 0
        while self._take("NOT"):
            count += 1
        term: Term = yield self._predicate()
        if not count:
            return term
        self._operators += count
        node = self._condition(term)
        return Term(_negated(node) if count % 2 else node, CONDITION)

    def _predicate(self) -> Rule:
        left: Term = yield self._primary()
        operator = self._token.kind
        if left.kind == CONDITION or not (operator in _COMPARATORS or operator in ("BETWEEN", "IN")):
            return left
        operands = [self._argument(left)]
        self._advance()
        if operator == "IN":
            self._expect("(")
            operands.append(self._argument((yield self._operand())))
            while self._take(","):
                operands.append(self._argument((yield self._operand())))
            self._expect(")")
            self._check_in(len(operands) - 1)
        else:
            operands.append(self._argument((yield self._operand())))
            if operator == "BETWEEN":
                self._expect("AND")
                operands.append(self._argument((yield self._operand())))
        return Term(self._operation(operator, *operands), CONDITION)

    def _primary(self) -> Rule:
        if self._take("("):
            return self._group((yield self._or()))
        return (yield self._atom())

    def _condition(self, term: Term) -> Operation:
        """The term's node as a condition."""
        node = term.node
        if term.kind == OPERAND or not isinstance(node, Operation):
            self._fail()
        if term.kind == FUNCTION and node.operator == "size":
            self._misuse(term.start, node.operator)
        return node

    def _argument(self, term: Term) -> Node:
        if term.kind == FUNCTION and isinstance(term.node, Operation) and term.node.operator in CONDITION_FUNCTIONS:
            self._misuse(term.start, term.node.operator)
        return term.node

    def _check_call(self, name: Token) -> None:
        if name.text in UPDATE_FUNCTIONS:
            self._complain(name.start, f"The function is not allowed in a condition expression; function: {name.text}")

    def _check_in(self, candidates: int) -> None:
        if candidates > IN_OPERANDS_MAX:
            self._exceed(f"The IN operator is provided with too many operands; number of operands: {candidates}")


def _flat(operator: str, operands: list[Operation]) -> Operation:
    """AND of ANDs is one AND, which keeps trees shallow."""
    flat: list[Node] = []
    for operand in operands:
        if operand.operator == operator:
            flat.extend(operand.operands)
        else:
            flat.append(operand)
    return Operation(operator, tuple(flat))


def _negated(node: Operation) -> Operation:
    if node.operator == "NOT":
        inner = node.operands[0]
        assert isinstance(inner, Operation)
        return inner
    return Operation("NOT", (node,))
