"""When a partition asks for a split by itself: by its size, its traffic, or by what the rest of its table is like."""

import pytest

from keystead_core.split.triggers import REST_SECONDS, PartitionLoad, SplitRule, Watch, beyond

RULE = SplitRule(bytes_max=1000, read_units=100, write_units=100, after_seconds=60.0)


def load(size: int = 10, reads: float = 0.0, writes: float = 0.0, cpu: float = 0.0) -> PartitionLoad:
    return PartitionLoad(size, reads, writes, cpu)


def anomaly_after(watch: Watch, mine: PartitionLoad, others: list[PartitionLoad], seconds: list[float]) -> list[str]:
    """What is said at each of these times."""
    return [watch.anomaly(mine, others, RULE, now) if watch.is_suspect(mine, RULE, now) else "" for now in seconds]


@pytest.mark.parametrize(
    ("mine", "others", "found"),
    [
        (load(size=301), [load(size=100), load(size=100)], "size"),
        (load(size=299), [load(size=100), load(size=100)], ""),
        (load(size=100), [load(size=1), load(size=1)], ""),
        (load(size=900), [load(size=800), load(size=1), load(size=1)], "size"),
        (load(reads=20, writes=11), [load(reads=10), load(writes=10)], "load"),
        (load(reads=20, writes=9), [load(reads=10), load(writes=10)], ""),
        (load(reads=19), [load(), load()], ""),
        (load(reads=1, cpu=0.31), [load(cpu=0.1), load(cpu=0.1)], "load"),
        (load(reads=1, cpu=0.29), [load(cpu=0.1), load(cpu=0.1)], ""),
        (load(reads=1, cpu=0.04), [load(), load()], ""),
        (load(size=999, reads=79), [], ""),
    ],
)
def test_far_beyond_the_mean_of_the_others_and_not_little(
    mine: PartitionLoad, others: list[PartitionLoad], found: str
) -> None:
    assert beyond(mine, others, RULE) == found


@pytest.mark.parametrize("off", [{"anomaly_times": 0.0}, {"bytes_max": 0, "read_units": 0, "write_units": 0}])
def test_what_is_switched_off_asks_nothing(off: dict[str, float]) -> None:
    rule = SplitRule(**{"bytes_max": 1000, "read_units": 100, "write_units": 100, **off})  # type: ignore[arg-type]
    mine = load(size=900, reads=79)
    assert beyond(mine, [load()], rule) == "" and not Watch().is_suspect(mine, rule, 1.0)


def test_an_anomaly_is_said_once_it_has_lasted_and_then_not_for_a_while() -> None:
    watch, mine, others = Watch(), load(size=900), [load(size=10)]
    assert anomaly_after(watch, mine, others, [0.0, 30.0, 60.0, 65.0]) == ["", "", "size", ""]
    later = 60.0 + REST_SECONDS
    assert anomaly_after(watch, mine, others, [later, later + 60.0]) == ["", "size"]


def test_a_look_without_an_anomaly_begins_the_time_anew() -> None:
    watch, mine = Watch(), load(size=900)
    assert watch.anomaly(mine, [load(size=10)], RULE, 0.0) == ""
    assert watch.anomaly(mine, [load(size=800)], RULE, 30.0) == ""
    assert watch.anomaly(mine, [load(size=10)], RULE, 60.0) == ""
    assert not watch.is_suspect(load(size=20), RULE, 90.0)
    assert watch.anomaly(mine, [load(size=10)], RULE, 125.0) == "", "it had become small meanwhile"
    assert watch.anomaly(mine, [load(size=10)], RULE, 185.0) == "size"


def test_equal_partitions_are_never_anomalies_so_that_halves_do_not_go_on_splitting() -> None:
    halves = [load(size=500, reads=60)] * 2
    assert beyond(halves[0], halves[1:], RULE) == ""


def test_size_alone_asks_at_once_and_traffic_once_it_has_lasted() -> None:
    assert Watch().reason(load(size=1001), RULE, 0.0) == "size"
    watch, busy = Watch(), load(reads=50, writes=31)
    assert [watch.reason(busy, RULE, now) for now in (0.0, 59.0, 60.0, 61.0)] == ["", "", "traffic", ""]
