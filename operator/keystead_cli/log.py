"""`keystead log dump`: what is in the hot and cold logs of an embedded cluster's nodes, and what of it is damaged."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keystead_cli.terminal import DATA_DEFAULT, DataOption, Output, OutputOption, fail, open_cluster, print_json

if TYPE_CHECKING:
    from keystead_node.storage.log_dump import Dump, DumpedEntry, DumpedPartition, DumpedRecord

log_app = typer.Typer(help="Look into the logs on disk.", no_args_is_help=True)


@log_app.callback()
def _log() -> None:
    """Look into the logs on disk."""


@log_app.command("dump")
def dump(
    data: DataOption = DATA_DEFAULT,
    partition: Annotated[int | None, typer.Option(help="Only this partition; 1 is the catalog.", min=1)] = None,
    node: Annotated[str | None, typer.Option(help="Only this node.")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Decode the logs of all nodes, running or not, and say what is damaged. Nothing is written."""
    opened = open_cluster(data)
    names = [place.name for place in opened.cluster.places]
    if node is not None and node not in names:
        fail(f'node "{node}" not found: there are {", ".join(names)}')
    dumps = {name: _dumped(opened.data.volume(name), partition) for name in names if node in (None, name)}
    if output is Output.json:
        print_json(
            {"nodes": [{"name": name, "problem": problem, "log": log} for name, (log, problem) in dumps.items()]}
        )
        return
    for name, (log, problem) in dumps.items():
        typer.echo(f"{name}: {problem}" if log is None else f"{name}: node {log.node}, boot {log.boot}")
        if log is not None:
            for line in _lines(log):
                typer.echo(f"  {line}")


def _dumped(volume: Path, partition: int | None) -> "tuple[Dump | None, str | None]":
    """The decoded logs of one volume, or why there are none."""
    from keystead_core.ids import PartitionId
    from keystead_node.storage import log_dump  # opens libraries that no other command needs
    from keystead_node.storage.disk import VolumeError
    from keystead_node.storage.faults import DiskFailed

    try:
        return log_dump.dump(volume, None if partition is None else PartitionId(partition)), None
    except (FileNotFoundError, VolumeError, DiskFailed) as problem:
        return None, str(problem)


def _lines(log: "Dump") -> Iterator[str]:
    yield "hot log, batch by batch:"
    for batch in log.batches:
        yield f"  batch {batch.number} at block {batch.block}, {batch.blocks} blocks, {batch.status}"
        for entry in batch.entries:
            yield f"    {_entry(entry)}"
            yield from (f"      {_record(record)}" for record in entry.records)
    for replica in log.partitions:
        yield from _partition(replica)
    if log.damages:
        yield "damaged:"
        yield from (f"  {damage}" for damage in log.damages)
    else:
        yield "nothing is damaged"


def _entry(entry: "DumpedEntry") -> str:
    moved = " (moved)" if entry.moved else ""
    match entry.kind:
        case "run":
            damaged = f", damaged LSNs {entry.damaged_lsns}" if entry.damaged_lsns else ""
            many = f"{len(entry.records)} records from LSN {entry.first_lsn}"
            return f"partition {entry.partition}: {many}, commit {entry.commit_lsn}{damaged}{moved}"
        case "snip":
            return f"partition {entry.partition}: snip from LSN {entry.first_lsn} by epoch {entry.epoch}{moved}"
        case "state" if entry.state is not None:
            state = entry.state
            promise = f"promised epoch {state.promised} to replica {state.promised_to}"
            return f"partition {entry.partition}: replica {state.replica}, {promise}, {_fitness(entry)}{moved}"
        case "damaged":
            return f"partition {entry.partition}: LSN {entry.damaged_lsns} known to be damaged{moved}"
        case _:
            return f"{entry.kind} batch {entry.batch}{moved}"


def _fitness(entry: "DumpedEntry") -> str:
    state = entry.state
    assert state is not None
    if state.dropped:
        return "dropped"
    return f"ineligible: {state.ineligible}" if state.ineligible else "eligible"


def _record(record: "DumpedRecord") -> str:
    where = f"LSN {record.lsn} epoch {record.epoch} membership {record.membership_version}"
    return f"{where} {record.kind} {record.bytes} bytes {record.hash}"


def _partition(replica: "DumpedPartition") -> Iterator[str]:
    if replica.records:
        hot = f"hot LSN {replica.records[0].lsn}..{replica.records[-1].lsn}"
    else:
        hot = "nothing in the hot log"
    yield f"partition {replica.partition}: {hot}, known commit {replica.commit_lsn}"
    for segment in replica.cold:
        state = segment.error or "good"
        yield f"  cold {segment.file} LSN {segment.first_lsn}..{segment.last_lsn} {segment.bytes} bytes, {state}"
