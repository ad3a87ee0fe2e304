"""The grammar of updates, and of projections.

update     = section {section}
section    = SET path = sum {, path = sum} | REMOVE path {, path}
           | ADD path value {, path value} | DELETE path value {, path value}
sum        = operand | operand + operand | operand - operand | ( sum )
operand    = path | value | function | ( operand )
projection = path {, path}
"""

from typing import Final

from keystead_core.expressions.lexer import Token
from keystead_core.expressions.syntax import ARITHMETIC, FUNCTION, Rule, Syntax, Term, run
from keystead_core.expressions.tree import (
    FUNCTION_OPERANDS,
    UPDATE_FUNCTIONS,
    Action,
    Node,
    Operation,
    ParsedProjection,
    ParsedUpdate,
    Placeholder,
)

_SECTIONS: Final = ("SET", "REMOVE", "ADD", "DELETE")


class UpdateSyntax(Syntax):
    def parse(self) -> ParsedUpdate:
        """Raises ExpressionError."""
        actions: list[Action] = []
        seen: list[str] = []
        if self._token.kind not in _SECTIONS:
            self._fail()
        while self._token.kind in _SECTIONS:
            section = self._advance().kind
            if section in seen:
                self._exceed(f'The "{section}" section can only be used once in an update expression;')
            seen.append(section)
            actions.append(self._action(section))
            while self._take(","):
                actions.append(self._action(section))
        self._finish()
        return ParsedUpdate(tuple(actions))

    def _action(self, section: str) -> Action:
        path = self._path()
        if section == "REMOVE":
            return Action(section, path)
        if section == "SET":
            self._expect("=")
            term: Term = run(self._sum())
            return Action(section, path, term.node)
        token = self._token
        self._expect("value")
        return Action(section, path, Placeholder(token.text))

    def _sum(self) -> Rule:
        left: Term
        if self._take("("):
            left = self._group((yield self._sum()))
        else:
            left = yield self._atom()
        operator = self._token.kind
        if left.kind == ARITHMETIC or operator not in ("+", "-"):
            return left
        self._advance()
        right = self._argument((yield self._operand()))
        return Term(self._operation(operator, self._argument(left), right), ARITHMETIC)

    def _argument(self, term: Term) -> Node:
        if term.kind == FUNCTION and isinstance(term.node, Operation) and term.node.operator == "list_append":
            self._misuse(term.start, term.node.operator)
        return term.node

    def _check_call(self, name: Token) -> None:
        if name.text in FUNCTION_OPERANDS and name.text not in UPDATE_FUNCTIONS:
            self._complain(name.start, f"The function is not allowed in an update expression; function: {name.text}")


class ProjectionSyntax(Syntax):
    def parse(self) -> ParsedProjection:
        """Raises ExpressionError."""
        paths = [self._path()]
        while self._take(","):
            paths.append(self._path())
        self._finish()
        return ParsedProjection(tuple(paths))
