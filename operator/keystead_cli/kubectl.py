"""`kubectl keystead`: looks at clusters on Kubernetes, and takes their nodes out and in.

A plugin of kubectl, which finds the program `kubectl-keystead` on the PATH.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import typer

from keystead_cli.kube_report import write_report
from keystead_cli.kube_view import Gathered, gather, name_of
from keystead_cli.kubectl_run import Kubectl, KubectlFailed, Object
from keystead_cli.recovering import AcceptOption, GoneOption, PartitionArgument, Seen, wanted_recovery
from keystead_cli.recovering import TimeoutOption as RecoveryTimeoutOption
from keystead_cli.recovering import WaitOption as RecoveryWaitOption
from keystead_cli.recovering import watch as watch_recovery
from keystead_cli.shown import show_status, show_why
from keystead_cli.splitting import (
    AtOption,
    PartitionOption,
    SortOption,
    TableArgument,
    TimeoutOption,
    WaitOption,
    wanted_split,
)
from keystead_cli.splitting import watch as watch_split
from keystead_cli.terminal import Output, OutputOption, fail
from keystead_cli.watching import WatchOption, watch_status
from keystead_core.catalog.commands import SetNodeState
from keystead_core.catalog.results import CatalogReply
from keystead_operator.catalog_access import command_json
from keystead_operator.node_status import NodeStatus

_T = TypeVar("_T")
OPERATOR_NAMESPACE: Final = "keystead-system"
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the StorageCluster.")]
ContextOption = Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")]
KubeconfigOption = Annotated[str, typer.Option("--kubeconfig", help="Kubeconfig file.")]
ClusterOption = Annotated[str, typer.Option("--cluster", "-c", help="The StorageCluster, where there are several.")]
NodeArgument = Annotated[str, typer.Argument(help="Name of the node (of its pod), or its id.")]

app = typer.Typer(
    help="Keystead's clusters on Kubernetes: what they do, and nodes taken out and in.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Chosen(msgspec.Struct, frozen=True):
    """One StorageCluster, and the way to it."""

    kubectl: Kubectl
    cluster: Object

    def gather(self) -> Gathered:
        return gather(self.kubectl, self.cluster)


@app.command()
def status(
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
    output: OutputOption = Output.text,
    watch: WatchOption = False,
) -> None:
    """Show every node, and every partition with its replicas and load. Works while nodes are down."""
    chosen = _choose(namespace, cluster, context, kubeconfig)
    if watch:
        watch_status(lambda: _or_fail(chosen.gather).view(), output)
        return
    if output is Output.text:
        _say_conditions(chosen.cluster)
    show_status(_or_fail(chosen.gather).view(), output)


@app.command()
def why(
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Explain, a sentence a partition, what keeps a table from being served by all its replicas."""
    chosen = _choose(namespace, cluster, context, kubeconfig)
    show_why(_or_fail(chosen.gather).view(), table, output, "kubectl keystead status")


@app.command()
def maintain(
    node: NodeArgument,
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
) -> None:
    """Take a node out: its masterships are handed over, and its replicas count in no quorum, also after a restart."""
    found, pod, status = _node(_choose(namespace, cluster, context, kubeconfig), node)
    _order(found, pod, "/maintain")
    _record(found, pod, status, "maintenance")
    typer.echo(f"{pod} is in maintenance")


@app.command()
def resume(
    node: NodeArgument,
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
) -> None:
    """Take a node in again, once its replicas are level."""
    found, pod, status = _node(_choose(namespace, cluster, context, kubeconfig), node)
    _record(found, pod, status, "active")
    _order(found, pod, "/resume")
    typer.echo(f"{pod} takes part again")


@app.command("hand-over")
def hand_over(
    node: NodeArgument,
    partition: Annotated[int, typer.Option(help="This partition alone; all that the node masters if 0.")] = 0,
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
) -> None:
    """Hand masterships of a node to the most level of the others. The node goes on as a follower."""
    found, pod, status = _node(_choose(namespace, cluster, context, kubeconfig), node)
    mastered = [replica.partition for replica in status.replicas if replica.role == "master"]
    if partition and partition not in mastered:
        fail(f"{pod} does not master partition {partition}")
    for one in [partition] if partition else mastered:
        _order(found, pod, "/handover", {"partition": one})
    count = 1 if partition else len(mastered)
    typer.echo(f"{pod} hands over {count} {'partition' if count == 1 else 'partitions'}")


