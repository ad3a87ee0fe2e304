"""What `status` and `why` print, of an embedded cluster and of one on Kubernetes alike."""

import typer

from keystead_cli.render import cluster_picture, console
from keystead_cli.terminal import Output, fail, print_json
from keystead_operator.cluster_view import ClusterView
from keystead_operator.why import explain


def show_status(view: ClusterView, output: Output) -> None:
    if output is Output.json:
        print_json(view)
    else:
        console().print(cluster_picture(view, partitions_max=1_000_000))


def show_why(view: ClusterView, table: str, output: Output, look_at: str) -> None:
    """A sentence for each partition in trouble. `look_at`: the command that says more."""
    if view.map_version is None:
        fail(f"no node answers, so nothing is known of its partitions: see {look_at}")
    found = view.table(table)
    if found is None:
        fail(f'table "{table}" not found')
    explanations = explain(view, found)
    if output is Output.json:
        print_json({"table": table, "partitions": explanations})
        return
    troubled = [one for one in explanations if not one.healthy]
    recovered = {partition.id for partition in found.partitions if partition.recovery}
    for one in explanations:
        if not one.healthy or one.partition in recovered:
            typer.echo(one.sentence)
    if not troubled:
        count = len(explanations)
        partitions = (
            "1 partition has its master and all its"
            if count == 1
            else f"All {count} partitions have a master and all their"
        )
        typer.echo(f"{partitions} replicas." if count else f"{table} has no partitions yet.")
