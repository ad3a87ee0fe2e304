"""The StorageCluster resource (ksc): nodes, volumes and how tables are replicated over them."""

from typing import Any, Final

from keystead_operator.spec.capacity import capacity_schema
from keystead_operator.spec.copies import copies_schema
from keystead_operator.spec.crd import column, definition
from keystead_operator.spec.schema import (
    DNS_LABEL_PATTERN,
    DURATION_PATTERN,
    LONG_MAX,
    Schema,
    boolean,
    choice,
    conditions,
    integer,
    list_map,
    long,
    mapping,
    number,
    plain_list,
    quantity,
    reference,
    rule,
    string_set,
    struct,
    text,
    with_own_default,
    with_rules,
)
from keystead_operator.spec.table import REPLICAS_MAX

NODES_MAX: Final = 1000


def _zones() -> Schema:
    label = text("Name of a zone.", length_max=63, pattern=DNS_LABEL_PATTERN)
    return struct(
        "Where nodes may run. Replicas of a partition spread over zones.",
        {
            "topologyKey": text(
                "Label of Kubernetes nodes that names their zone.",
                length_max=317,
                minLength=1,
                default="topology.kubernetes.io/zone",
            ),
            "names": string_set("Zones to use; all that have nodes if absent.", label, items_max=16),
        },
    )


def _storage() -> Schema:
    return struct(
        "The volume of each node.",
        {
            "size": with_rules(
                quantity("Size of the volume.", default="10Gi"),
                rule("quantity(self).compareTo(quantity(oldSelf)) >= 0", "a volume cannot shrink"),
            ),
            "className": with_rules(
                text("StorageClass; the default one if absent.", minLength=1),
                rule("self == oldSelf", "the storage class is immutable"),
            ),
            "accessMode": with_rules(
                choice(
                    "ReadWriteOncePod, which not every class can: Kubernetes itself keeps a second pod away.",
                    "ReadWriteOnce",
                    "ReadWriteOncePod",
                    default="ReadWriteOnce",
                ),
                rule("self == oldSelf", "the access mode is immutable"),
            ),
        },
    )


def _resources() -> Schema:
    amounts = quantity("Amount.")
    return struct(
        "Compute resources of each node.",
        {
            "requests": mapping("What is set aside.", amounts, entries_max=8),
            "limits": mapping("What is the most.", amounts, entries_max=8),
        },
    )


def _scheduling() -> Schema:
    toleration = struct(
        "As in a pod.",
        {
            "key": text("Key of the taint; any if absent.", length_max=317),
            "operator": choice("How the value is compared; Equal if absent.", "Exists", "Equal"),
            "value": text("Value of the taint.", length_max=63),
            "effect": choice("Effect of the taint; any if absent.", "NoSchedule", "PreferNoSchedule", "NoExecute"),
            "tolerationSeconds": long("How long NoExecute is put up with; for ever if absent.", 0, LONG_MAX),
        },
    )
    return struct(
        "On which machines nodes may run, and how they stand against other pods. A change restarts them, zone by zone.",
        {
            "nodeSelector": mapping(
                "Labels that a machine must have.", text("Value of the label.", length_max=63), entries_max=16
            ),
            "tolerations": plain_list("Taints of machines that are put up with.", toleration, items_max=32),
            "priorityClassName": text("PriorityClass of the pods; the default one if absent.", minLength=1),
        },
    )


def _replication() -> Schema:
    schema = struct(
        "How partitions are replicated, unless a Table says otherwise.",
        {
            "replicas": integer("Voters of each partition.", 1, REPLICAS_MAX, default=3),
            "writeQuorum": integer(
                "Voters that hold a write before it is acknowledged; a majority if absent.", 1, REPLICAS_MAX
            ),
            "durableZones": integer("Zones that hold a write before it is acknowledged.", 1, REPLICAS_MAX, default=1),
        },
    )
    return with_rules(
        schema,
        rule(
            "!has(self.writeQuorum) || (self.writeQuorum <= self.replicas && self.writeQuorum * 2 > self.replicas)",
            "writeQuorum must be a majority of replicas and at most all of them",
        ),
        rule("self.durableZones <= self.replicas", "durableZones must not be above replicas"),
    )


def _failover() -> Schema:
    return struct(
        "How a partition gets a new master.",
        {
            "leaseSeconds": number("How long a master's lease lasts.", 0.2, 60, default=1),
            "lock": choice(
                "Whether a candidate needs the lock service.", "required", "preferred", "none", default="preferred"
            ),
            "reads": choice(
                "Consistent reads inside the lease, or by a quorum where machines can be frozen.",
                "lease",
                "quorum",
                default="lease",
            ),
        },
    )


def _tls() -> Schema:
    return struct(
        "Encryption between nodes and to clients.",
        {
            "enabled": boolean("Whether connections are encrypted.", default=True),
            "issuerSecretRef": reference("Secret with ca.crt, tls.crt and tls.key; an own authority if absent."),
        },
    )


def _credentials() -> Schema:
    schema = struct(
        "Who may use the API; one of the two has to be said.",
        {
            "secretRef": reference("Secret with access key ids, their secret keys and policies."),
            "insecureNoAuth": boolean("Whoever reaches the API may do everything, without a signature."),
        },
    )
    return with_rules(
        schema,
        rule(
            "has(self.secretRef) != (has(self.insecureNoAuth) && self.insecureNoAuth)",
            "credentials need either a secretRef or insecureNoAuth",
        ),
    )


def _backup() -> Schema:
    return struct(
        "Where backups go.",
        {
            "store": text("URL of the object store.", length_max=1024, pattern=r"^(s3|gs|az|file)://.+$"),
            "credentialsSecretRef": reference("Secret with the store's credentials."),
        },
        required=("store",),
    )


