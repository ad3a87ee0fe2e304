"""Asking for a split: what `keystead split` and `kubectl keystead split` have in common."""

import time
from collections.abc import Callable
from typing import Annotated, Final

import typer

from keystead_cli.terminal import fail
from keystead_core.catalog.commands import PlanSplit
from keystead_core.cluster_map import ClusterMap, KeyAttribute, PartitionEntry, TableDefinition, index_table
from keystead_core.items import binary_content
from keystead_core.keyspace import encode_part, make_row_key
from keystead_core.numbers import NumberError

POLL_SECONDS: Final = 0.3
TableArgument = Annotated[str, typer.Argument(help="Name of the table.")]
AtOption = Annotated[
    list[str],
    typer.Option("--at", help="The right half begins with this hash key (B in base64); once for each hash attribute."),
]
SortOption = Annotated[list[str], typer.Option("--sort", help="With --at: and with this range key of it; likewise.")]
PartitionOption = Annotated[int, typer.Option("--partition", help="Which one, where the table has several.")]
WaitOption = Annotated[bool, typer.Option(help="Wait until both halves stand on their own.")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)]


def wanted_split(cluster_map: ClusterMap, table: str, at: list[str], sort: list[str], partition: int) -> PlanSplit:
    """The command; ends the program with a reason where it could not be carried out.

    `at` and `sort`: the texts of the key's hash and range attributes, all of the former and the first of the latter.
    """
    found = cluster_map.tables.get(table)
    if found is None:
        fail(f'table "{table}" not found')
    entries = sorted((e for e in cluster_map.partitions.values() if e.table == table), key=lambda e: e.low)
    key = b""
    if sort and not at:
        fail("--sort says where in an item collection, and --at which: it is missing")
    if at:
        key = _key(cluster_map, found, at, sort)
        entries = [e for e in entries if e.low <= key and (e.high is None or key < e.high)]
    if partition:
        entries = [e for e in entries if e.id == partition]
    if not entries:
        fail(f'table "{table}" has no such partition' + (" that holds the key" if at else ""))
    if len(entries) > 1:
        names = ", ".join(str(entry.id) for entry in entries)
        fail(f'which partition of "{table}"? --partition one of {names}, or --at a key')
    return PlanSplit(entries[0].id, key)


def _key(cluster_map: ClusterMap, table: TableDefinition, at: list[str], sort: list[str]) -> bytes:
    """The beginning of a row key, of a table or of what holds a global index, whose key has up to four attributes of
    each kind."""
    hashes, ranges = _key_of(cluster_map, table)
    if len(at) != len(hashes):
        names = ", ".join(attribute.name for attribute in hashes)
        fail(f'the hash key of "{table.name}" is {names}: give --at once for each of them, in this order')
    if not ranges and sort:
        fail(f'table "{table.name}" has no range key: leave --sort out')
    if len(sort) > len(ranges):
        fail(f'the range key of "{table.name}" is {", ".join(one.name for one in ranges)}: --sort is given too often')
    return make_row_key(b"".join(map(_part, hashes, at)), b"".join(map(_part, ranges, sort)))


def _key_of(cluster_map: ClusterMap, table: TableDefinition) -> tuple[list[KeyAttribute], list[KeyAttribute]]:
    """The hash attributes of a table's key, and the range attributes."""
    if owner := cluster_map.tables.get(table.index_of):
        index = next((one for one in owner.indexes if index_table(owner.name, one.name) == table.name), None)
        if index is not None:
            return index.hash, index.range
    return [table.hash_key], [table.range_key] if table.range_key is not None else []


def _part(attribute: KeyAttribute, text: str) -> bytes:
    try:
        return encode_part(attribute.type, binary_content(text) if attribute.type == "B" else text)
    except (NumberError, ValueError) as problem:
        fail(f"{text!r} is no value of {attribute.name} ({attribute.type}): {problem}")


def watch(look: Callable[[], ClusterMap | None], partition: int, right: int, seconds: float) -> None:
    """Says how the split goes on, until it is settled; ends the program where it was refused or takes too long."""
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        cluster_map = look()
        if cluster_map is not None:
            now, over = how_far(cluster_map, partition, right)
            if now != said:
                typer.echo(now)
                said = now
            if over:
                return
        if time.monotonic() > deadline:
            fail(f"partition {partition} is not split after {seconds:g} s: {said or 'no node answers'}")
        time.sleep(POLL_SECONDS)


def how_far(cluster_map: ClusterMap, partition: int, right: int) -> tuple[str, bool]:
    """(a sentence, whether it is over); ends the program where the split was refused."""
    left: PartitionEntry | None = next((e for e in cluster_map.partitions.values() if e.id == partition), None)
    made: PartitionEntry | None = next((e for e in cluster_map.partitions.values() if e.id == right), None)
    if left is None:
        fail(f"partition {partition} is gone, with its table")
    if made is None:
        if left.split is None:
            fail(f"partition {partition} was not split: {left.split_refusal or 'the plan was taken back'}")
        copies = sum(place.role == "learner" for place in left.target)
        return (
            f"partition {partition}: {copies} copies are made first" if copies else f"partition {partition}: due",
            False,
        )
    if made.left:
        return f"partition {partition}: split; partition {right} is being brought level", False
    return f"partition {partition} was split: partition {right} has the right half", True
