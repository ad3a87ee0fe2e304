"""cluster.json: what a data directory is. Written at the first `up`; the cluster id in it is minted once."""

import time
import uuid
from importlib.metadata import version
from typing import Any, Final

import msgspec

from keystead_operator.local.files import DataDir, replace_file
from keystead_operator.plan.state import Founder

FORMAT: Final = 1


class Place(msgspec.Struct, frozen=True):
    """A node's place: its name, zone and ports. The node's identity is on its volume."""

    name: str
    zone: str
    api_port: int
    peer_port: int
    admin_port: int


class ClusterFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content. `settings` go to the node processes as they are. `created_at`: seconds since 1970."""

    format: int
    cluster: str
    created_at: float
    written_by: str
    places: tuple[Place, ...] = ()
    settings: dict[str, Any] = {}
    founders: tuple[Founder, ...] = ()
    bootstrapped: bool = False

    def place(self, name: str) -> Place | None:
        return next((place for place in self.places if place.name == name), None)


class _FormatOnly(msgspec.Struct):
    format: int


class DataTooNew(Exception):
    """A newer program wrote the data directory."""


class DataUnreadable(Exception):
    """cluster.json is there and is not what it should be."""


def program_version() -> str:
    return version("keystead")


def minted(settings: dict[str, Any]) -> ClusterFile:
    """A new cluster, with an id that no other has."""
    return ClusterFile(
        format=FORMAT,
        cluster=uuid.uuid4().hex,
        created_at=time.time(),
        written_by=program_version(),
        settings=settings,
    )


def read_cluster_file(data: DataDir) -> ClusterFile | None:
    """The content, or None if there is no cluster. Raises DataTooNew, DataUnreadable."""
    try:
        raw = data.cluster_file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = msgspec.json.decode(raw, type=_FormatOnly).format
        if found > FORMAT:
            raise DataTooNew(
                f"{data.root} was written by a newer Keystead: its format is {found}, and {program_version()} knows "
                f"formats up to {FORMAT}"
            )
        return msgspec.json.decode(raw, type=ClusterFile)
    except msgspec.DecodeError as problem:
        raise DataUnreadable(f"{data.cluster_file} cannot be read: {problem}") from problem


def write_cluster_file(data: DataDir, content: ClusterFile) -> None:
    replace_file(data.cluster_file, msgspec.json.format(msgspec.json.encode(content), indent=2))
