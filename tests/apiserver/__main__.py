"""A control plane with the CustomResourceDefinitions and the test kubelet, to develop with: ends with its input.

    python -m tests.apiserver [DIRECTORY]

It prints the kubeconfig to use. Lines on standard input break things: `kill NAMESPACE POD`, `freeze`, `thaw`,
`lose_volume NAMESPACE CLAIM`, `lose_node NODE`, `pause_node`, `bring_back`, `log NAMESPACE POD`.
"""

import logging
import sys
import tempfile
from pathlib import Path

from tests.apiserver.conftest import admin_of, install_definitions
from tests.apiserver.control_plane import ControlPlane, tools_directory
from tests.apiserver.kubelet.faults import Faults, running_kubelet

COMMANDS = ("kill", "freeze", "thaw", "lose_volume", "lose_node", "pause_node", "bring_back", "log")


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO)
    directory = Path(arguments[0]) if arguments else Path(tempfile.mkdtemp(prefix="keystead-apiserver-"))
    control_plane = ControlPlane(directory / "control-plane")
    try:
        control_plane.start()
        api = admin_of(control_plane)
        install_definitions(api)
        control_plane.start_controllers()
        with running_kubelet(api, directory / "kubelet") as faults:
            print(f"export KUBECONFIG={control_plane.admin_kubeconfig} PATH={tools_directory()}:$PATH")
            print(f"# logs of pods: {directory}/kubelet/logs", flush=True)
            for line in sys.stdin:
                _obey(faults, line.split())
    finally:
        control_plane.stop()
    return 0


def _obey(faults: Faults, words: list[str]) -> None:
    if not words or words[0] not in COMMANDS:
        print(f"one of {', '.join(COMMANDS)}", flush=True)
        return
    try:
        print(getattr(faults, words[0])(*words[1:]) or "done", flush=True)
    except (AssertionError, TypeError) as problem:
        print(problem, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
