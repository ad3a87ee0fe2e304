"""The actions of a plan. An executor carries them out in order and makes no choice of its own."""

import msgspec

from keystead_core.catalog.commands import ReplicaSpec, TableSpec
from keystead_core.catalog.table_changes import IndexUnits
from keystead_core.cluster_map import ClusterSettings, IndexSpec
from keystead_core.ids import NodeId, PartitionId
from keystead_operator.plan.state import Founder


class AddNode(msgspec.Struct, frozen=True, tag=True):
    """Make a place for a node: a volume, and the identity of the place (never of the node)."""

    name: str
    zone: str


class StartNode(msgspec.Struct, frozen=True, tag=True):
    name: str


class StopNode(msgspec.Struct, frozen=True, tag=True):
    name: str
    reason: str


class RestartNode(msgspec.Struct, frozen=True, tag=True):
    """Hand over what the process masters, and end it: it is started again from the template of now."""

    name: str
    reason: str


class GiveUpVolume(msgspec.Struct, frozen=True, tag=True):
    """Take the place's process and volume away, whose node has left for good: a new one comes instead."""

    name: str
    reason: str


class RemoveNode(msgspec.Struct, frozen=True, tag=True):
    """Take a place away for good, whose node has left or was never one: its volume, and a process that cannot be ended
    before or has left."""

    name: str
    reason: str


class GrowVolume(msgspec.Struct, frozen=True, tag=True):
    """Ask for the declared size of the place's volume."""

    name: str


class NameFounders(msgspec.Struct, frozen=True, tag=True):
    """Write down the catalog's first members. Done once in the life of a cluster."""

    founders: tuple[Founder, ...]


class FormCatalog(msgspec.Struct, frozen=True, tag=True):
    """Tell one founder to form the catalog with the others. A node that has formed it ignores this."""

    name: str
    node: NodeId
    founders: tuple[Founder, ...]
    settings: ClusterSettings


class MarkBootstrapped(msgspec.Struct, frozen=True, tag=True):
    """Write down that the catalog exists: from now on a missing one is lost, never new."""


class MarkLeft(msgspec.Struct, frozen=True, tag=True):
    """Record that a node id will never serve again. Irreversible. `only_if_empty`: not while a group needs it."""

    node: NodeId
    only_if_empty: bool = False


class CreateTable(msgspec.Struct, frozen=True, tag=True):
    """Make a table with its indexes. Where one of that name exists, the catalog refuses."""

    table: TableSpec
    indexes: tuple[IndexSpec, ...] = ()


class UpdateTable(msgspec.Struct, frozen=True, tag=True):
    """Bring the changeable part of a table's definition to this, in the name of its manager."""

    table: TableSpec
    manager: str


class ChangeIndexes(msgspec.Struct, frozen=True, tag=True):
    """Have a global index come (`new`) or go (`old`, its name), or give some other units, in the name of the table's
    manager. Done twice, the catalog refuses the second."""

    table: str
    manager: str
    new: IndexSpec | None = None
    old: str = ""
    units: tuple[IndexUnits, ...] = ()


class DeleteTable(msgspec.Struct, frozen=True, tag=True):
    """Delete the table with exactly this id, in the name of its manager."""

    name: str
    manager: str
    table_id: str


class UpdateSettings(msgspec.Struct, frozen=True, tag=True):
    """Bring the cluster's settings to this."""

    settings: ClusterSettings


class ForgetTable(msgspec.Struct, frozen=True, tag=True):
    """Let the object of a deleted table go: nothing is left to do for it."""

    resource: str


class SetTarget(msgspec.Struct, frozen=True, tag=True):
    """Tell a group where its replicas should live; the first place is the preferred master's."""

    partition: PartitionId
    target: tuple[ReplicaSpec, ...]


class PlanSplit(msgspec.Struct, frozen=True, tag=True):
    """Have a partition divided at a row key."""

    partition: PartitionId
    at: bytes
    reason: str


Action = (
    AddNode
    | StartNode
    | StopNode
    | RestartNode
    | GiveUpVolume
    | RemoveNode
    | GrowVolume
    | NameFounders
    | FormCatalog
    | MarkBootstrapped
    | MarkLeft
    | CreateTable
    | UpdateTable
    | ChangeIndexes
    | DeleteTable
    | ForgetTable
    | UpdateSettings
    | SetTarget
    | PlanSplit
)


class Note(msgspec.Struct, frozen=True):
    """Something that the planner leaves alone. `subject` is Kind/name; `reason` one word, `message` a sentence."""

    subject: str
    reason: str
    message: str


class Moves(msgspec.Struct, frozen=True):
    """How many replicas have still to move: `waiting` have not begun, `moving` are on the way. `leaving`: the names of
    nodes that are being emptied. `bytes`: what the rows of all these replicas weigh, about."""

    waiting: int = 0
    moving: int = 0
    leaving: tuple[str, ...] = ()
    bytes: int = 0


class Plan(msgspec.Struct, frozen=True):
    """What to do, in this order, and what not to do and why; and how much has yet to move after that."""

    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    moves: Moves = Moves()
