"""Disks so slow that nothing commits within a lease: mastership must not change hands for ever."""

import pytest

from keystead_core.ids import MILLISECOND, SECOND
from tests.replication.trio import Trio


@pytest.mark.parametrize("sync_ms", [600, 1200])
def test_group_over_slow_disks_comes_to_have_a_master(sync_ms: int) -> None:
    trio = Trio(sync=sync_ms * MILLISECOND)
    trio.run(90 * SECOND)
    assert trio.master()
    epoch = trio.nodes[trio.master()].replicas[1].epoch  # type: ignore[index]
    trio.run(30 * SECOND)
    assert trio.nodes[trio.master()].replicas[1].epoch == epoch  # type: ignore[index]
