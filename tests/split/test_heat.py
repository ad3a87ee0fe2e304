"""What a partition is used, as a node counts it."""

from time import perf_counter

from keystead_core.ids import PartitionId
from keystead_core.replication.events import Applied, Tick
from keystead_node.heat import Heat

P1, P2 = PartitionId(1), PartitionId(2)


def test_time_of_the_event_loop_is_counted_where_it_was_spent() -> None:
    heat = Heat()
    heat.of(P1).wrote(b"key", 1000)
    heat.settle(10.0, [P1, P2])
    heat.spent(Applied(P1, 7), 0.25)
    heat.spent(Applied(P2, 7), 0.25)
    heat.spent(Tick(), 0.25)
    heat.of(P1).read(b"key", 1000, perf_counter() - 0.5)
    heat.settle(12.0, [P1, P2])
    assert 0.375 <= heat.of(P1).cpu_share < 0.4
    assert heat.known(P2) is None, "a partition that nobody uses has no account"
