"""From an expression's text to tokens.

    name      = letter {letter | digit | _}         AND OR NOT BETWEEN IN SET REMOVE ADD DELETE (any case) are keywords
    attribute = # {letter | digit | _}              value = : {letter | digit | _}
    index     = 0 | digit from 1 {digit}
    symbol    = <> | <= | >= | any other character

Letters and digits are those of ASCII. No text fails here: what is no token of the grammar is a symbol that no rule
takes.
"""

import re
from typing import Final, NamedTuple

EXPRESSION_BYTES_MAX: Final = 4096
KEYWORDS: Final = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"))

_TOKEN: Final = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<attribute>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)"
    r"|(?P<index>0|[1-9][0-9]*)|(?P<symbol><>|<=|>=|[^ \t\r\n])|[ \t\r\n]+"
)


class Token(NamedTuple):
    """`kind`: name, attribute, value, index or end; a keyword in capitals; or the symbol itself."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """The tokens of at most 4 KB of text, the last of which is the end."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        word = match[0]
        if kind == "symbol":
            kind = word
        elif kind == "name" and word.upper() in KEYWORDS:
            kind = word.upper()
        tokens.append(Token(kind, word, match.start(), match.end()))
    tokens.append(Token("end", "<EOF>", len(text), len(text)))
    return tokens
