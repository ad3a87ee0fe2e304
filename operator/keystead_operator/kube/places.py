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
        mine = self.claim_of_pod()
        return mine is None or mine.phase == "Lost"

    @property
    def volume_going(self) -> bool:
        """The volume under the pod was deleted; it goes when the pod does."""
        mine = self.claim_of_pod()
        return self.running and mine is not None and mine.head.deleting

    def claim_of_pod(self) -> SeenClaim | None:
        if self.pod is None:
            return None
        return next((claim for claim in self.claims if claim.head.name == self.pod.claim), None)

    @property
    def stranded(self) -> str:
        """Why the pod may never run over its volume again, or "": judged by how long it stays so."""
        pod = self.pod
        if pod is None or pod.over:
            return ""
        if pod.head.deleting:
            return "its pod does not end"
        mine = self.claim_of_pod()
        if pod.unschedulable and mine is not None and mine.phase == "Bound":
            return pod.unschedulable
        if pod.served and not pod.ready:
            return "its machine shows no sign of life"
        return ""

    @property
    def stuck(self) -> str:
        """Why the pod takes part in nothing, or ""."""
        pod = self.pod
        return "" if pod is None or pod.ready else pod.problem or pod.unschedulable

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
