"""Quantities as Kubernetes writes them: 10Gi, 500M, 1.5, 2e3, 100m."""

import re
from decimal import Decimal
from typing import Final

_PARTS: Final = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkKMGTPE]?i?)")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def quantity(text: str) -> Decimal:
    """The number that it stands for. Raises ValueError."""
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, unit = found.groups()
    if unit in _BINARY:
        return Decimal(number) * Decimal(2) ** _BINARY[unit]
    if unit[:1] in ("e", "E") and len(unit) > 1:
        return Decimal(number + unit)
    if unit not in _DECIMAL:
        raise ValueError(f"{text!r} is no quantity: there is no unit {unit!r}")
    return Decimal(number).scaleb(_DECIMAL[unit])
