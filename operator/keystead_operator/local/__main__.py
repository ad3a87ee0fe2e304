"""`python -m keystead_operator.local DATA`: the supervisor of a prepared data directory, without a terminal.

What `keystead up --detach` starts. It ends at SIGTERM or SIGINT; a line on stderr and the exit code say why it ended
otherwise.
"""

import asyncio
import signal
import sys
from pathlib import Path

from keystead_operator.cluster_view import ClusterView
from keystead_operator.local.cluster_file import ClusterFile
from keystead_operator.local.files import DataDir
from keystead_operator.local.inspect import SupervisorReport
from keystead_operator.local.preflight import CannotStart, check_directory, lock_directory
from keystead_operator.local.supervisor import NodeRefused, Supervisor


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    data = DataDir(Path(arguments[0]))
    try:
        cluster = check_directory(data)
        if cluster is None:
            print(f"{data.root} holds no cluster", file=sys.stderr)
            return 1
        lock_directory(data)
        asyncio.run(_run(data, cluster))
    except (CannotStart, NodeRefused) as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


async def _run(data: DataDir, cluster: ClusterFile) -> None:
    supervisor = Supervisor(data, cluster, _ignore)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop.set)
    await supervisor.run()


def _ignore(view: ClusterView, report: SupervisorReport) -> None:
    return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
