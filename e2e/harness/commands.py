"""Programs that the tests run: kubectl, helm, docker, kind."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CACHE = Path(
    os.environ.get("KEYSTEAD_E2E_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keystead-e2e"
)
PROGRAMS = [CACHE / "bin", Path(sys.executable).parent]
"""Where the cluster's tools are, and the project's own: kubectl finds its plugin there."""
ENVIRONMENT = {
    **os.environ,
    "PATH": ":".join([*map(str, PROGRAMS), os.environ["PATH"]]),
    "KUBECONFIG": str(CACHE / "kubeconfig"),
}
SECONDS_MAX = 120.0


class CommandFailed(AssertionError):
    """A program ended with another exit code than 0, or not in time; the text has all that it said."""


def run(*command: str, stdin: str = "", seconds: float = SECONDS_MAX) -> str:
    """What the program printed. Raises CommandFailed."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=ENVIRONMENT, timeout=seconds, cwd=REPOSITORY
        )
    except subprocess.TimeoutExpired as problem:
        raise CommandFailed(f"{' '.join(command)}: not within {seconds:.0f} s: {problem.stderr!r}") from problem
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*arguments: str, stdin: str = "", seconds: float = SECONDS_MAX) -> str:
    return run("kubectl", *arguments, stdin=stdin, seconds=seconds)


def helm(*arguments: str, seconds: float = SECONDS_MAX) -> str:
    return run("helm", *arguments, seconds=seconds)


def docker(*arguments: str, seconds: float = SECONDS_MAX) -> str:
    return run("docker", *arguments, seconds=seconds)
