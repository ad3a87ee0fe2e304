"""Progress of a rescale, as people see it: counted from the first sight, through changes midway."""

from keystead_operator.plan.actions import Moves
from keystead_operator.rescale_progress import progress


def test_nothing_is_shown_while_nothing_has_to_move() -> None:
    assert progress(None, Moves(), 5.0) is None


def test_what_has_moved_is_counted_and_the_rest_estimated_at_the_speed_so_far() -> None:
    first = progress(None, Moves(waiting=8, moving=2), 100.0)
    assert first is not None and (first.moved, first.to_move, first.moving, first.seconds_left) == (0, 10, 2, None)
    later = progress(first, Moves(waiting=3, moving=2), 110.0)
    assert later is not None and (later.moved, later.to_move, later.seconds_left) == (5, 10, 10)
    assert progress(later, Moves(), 120.0) is None


def test_the_bytes_that_are_left_are_told() -> None:
    first = progress(None, Moves(waiting=2, moving=1, bytes=3_000_000), 100.0)
    assert first is not None and first.bytes_left == 3_000_000


def test_a_change_midway_adds_to_what_has_moved() -> None:
    first = progress(None, Moves(waiting=10), 0.0)
    half = progress(first, Moves(waiting=5), 1.0)
    overtaken = progress(half, Moves(waiting=20), 2.0)
    assert overtaken is not None and (overtaken.moved, overtaken.to_move) == (5, 25)


def test_a_node_that_is_empty_and_about_to_leave_is_still_shown() -> None:
    last = progress(None, Moves(leaving=("node-3",)), 0.0)
    assert last is not None and last.leaving == ("node-3",) and last.to_move == 0
