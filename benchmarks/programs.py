"""The rivals' programs and the load generator: fetched once, through each one's own package manager, into a cache.

Nothing is installed on the machine: Debian packages are unpacked, npm and Maven put their files where told. The cache
is ~/.cache/keystead-bench, or KEYSTEAD_BENCH_CACHE. A program that is already in PATH is used as it is.
"""

import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("KEYSTEAD_BENCH_CACHE", Path.home() / ".cache" / "keystead-bench"))
DYNALITE = "dynalite@4.0.0"
DYNAMODB_LOCAL = "2.5.2"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>keystead.bench</groupId><artifactId>dynamodb-local</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId><version>{DYNAMODB_LOCAL}</version>
  </dependency></dependencies>
</project>
"""


class MissingProgram(RuntimeError):
    """A program can't be had on this machine; the text says which and why."""


def _run(command: list[str], cwd: Path) -> None:
    if shutil.which(command[0]) is None:
        raise MissingProgram(f"{command[0]} is not installed, so {' '.join(command)} can't run")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise MissingProgram(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _from_debian(program: str, packages: list[str]) -> list[str]:
    """The command line prefix that runs a program out of unpacked Debian packages."""
    if found := shutil.which(program):
        return [found]
    root = CACHE / "root"
    path = root / "usr" / "bin" / program
    if not path.exists():
        downloads = CACHE / "deb"
        downloads.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", *packages], downloads)
        for package in downloads.glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(root)], downloads)
    libraries = ":".join(str(directory) for directory in (root / "usr" / "lib").glob("*-linux-gnu"))
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(path)] if libraries else [str(path)]


def wrk() -> list[str]:
    return _from_debian("wrk", ["wrk", "libluajit2-5.1-2", "libluajit-5.1-2", "libluajit-5.1-common"])


def etcd() -> list[str]:
    return _from_debian("etcd", ["etcd-server"])


def dynalite() -> list[str]:
    """dynalite from npm; its LevelDB comes as a prebuilt binary."""
    home = CACHE / "dynalite"
    program = home / "node_modules" / ".bin" / "dynalite"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--prefix", ".", "--no-audit", "--no-fund", DYNALITE], home)
    return [str(program)]


def dynamodb_local() -> list[str]:
    """DynamoDB Local from Maven Central, with its telemetry off."""
    home = CACHE / "dynamodb-local"
    library = home / "lib"
    if not list(library.glob("DynamoDBLocal-*.jar")):
        home.mkdir(parents=True, exist_ok=True)
        (home / "pom.xml").write_text(_POM)
        _run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], home)
    if shutil.which("java") is None:
        raise MissingProgram("java is not installed, so DynamoDB Local can't run")
    command = ["java", f"-Djava.library.path={library}", "-cp", f"{library}/*"]
    return [*command, "com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-disableTelemetry"]