@app.command()
def split(
    table: TableArgument,
    at: AtOption = [],  # noqa: B006 (typer reads it, nobody writes to it)
    sort: SortOption = [],  # noqa: B006
    partition: PartitionOption = 0,
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
    wait: WaitOption = True,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Divide a partition of a table in two, which then serve and fail over each by itself. Nothing stands still."""
    chosen = _choose(namespace, cluster, context, kubeconfig)
    gathered = _or_fail(chosen.gather)
    if gathered.map is None:
        fail("no node answers, so nothing can be split: see kubectl keystead status")
    command = wanted_split(gathered.map, table, at, sort, partition)
    pod = next(iter(gathered.statuses))
    answer = _or_fail(lambda: chosen.kubectl.order(pod, "/catalog/command", command_json(command)))
    right = msgspec.convert(answer["reply"], CatalogReply).counters[0]
    typer.echo(f"partition {command.partition} of {table} is to be split: partition {right} gets the right half")
    if wait:
        watch_split(lambda: _or_fail(chosen.gather).map, command.partition, right, timeout)


@app.command()
def recover(
    partition: PartitionArgument,
    accept_data_loss: AcceptOption = False,
    gone: GoneOption = [],  # noqa: B006 (typer reads it, nobody writes to it)
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
    wait: RecoveryWaitOption = True,
    timeout: RecoveryTimeoutOption = 120.0,
) -> None:
    """Go on with what is left of a partition that has lost the majority of its volumes for good. The last way out."""
    chosen = _choose(namespace, cluster, context, kubeconfig)
    gathered = _or_fail(chosen.gather)
    if gathered.map is None:
        fail("no node answers, so nothing can be recovered: see kubectl keystead status")
    seen = Seen(gathered.map, list(gathered.statuses.values()))
    command = wanted_recovery(seen, partition, gone, accept_data_loss)
    if command is None:
        return
    pod = next(iter(gathered.statuses))
    _or_fail(lambda: chosen.kubectl.order(pod, "/catalog/command", command_json(command)))
    if wait:
        watch_recovery(lambda: _or_fail(chosen.gather).map, command.partition, timeout)


@app.command()
def report(
    namespace: NamespaceOption = "",
    cluster: ClusterOption = "",
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
    file: Annotated[str, typer.Option("--file", "-f", help="The file to write.")] = "",
    operator_namespace: Annotated[
        str, typer.Option(help='Where the operator runs, for its logs; "" leaves them out.')
    ] = OPERATOR_NAMESPACE,
) -> None:
    """Write a bundle for bug reports: resources, pods, events, statuses and logs; no Secrets and no rows."""
    chosen = _choose(namespace, cluster, context, kubeconfig)
    name, now = name_of(chosen.cluster), time.time()
    target = Path(file or f"keystead-report-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}.tar.gz")
    try:
        problems = _or_fail(lambda: write_report(chosen.kubectl, name, target, now, operator_namespace))
    except OSError as problem:
        fail(f"{target}: {problem.strerror}")
    for one in problems:
        typer.echo(f"not in it: {one}", err=True)
    typer.echo(f"{target}: look through it before you send it to anybody")


def _choose(namespace: str, cluster: str, context: str, kubeconfig: str) -> Chosen:
    """The StorageCluster that is meant, or the end of the program."""
    given = {"--namespace": namespace, "--context": context, "--kubeconfig": kubeconfig}
    kubectl = Kubectl(tuple(f"{flag}={value}" for flag, value in given.items() if value))
    if cluster:
        return Chosen(kubectl, _or_fail(lambda: kubectl.get("storageclusters.keystead.io", cluster)))
    found = _or_fail(lambda: kubectl.items("storageclusters.keystead.io"))
    if len(found) != 1:
        names = ", ".join(name_of(one) for one in found)
        fail(f"which StorageCluster? --cluster one of {names}" if found else "no StorageCluster in this namespace")
    return Chosen(kubectl, found[0])


def _node(chosen: Chosen, node: str) -> tuple[Chosen, str, NodeStatus]:
    found = _or_fail(lambda: gather(chosen.kubectl, chosen.cluster, maps_max=0))
    pod = found.pod_of(node)
    if not pod:
        fail(f'node "{node}" not found: there are {", ".join(name_of(one) for one in found.pods) or "none"}')
    if pod not in found.statuses:
        fail(f"{pod} does not answer: {found.problems.get(pod) or 'its pod does not run'}")
    return chosen, pod, found.statuses[pod]


def _order(chosen: Chosen, pod: str, path: str, body: Object | None = None) -> None:
    try:
        chosen.kubectl.order(pod, path, body)
    except KubectlFailed as problem:
        fail(f"{pod} refuses: {problem}")


def _record(chosen: Chosen, pod: str, status: NodeStatus, state: str) -> None:
    """In the catalog, so that a restart of the node does not forget it."""
    try:
        command = command_json(SetNodeState(node=status.node.id, state=state))
        chosen.kubectl.order(pod, "/catalog/command", command)
    except KubectlFailed as problem:
        typer.echo(f"warning: the catalog did not note it, a restart of {pod} forgets it: {problem}", err=True)


def _say_conditions(cluster: Object) -> None:
    for condition in cluster.get("status", {}).get("conditions", []):
        said = (
            f"{condition['type']}={condition['status']} {condition.get('reason', '')}: {condition.get('message', '')}"
        )
        typer.echo(said.rstrip(": "))


def _or_fail(work: Callable[[], _T]) -> _T:
    try:
        return work()
    except KubectlFailed as problem:
        fail(str(problem))


def main() -> None:
    """The entry point of the program."""
    app(prog_name="kubectl keystead")


if __name__ == "__main__":
    main()
