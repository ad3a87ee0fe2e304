"""Random conditions mean for random items what a plain model says that they mean."""

from typing import Any

import msgspec
from hypothesis import given, settings

from keystead_core.expressions import Condition, matches
from keystead_core.items import check_attributes
from tests.expressions.attributes import condition
from tests.expressions.condition_model import CONDITIONS, ITEMS, Rendered, meets, to_attribute


@settings(max_examples=400)
@given(CONDITIONS, ITEMS)
def test_a_condition_holds_exactly_where_the_model_says_so(tree: Any, values: dict[str, Any]) -> None:
    stored = {name: to_attribute(value) for name, value in values.items()}
    check_attributes(stored)
    rendered = Rendered()
    text = rendered.condition(tree)
    bound = condition(text, rendered.values or None, rendered.names or None)
    assert matches(bound, stored) is meets(tree, values), text
    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(bound), type=Condition)
    assert matches(travelled, stored) is meets(tree, values), text
