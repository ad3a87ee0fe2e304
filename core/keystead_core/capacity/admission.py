"""Whether a request is let through, by the allowances of all limits that it falls under."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from keystead_core.capacity.allowance import Allowance
from keystead_core.ids import Micros


class Verdict(Enum):
    PASSED = auto()
    WAITS = auto()
    REFUSED = auto()


class Judgement(NamedTuple):
    """`by`: the allowance that has no tokens; None where the request passed."""

    verdict: Verdict
    by: Allowance | None


_PASSED = Judgement(Verdict.PASSED, None)


def judge(allowances: Sequence[Allowance], units: float, now: Micros) -> Judgement:
    """A request passes that finds tokens in every allowance, be they fewer than `units`, which are spent then.

    It waits where an answer of the accountant may soon bring some, and is to be judged again with that answer; it is
    refused where none is to be expected. Nothing is spent then.
    """
    waits: Allowance | None = None
    for allowance in allowances:
        allowance.look(now)
        if allowance.tokens > 0:
            continue
        if not allowance.is_worth_waiting(now):
            allowance.refuse(units)
            return Judgement(Verdict.REFUSED, allowance)
        waits = waits or allowance
    if waits is not None:
        return Judgement(Verdict.WAITS, waits)
    for allowance in allowances:
        allowance.spend(units)
    return _PASSED
