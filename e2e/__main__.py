"""`python -m e2e [--subset smoke] [--keep] [TEST...]`: cluster, image, scenarios, report, and nothing left behind.

`--keep` leaves cluster and image for the next run. Tests are paths under e2e/; all by default.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time

from e2e.harness import machines
from e2e.harness.commands import CACHE, ENVIRONMENT, REPOSITORY, docker, run

CLUSTER = REPOSITORY / "e2e" / "cluster"
REPOSITORY_OF_IMAGE = "keystead/keystead"


class Steps:
    """Steps by name, each with the seconds that it took; their output goes to the terminal."""

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []

    def run(self, name: str, *command: str, environment: dict[str, str] | None = None) -> None:
        """Raises subprocess.CalledProcessError."""
        print(f"== {name}", flush=True)
        start = time.monotonic()
        subprocess.run(command, check=True, env={**ENVIRONMENT, **(environment or {})}, cwd=REPOSITORY)
        self.done.append((name, time.monotonic() - start))


def build_image(steps: Steps) -> str:
    """The image of this tree, tagged by what is in it. Raises subprocess.CalledProcessError, CommandFailed."""
    base = run(str(CLUSTER / "cluster.sh"), "base", seconds=600).strip()
    building = f"{REPOSITORY_OF_IMAGE}:building"
    steps.run("image", "make", "--no-print-directory", "image", f"IMAGE={building}", f"BASE={base}")
    layers = docker("image", "inspect", "--format", "{{json .RootFS}} {{json .Config}}", building)
    image = f"{REPOSITORY_OF_IMAGE}:e2e-{hashlib.sha256(layers.encode()).hexdigest()[:12]}"
    docker("tag", building, image)
    for old in docker("images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY_OF_IMAGE).split():
        if old.startswith(f"{REPOSITORY_OF_IMAGE}:e2e-") and old != image:
            docker("rmi", old)
    return image


def load_image(steps: Steps, image: str) -> None:
    """Onto all nodes, unless they have it."""
    missing = [
        machine
        for machine in machines.names()
        if image not in docker("exec", machine, "ctr", "--namespace", "k8s.io", "images", "ls", "--quiet")
    ]
    if missing:
        steps.run("image onto the nodes", str(CLUSTER / "cluster.sh"), "load", image)


def main() -> int:
    parser = argparse.ArgumentParser(prog="e2e", description=__doc__)
    parser.add_argument("--subset", default="", help="only the scenarios with this mark, as smoke")
    parser.add_argument("--keep", action="store_true", help="leave the cluster for the next run")
    parser.add_argument("tests", nargs="*", default=["e2e/chart", "e2e/scenarios"])
    wanted = parser.parse_args()
    engine_ran = subprocess.run(["docker", "info"], capture_output=True).returncode == 0 if _has_docker() else False
    steps = Steps()
    start = time.monotonic()
    try:
        steps.run("cluster", str(CLUSTER / "cluster.sh"), "up")
        image = build_image(steps)
        load_image(steps, image)
        told = "\n".join(f"{name}={seconds:.1f}" for name, seconds in steps.done)
        marks = ["-m", f"{wanted.subset} or chart"] if wanted.subset else []
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "--durations=0", "--durations-min=1", *marks, *wanted.tests],
            env={**ENVIRONMENT, "KEYSTEAD_E2E_IMAGE": image, "KEYSTEAD_E2E_STEPS": told},
            cwd=REPOSITORY,
        )
        print(f"{(time.monotonic() - start) / 60:.1f} minutes; the report is build/e2e/report.md", flush=True)
        return done.returncode
    finally:
        if not wanted.keep:
            subprocess.run([str(CLUSTER / "cluster.sh"), "down"], env=ENVIRONMENT)
            if not engine_ran:
                subprocess.run([str(CLUSTER / "docker-up.sh"), "--stop"], env=ENVIRONMENT)


def _has_docker() -> bool:
    return any(os.access(f"{directory}/docker", os.X_OK) for directory in ENVIRONMENT["PATH"].split(":"))


if __name__ == "__main__":
    CACHE.mkdir(parents=True, exist_ok=True)
    sys.exit(main())
