"""Events: what a person would ask about, told where `kubectl describe` shows it. A lost event is no failure."""

import uuid
from datetime import UTC, datetime
from typing import Final

import structlog

from keystead_operator.kube.client import KubeClient, KubeError
from keystead_operator.kube.kinds import Kind
from keystead_operator.kube.seen import Head, Json
from keystead_operator.manifests.frame import OPERATOR

TOLD: Final = ("Available", "Degraded", "VolumeLost", "ScaleInBlocked")
GOOD: Final = {"Available": "True", "Degraded": "False", "VolumeLost": "False", "ScaleInBlocked": "False"}
BIRTH: Final = ("NotCreated", "Creating", "Unreadable", "CatalogAway", "NoMaster")
MESSAGE_LENGTH_MAX: Final = 1000

log = structlog.get_logger("events")


def transitions(old: Json, new: Json) -> list[Json]:
    """The conditions that a person should hear of: those that changed. Being made is no event, coming back is one."""
    known = {one["type"]: one for one in old.get("conditions", ())}
    found = []
    for condition in new["conditions"]:
        kind = condition["type"]
        before = known.get(kind)
        if kind not in TOLD or before is None or before["status"] == condition["status"]:
            continue
        born = before["status"] == "Unknown" or before["reason"] in BIRTH
        if born and not old.get("partitions"):
            continue
        found.append(condition)
    return found


def event(kind: Kind, head: Head, condition: Json, now: datetime) -> Json:
    """An event about a condition of an object."""
    good = GOOD[condition["type"]] == condition["status"]
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"{head.name}.{uuid.uuid4().hex[:16]}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": head.namespace},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": head.name,
            "namespace": head.namespace,
            "uid": head.uid,
        },
        "type": "Normal" if good else "Warning",
        "reason": condition["reason"],
        "message": f"{condition['type']} is {condition['status']}: {condition['message']}"[:MESSAGE_LENGTH_MAX],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": OPERATOR},
        "reportingComponent": OPERATOR,
        "reportingInstance": OPERATOR,
    }


async def tell(client: KubeClient, kind: Kind, head: Head, old: Json, new: Json) -> None:
    """Posts what changed from one status to the next."""
    for condition in transitions(old, new):
        try:
            await client.create(event(kind, head, condition, datetime.now(UTC)))
        except KubeError as problem:
            log.info("event not posted", kind=kind.kind, name=head.name, problem=str(problem))
