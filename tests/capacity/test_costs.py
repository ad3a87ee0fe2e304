"""What reads and writes of rows cost, found with as little looking into them as can be."""

import msgspec

from keystead_core.items import encode_row
from keystead_core.row_changes import DELETE, PUT, RowChange, decide, decode_outcome, encode_change, with_sizes
from keystead_node.api.capacity import row_read_units, row_write_units


def row(size: int) -> bytes:
    """Of an item of this size."""
    value, found = encode_row({"pk": {"S": "k"}, "p": {"S": "x" * (size - 4)}})
    assert found == size
    return value


def test_a_write_costs_a_unit_for_each_begun_kilobyte_of_the_larger_item() -> None:
    assert row_write_units(None) == row_write_units(row(10)) == row_write_units(row(1024)) == 1
    assert row_write_units(row(1025)) == 2
    assert row_write_units(row(400_000)) == row_write_units(row(400_000), at_least=3.0) == 391
    assert row_write_units(row(10), at_least=3.0) == row_write_units(None, at_least=3.0) == 3


def test_a_read_costs_a_unit_for_each_begun_four_kilobytes_and_half_of_that_if_it_may_be_old() -> None:
    assert (row_read_units(None, True), row_read_units(None, False)) == (1, 0.5)
    assert (row_read_units(row(4096), True), row_read_units(row(4096), False)) == (1, 0.5)
    assert (row_read_units(row(4097), True), row_read_units(row(4097), False)) == (2, 1)


def test_a_change_that_is_asked_for_sizes_is_the_same_change() -> None:
    change = RowChange(PUT, value=row(3000), returns="ALL_OLD", failed_item=True)
    asking = with_sizes(encode_change(change))
    assert asking == encode_change(msgspec.structs.replace(change, sizes=True))
    outcome = decode_outcome(decide(asking, row(2000)).answer)
    assert (outcome.old_size, outcome.new_size) == (2000, 3000)


def test_a_condition_that_does_not_hold_tells_the_items_size() -> None:
    from keystead_core.expressions import Placeholders, read_condition

    condition = read_condition("attribute_exists(q)", Placeholders(None, None))
    outcome = decode_outcome(decide(with_sizes(encode_change(RowChange(DELETE, condition))), row(2500)).answer)
    assert (outcome.old_size, outcome.new_size) == (2500, 0)
