"""What pods and volumes amount to: which place is there, over which volume, and in what trouble."""

from typing import Any

import msgspec

from keystead_operator.kube.places import Place, places_of
from keystead_operator.kube.seen import Head, SeenClaim, SeenPod


def head(name: str, deleting: bool = False) -> Head:
    return Head(namespace="shop", name=name, uid=f"uid-{name}", resource_version="1", deleting=deleting)


def claim(name: str = "data-c-node-0", place: str = "c-node-0", deleting: bool = False, **more: Any) -> SeenClaim:
    found = SeenClaim(
        head=head(name, deleting),
        cluster="c",
        place=place,
        zone="a",
        phase="Bound",
        size="1Gi",
        cluster_id="id",
        created_at="2026-01-01T00:00:00Z",
        owner="",
    )
    return msgspec.structs.replace(found, **more)


def pod(place: str = "c-node-0", over: str = "data-c-node-0", deleting: bool = False, **more: Any) -> SeenPod:
    found = SeenPod(
        head=head(place, deleting),
        cluster="c",
        place=place,
        zone="a",
        phase="Running",
        ip="10.0.0.1",
        kubernetes_node="worker",
        template="t",
        claim=over,
        owner="o",
        ready=True,
        served=True,
        unschedulable="",
        problem="",
    )
    return msgspec.structs.replace(found, **more)


def only(pods: list[SeenPod], claims: list[SeenClaim]) -> Place:
    (place,) = places_of(pods, claims)
    return place


def test_place_is_there_by_its_volume_alone() -> None:
    place = only([], [claim()])
    assert not place.running
    assert place.claim is not None


def test_volume_that_is_stuck_in_its_deletion_makes_no_place_and_its_name_is_not_taken_again() -> None:
    assert places_of([], [claim(deleting=True)]) == []
    place = only([pod()], [claim(deleting=True)])
    assert place.claim is None
    assert place.new_claim_name() == "data-c-node-0-2"


def test_lost_volume_is_not_used_again() -> None:
    assert places_of([], [claim(phase="Lost")]) == []


def test_pod_over_a_volume_that_is_gone_has_lost_it() -> None:
    assert only([pod()], []).volume_lost
    assert only([pod()], [claim(phase="Lost")]).volume_lost
    assert not only([pod()], [claim()]).volume_lost


def test_pod_over_a_volume_that_was_deleted_goes_on_and_is_warned_of() -> None:
    place = only([pod()], [claim(deleting=True)])
    assert place.volume_going
    assert not place.volume_lost


def test_newest_of_several_volumes_is_taken_unless_the_pod_has_one() -> None:
    old, new = claim(), claim("data-c-node-0-2", created_at="2026-02-02T00:00:00Z")
    found = only([], [old, new]).claim
    assert found is not None
    assert found.head.name == "data-c-node-0-2"
    found = only([pod()], [old, new]).claim
    assert found is not None
    assert found.head.name == "data-c-node-0"


def test_ended_pod_does_not_run() -> None:
    assert not only([pod(phase="Failed")], [claim()]).running


def test_pod_that_no_node_takes_over_its_bound_volume_is_stranded() -> None:
    waiting = pod(phase="Pending", ip="", ready=False, served=False, unschedulable="volume node affinity conflict")
    assert only([waiting], [claim()]).stranded
    assert not only([waiting], [claim(phase="Pending")]).stranded, "an unbound volume is bound to no machine"


def test_pod_that_is_ready_is_not_stranded() -> None:
    assert not only([pod()], [claim()]).stranded


def test_pod_that_takes_long_to_start_is_not_stranded() -> None:
    assert not only([pod(ready=False, served=False)], [claim()]).stranded


def test_pod_whose_machine_fell_silent_while_it_served_is_stranded() -> None:
    assert only([pod(ready=False, served=True)], [claim()]).stranded


def test_pod_that_crashes_again_and_again_is_stuck_and_not_stranded() -> None:
    place = only([pod(ready=False, served=False, problem="CrashLoopBackOff: back-off")], [claim()])
    assert place.stuck
    assert not place.stranded


def test_places_come_in_the_order_of_their_numbers() -> None:
    claims = [claim(f"data-c-node-{n}", f"c-node-{n}") for n in (10, 2, 0)]
    assert [place.name for place in places_of([], claims)] == ["c-node-0", "c-node-2", "c-node-10"]


def test_addresses_of_the_sixth_version_are_bracketed() -> None:
    assert only([pod(ip="fd00::1")], [claim()]).admin_address == "[fd00::1]:7001"
