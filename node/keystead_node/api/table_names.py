"""Names of tables, and the ARNs that stand for them.

    arn:aws:dynamodb:keystead:000000000000:table/NAME

Where the service takes a name it takes an ARN too. Region and account of an ARN that a client sends are not looked at:
a cluster has one of each.
"""

import re
from typing import Final

from keystead_core.access_policy import ARN_ROOT

ARN_PREFIX: Final = f"{ARN_ROOT}table/"
_ARN: Final = re.compile(r"arn:aws[a-z-]*:dynamodb:[^:/]*:[0-9]*:table/([^/]*)")


def table_name(text: str) -> str:
    """The name in a table's ARN; any other text as it is."""
    found = _ARN.fullmatch(text) if text.startswith("arn:") else None
    return found[1] if found is not None else text


def table_arn(name: str) -> str:
    return ARN_PREFIX + name


def is_table_arn(text: str) -> bool:
    return _ARN.fullmatch(text) is not None
