"""The bar of a rescale in `keystead status`."""

from keystead_cli.render import rescale_line
from keystead_operator.rescale_progress import RescaleProgress


def test_the_bar_shows_how_much_has_moved_and_who_leaves() -> None:
    line = rescale_line(
        RescaleProgress(moved=5, to_move=10, moving=2, leaving=("node-3",), bytes_left=1_234_000_000, seconds_left=7),
        width=10,
    ).plain
    moved = "5/10 replicas moved, 2 on the way, 1,234 MB to go"
    assert line == f"rescale [#####     ] {moved}, about 7 s left; leaving: node-3"


def test_a_node_that_waits_to_leave_has_a_full_bar() -> None:
    line = rescale_line(RescaleProgress(moved=0, to_move=0, moving=0, leaving=("node-3",)), width=4).plain
    assert line == "rescale [####] 0/0 replicas moved, 0 on the way; leaving: node-3"
