"""Places of a cluster: what the pods and volumes that were seen amount to. Pure."""

import re

import msgspec

from keystead_operator.kube.seen import SeenClaim, SeenPod
from keystead_operator.manifests.frame import ADMIN_PORT, PEER_PORT
from keystead_operator.manifests.volume import claim_name


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place for a node. `claim`: the volume that its pod has, or that the next one gets; None: it needs a new one.

    `claims`: all volumes of the place, also those that are going or lost.
    """

    name: str
    zone: str
    pod: SeenPod | None
    claim: SeenClaim | None
    claims: tuple[SeenClaim, ...]

    @property
    def running(self) -> bool:
        """There is a pod that runs, or is about to; one that is being deleted holds the place until it is gone."""
        return self.pod is not None and not self.pod.over

    @property
    def volume_lost(self) -> bool:
        """The pod was made over a volume that does not exist any more."""
        if self.pod is None or not self.running or self.pod.head.deleting:
            return False
        mine = next((claim for claim in self.claims if claim.head.name == self.pod.claim), None)
        return mine is None or mine.phase == "Lost"

    @property
    def admin_address(self) -> str:
        """host:port; "" while the pod has no address."""
        return address(self.pod.ip, ADMIN_PORT) if self.pod is not None and self.pod.ip and self.running else ""

    @property
    def peer_address(self) -> str:
        return address(self.pod.ip, PEER_PORT) if self.pod is not None and self.pod.ip else ""

    def new_claim_name(self) -> str:
        """A name that no volume of the place bears."""
        return free_claim_name(self.name, frozenset(claim.head.name for claim in self.claims))


def free_claim_name(place: str, taken: frozenset[str]) -> str:
    attempt = 1
    while claim_name(place, attempt) in taken:
        attempt += 1
    return claim_name(place, attempt)


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def places_of(pods: list[SeenPod], claims: list[SeenClaim]) -> list[Place]:
    """The places in the order of their numbers. A place is there as long as it has a pod or a usable volume."""
    by_place: dict[str, list[SeenClaim]] = {}
    for claim in claims:
        by_place.setdefault(claim.place, []).append(claim)
    pod_of = {pod.place: pod for pod in pods}
    names = {name for name, found in by_place.items() if any(claim.usable for claim in found)} | set(pod_of)
    return [_place(name, pod_of.get(name), by_place.get(name, [])) for name in sorted(names, key=_number)]


def _place(name: str, pod: SeenPod | None, claims: list[SeenClaim]) -> Place:
    usable = [claim for claim in claims if claim.usable]
    mine = next((claim for claim in usable if pod is not None and claim.head.name == pod.claim), None)
    newest = max(usable, key=lambda claim: (claim.created_at, claim.head.name), default=None)
    chosen = mine or newest
    zone = pod.zone if pod is not None else chosen.zone if chosen is not None else ""
    return Place(name=name, zone=zone, pod=pod, claim=chosen, claims=tuple(claims))


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"([0-9]+)$", name)
    return (int(digits.group(1)) if digits else -1, name)
