"""Which node a pod goes to: pure, on objects as the API server has them."""

import msgspec

from tests.apiserver.rest import Object

HOST_LABEL = "kubernetes.io/hostname"


class World(msgspec.Struct):
    """What is known. Claims and volumes by (namespace, name) and by name."""

    nodes: list[Object]
    pods: list[Object]
    claims: dict[tuple[str, str], Object]
    volumes: dict[str, Object]


class Unschedulable(Exception):
    """Why the pod cannot go anywhere now."""


def choose_node(pod: Object, world: World) -> str:
    """The name of the node that fits and has the fewest pods of the same labels. Raises Unschedulable."""
    _check_claims(pod, world)
    reasons: dict[str, int] = {}
    fitting = []
    for node in world.nodes:
        reason = _why_not(pod, node, world)
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            fitting.append(node["metadata"]["name"])
    if not fitting:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        raise Unschedulable(f"0/{len(world.nodes)} nodes are available: {told}.")
    best: str = min(fitting, key=lambda name: (_alike_on(pod, name, world), name))
    return best


def claim_names(pod: Object) -> list[str]:
    """The PersistentVolumeClaims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    return [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one]


def _check_claims(pod: Object, world: World) -> None:
    namespace = pod["metadata"]["namespace"]
    for name in claim_names(pod):
        claim = world.claims.get((namespace, name))
        if claim is None:
            raise Unschedulable(f'persistentvolumeclaim "{name}" not found')
        if "deletionTimestamp" in claim["metadata"]:
            raise Unschedulable(f'persistentvolumeclaim "{name}" is being deleted')
        volume = claim["spec"].get("volumeName")
        if volume and volume not in world.volumes:
            raise Unschedulable(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"')
        if "ReadWriteOncePod" in claim["spec"]["accessModes"] and _is_in_use(pod, name, world):
            raise Unschedulable("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod")


def _is_in_use(pod: Object, claim: str, world: World) -> bool:
    return any(
        other["metadata"]["uid"] != pod["metadata"]["uid"]
        and other["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and other["spec"].get("nodeName")
        and other.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and claim in claim_names(other)
        for other in world.pods
    )


def _why_not(pod: Object, node: Object, world: World) -> str:
    spec, labels = pod["spec"], node["metadata"].get("labels") or {}
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] in ("NoSchedule", "NoExecute") and not _is_tolerated(taint, spec.get("tolerations") or []):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if any(labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    for name in claim_names(pod):
        claim = world.claims[pod["metadata"]["namespace"], name]
        volume = world.volumes.get(claim["spec"].get("volumeName", ""))
        if volume is not None and _home_of(volume) not in (None, labels.get(HOST_LABEL)):
            return "node(s) had volume node affinity conflict"
    if any(_repels(pod, term, node, world) for term in _anti_affinity(spec)):
        return "node(s) didn't match pod anti-affinity rules"
    if any(_is_uneven(pod, rule, node, world) for rule in spec.get("topologySpreadConstraints") or []):
        return "node(s) didn't match pod topology spread constraints"
    return ""


def _is_tolerated(taint: Object, tolerations: list[Object]) -> bool:
    for one in tolerations:
        right_effect = one.get("effect") in (None, "", taint["effect"])
        right_key = not one.get("key") or one["key"] == taint["key"]
        right_value = one.get("operator") == "Exists" or one.get("value", "") == taint.get("value", "")
        if right_effect and right_key and right_value:
            return True
    return False


def _home_of(volume: Object) -> str | None:
    """The host that a volume is on; None where it can be anywhere."""
    terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", [])
    for term in terms:
        for expression in term.get("matchExpressions", []):
            if expression["key"] == HOST_LABEL:
                home: str = expression["values"][0]
                return home
    return None


def _anti_affinity(spec: Object) -> list[Object]:
    affinity = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    terms: list[Object] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    return terms


def _matches(selector: Object | None, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    selector = selector or {}
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        value = labels.get(one["key"])
        match one["operator"]:
            case "In":
                fits = value in one["values"]
            case "NotIn":
                fits = value not in one["values"]
            case "Exists":
                fits = value is not None
            case _:
                fits = value is None
        if not fits:
            return False
    return True


def _placed(pod: Object, selector: Object | None, world: World) -> list[Object]:
    return [
        other
        for other in world.pods
        if other["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and other["metadata"]["uid"] != pod["metadata"]["uid"]
        and other["spec"].get("nodeName")
        and other.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and _matches(selector, other)
    ]


def _domain_of(pod: Object, key: str, world: World) -> str | None:
    for node in world.nodes:
        if node["metadata"]["name"] == pod["spec"].get("nodeName"):
            found: str | None = (node["metadata"].get("labels") or {}).get(key)
            return found
    return None


def _repels(pod: Object, term: Object, node: Object, world: World) -> bool:
    key = term["topologyKey"]
    here = (node["metadata"].get("labels") or {}).get(key)
    others = _placed(pod, term.get("labelSelector"), world)
    return here is not None and any(_domain_of(other, key, world) == here for other in others)


def _is_uneven(pod: Object, rule: Object, node: Object, world: World) -> bool:
    if rule.get("whenUnsatisfiable") != "DoNotSchedule":
        return False
    key = rule["topologyKey"]
    wanted = pod["spec"].get("nodeSelector") or {}
    labels = [one["metadata"].get("labels") or {} for one in world.nodes]
    domains = {one.get(key) for one in labels if all(one.get(k) == v for k, v in wanted.items())} - {None}
    counts = dict.fromkeys(domains, 0)
    for other in _placed(pod, rule.get("labelSelector"), world):
        domain = _domain_of(other, key, world)
        if domain in counts:
            counts[domain] += 1
    here = (node["metadata"].get("labels") or {}).get(key)
    return here not in counts or counts[here] + 1 - min(counts.values()) > rule["maxSkew"]


def _alike_on(pod: Object, name: str, world: World) -> int:
    labels = {"matchLabels": {k: v for k, v in (pod["metadata"].get("labels") or {}).items() if k.endswith("/cluster")}}
    return sum(other["spec"]["nodeName"] == name for other in _placed(pod, labels, world))
