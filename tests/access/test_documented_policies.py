"""The policies that docs/access.md shows are policies, and do what it says of them."""

import re
from pathlib import Path

from keystead_core.access_policy import Decision, parse_policy
from keystead_node.api.actions import ACTIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"
READ_ONLY, ONE_APPLICATION = (
    parse_policy(text.encode(), ACTIONS) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
)
READS = ("Get", "BatchGet", "Query", "Scan", "Describe", "List")


def test_the_read_only_policy_allows_every_read_and_nothing_else() -> None:
    allowed = {name for name in ACTIONS if READ_ONLY.decide(name, "table/orders") is Decision.ALLOWED}
    assert allowed == {name for name in ACTIONS if name.startswith(READS)}


def test_the_policy_of_one_application_keeps_it_to_its_tables_and_these_from_deletion() -> None:
    assert ONE_APPLICATION.decide("PutItem", "table/shop-orders") is Decision.ALLOWED
    assert ONE_APPLICATION.decide("Query", "table/shop-orders/index/byDate") is Decision.ALLOWED
    assert ONE_APPLICATION.decide("PutItem", "table/orders") is Decision.NOT_ALLOWED
    assert ONE_APPLICATION.decide("DeleteTable", "table/shop-orders") is Decision.DENIED