def _spec() -> Schema:
    spec = struct(
        "The desired cluster.",
        {
            "nodes": integer("Number of nodes.", 1, NODES_MAX, default=3),
            "removeNodes": string_set(
                "Names of nodes that go, others than by the number of nodes alone; each keeps its replicas until they "
                "are elsewhere. With fewer nodes declared nobody comes in their place.",
                text("Name of a node.", length_max=63, minLength=1),
                items_max=NODES_MAX,
            ),
            "zones": with_own_default(_zones()),
            "storage": with_own_default(_storage()),
            "resources": with_own_default(_resources()),
            "replication": with_own_default(_replication()),
            "failover": with_own_default(_failover()),
            "capacity": capacity_schema(),
            "copies": copies_schema(),
            "nodeLossGrace": text(
                "How long a node may be away before its replicas are made anew elsewhere.",
                length_max=32,
                pattern=DURATION_PATTERN,
                default="5m",
            ),
            "image": text("Image of the nodes; the operator's own if absent.", length_max=512, minLength=1),
            "imagePullSecrets": list_map(
                "Secrets by which the image is pulled.",
                reference("A Secret of the same namespace."),
                key="name",
                items_max=16,
            ),
            "scheduling": _scheduling(),
            "tls": with_own_default(_tls()),
            "credentials": _credentials(),
            "auditLog": choice(
                "Which requests nodes log to their standard output, a JSON line each. A change restarts them.",
                *("off", "denied", "writes", "all"),
                default="off",
            ),
            "backup": _backup(),
            "volumeRetention": choice(
                "What becomes of the volumes when the cluster is deleted.", "Retain", "Delete", default="Retain"
            ),
            "suspend": boolean("Change nothing; the data plane goes on by itself.", default=False),
        },
    )
    return with_rules(
        spec,
        rule("self.replication.replicas <= self.nodes", "replication.replicas must not be above nodes"),
        rule("has(self.storage.className) == has(oldSelf.storage.className)", "the storage class is immutable"),
    )


def _status() -> Schema:
    founder = struct(
        "A node that forms the catalog.",
        {
            "node": text("Node id.", length_max=16),
            "name": text("Name of the pod."),
            "zone": text("Its zone.", length_max=63),
            "replica": long("Its replica id.", 1, LONG_MAX),
        },
        required=("node", "replica"),
    )
    return struct(
        "The observed cluster.",
        {
            "observedGeneration": long("The generation that this status is about.", 0, LONG_MAX),
            "conditions": conditions(),
            "clusterId": text("Minted once; on every volume.", length_max=64),
            "bootstrapped": boolean("Whether the catalog was ever formed. Never falls back to false."),
            "founders": list_map(
                "The catalog's first members, named once.", founder, key="node", items_max=REPLICAS_MAX
            ),
            "nodes": integer("Nodes that exist.", 0, NODES_MAX),
            "readyNodes": integer("Nodes that serve.", 0, NODES_MAX),
            "zones": integer("Zones with a serving node.", 0, NODES_MAX),
            "tables": integer("Tables in the catalog.", 0, 1_000_000),
            "partitions": integer("Partitions of all tables.", 0, 1_000_000),
            "rescale": struct(
                "Replicas on the move between nodes; absent while none has to.",
                {
                    "moved": long("Replicas that have moved since this began.", 0, LONG_MAX),
                    "toMove": long("Replicas that have to, in all.", 0, LONG_MAX),
                    "moving": long("Replicas that are on the way now.", 0, LONG_MAX),
                    "leaving": string_set(
                        "Nodes that are being emptied.", text("Name of a node.", length_max=63), items_max=NODES_MAX
                    ),
                    "bytesLeft": long("What the rows weigh that have yet to move or are on the way.", 0, LONG_MAX),
                    "secondsLeft": long("How long it takes yet, at the speed so far.", 0, LONG_MAX),
                },
            ),
            "selector": text("Label selector of the pods.", length_max=1024),
            "endpoint": text("Address for clients.", length_max=1024),
        },
    )


def storage_cluster_definition() -> dict[str, Any]:
    """The CustomResourceDefinition of StorageCluster."""
    root = struct(
        "A cluster of Keystead nodes.",
        {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": with_own_default(_spec()),
            "status": _status(),
        },
    )
    root = with_rules(
        root,
        rule("size(self.metadata.name) <= 40", "the name of a cluster has at most 40 characters"),
        # Here and not in the spec: the spec's absence stands for its defaults, and nobody is let in by default.
        rule(
            "has(self.spec.credentials)",
            "spec.credentials has to say who may use the API, by the secretRef of access keys or by insecureNoAuth",
        ),
    )
    available = '.status.conditions[?(@.type=="Available")]'
    columns = [
        column("Ready", f"{available}.status", "Whether the cluster serves."),
        column("Nodes", ".status.readyNodes", "Nodes that serve.", "integer"),
        column("Desired", ".spec.nodes", "Nodes that should serve.", "integer"),
        column("Zones", ".status.zones", "Zones with a serving node.", "integer"),
        column("Tables", ".status.tables", "Tables.", "integer"),
        column("Partitions", ".status.partitions", "Partitions of all tables.", "integer"),
        column("Reason", f"{available}.reason", "Why the cluster is or is not ready."),
        column("Cluster-Id", ".status.clusterId", "Identity on every volume.", priority=1),
    ]
    return definition(
        kind="StorageCluster",
        plural="storageclusters",
        short="ksc",
        schema=root,
        columns=columns,
        scale={
            "specReplicasPath": ".spec.nodes",
            "statusReplicasPath": ".status.nodes",
            "labelSelectorPath": ".status.selector",
        },
    )
