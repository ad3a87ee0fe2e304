"""Which volumes bring a group back: the smallest sets that make a failover quorum which can also write."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from keystead_core.cluster_map import PartitionEntry, ReplicaTarget
from keystead_core.comeback import CANDIDATES_MAX, ways_back, ways_in_words
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from keystead_core.replication.membership import founding_membership


def nodes(letters: str) -> list[NodeId]:
    return [NodeId(letter) for letter in letters]


def group(
    letters: str, write_quorum: int = 0, durable_zones: int = 1, zones: str = "", roles: str = ""
) -> PartitionEntry:
    """Members by letters; a zone each unless `zones` says otherwise; `roles`: v voter, l learner, o log-only."""
    names = {"v": "voter", "l": "learner", "o": "log-only"}
    places = zip(nodes(letters), zones or letters, roles or "v" * len(letters), strict=True)
    members = [
        ReplicaTarget(ReplicaId(number), node, zone, names[role]) for number, (node, zone, role) in enumerate(places, 1)
    ]
    voters = sum(member.role != "learner" for member in members)
    return PartitionEntry(
        id=PartitionId(2),
        table="orders",
        low=b"",
        high=None,
        generation=1,
        founders=members,
        target=members,
        members=members,
        write_quorum=write_quorum or voters // 2 + 1,
        durable_zones=durable_zones,
    )


def test_either_of_two_lost_volumes_of_three_is_enough() -> None:
    assert ways_back([group("abc")], nodes("bc")) == [nodes("b"), nodes("c")]


def test_nothing_is_missing_while_a_minority_is_away() -> None:
    assert ways_back([group("abc")], nodes("c")) == [[]]


def test_three_lost_of_three_need_any_two() -> None:
    assert ways_back([group("abc")], nodes("abc")) == [nodes("ab"), nodes("ac"), nodes("bc")]


def test_node_that_has_left_brings_nothing_back() -> None:
    assert ways_back([group("abc")], nodes("bc"), nodes("b")) == [nodes("c")]
    assert ways_back([group("abc")], nodes("bc"), nodes("bc")) == []


def test_replica_that_takes_no_part_is_not_counted_as_there() -> None:
    assert ways_back([group("abc")], nodes("c"), nodes("b")) == [nodes("c")]


def test_learner_brings_nothing_back() -> None:
    assert ways_back([group("abcd", roles="vvvl")], nodes("bcd")) == [nodes("b"), nodes("c")]


def test_log_only_voter_alone_cannot_be_what_is_there() -> None:
    """b and c could elect, but a full voter must be among those who do."""
    assert ways_back([group("abc", roles="vvo")], nodes("ab")) == [nodes("a"), nodes("b")]


def test_write_quorum_above_the_majority_must_be_met_too() -> None:
    assert ways_back([group("abc", write_quorum=3)], nodes("bc")) == [nodes("bc")]


def test_zones_that_a_write_must_reach_rule_sets_out() -> None:
    """Five voters, a and b in one zone: a third of that zone does not help, one of another does."""
    entry = group("abcde", durable_zones=2, zones="xxxyz")
    assert ways_back([entry], nodes("cde")) == [nodes("d"), nodes("e")]


def test_several_groups_need_what_brings_all_of_them_back() -> None:
    assert ways_back([group("abc"), group("acd")], nodes("bcd")) == [nodes("c"), nodes("bd")]


def test_very_many_absent_nodes_are_named_together() -> None:
    letters = "abcdefghijklmnopqrstuvw"
    absent = nodes(letters)[: CANDIDATES_MAX + 2]
    assert ways_back([group(letters)], absent) == [absent]


@given(
    st.integers(1, 6),
    st.sets(st.integers(0, 5)),
    st.sets(st.integers(0, 5)),
    st.integers(0, 6),
    st.integers(1, 3),
    st.lists(st.sampled_from("xyz"), min_size=6, max_size=6),
)
def test_sets_are_exactly_the_smallest_that_serve(
    voters: int, absent: set[int], unusable: set[int], write_quorum: int, zones: int, where: list[str]
) -> None:
    letters = "abcdef"[:voters]
    entry = group(letters, max(min(write_quorum, voters), voters // 2 + 1), zones, "".join(where[:voters]))
    everyone = nodes(letters)
    missing = [node for number, node in enumerate(everyone) if number in absent]
    idle = [node for number, node in enumerate(everyone) if number in unusable]
    minimum = entry.write_quorum if entry.write_quorum > voters // 2 + 1 else 0
    rule = founding_membership(entry.members, minimum, zones, 0)

    def serves(back: tuple[NodeId, ...]) -> bool:
        there = [m.replica for m in rule.voters if m.node not in idle and (m.node not in missing or m.node in back)]
        return rule.is_failover_quorum(there) and rule.is_durable(there)

    useful = [node for node in missing if node not in idle]
    sets = [chosen for size in range(len(useful) + 1) for chosen in combinations(useful, size) if serves(chosen)]
    smallest = [list(one) for one in sets if not any(set(other) < set(one) for other in sets)]
    assert sorted(ways_back([entry], missing, idle)) == sorted(smallest)


def test_words_name_a_choice_a_number_and_a_list() -> None:
    called = "node {}".format
    assert ways_in_words([], called) == ""
    assert ways_in_words([nodes("ab")], called) == "node a and node b"
    assert ways_in_words([nodes("a"), nodes("b")], called) == "any one of node a, node b"
    assert ways_in_words([nodes("ab"), nodes("ac"), nodes("bc")], called) == "any 2 of node a, node b, node c"
    assert ways_in_words([nodes("c"), nodes("bd")], called) == "node c, or node b and node d"
