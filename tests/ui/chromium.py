"""A Chromium without a window: the machine's own, or Debian's packages unpacked into a cache, without root.

KEYSTEAD_CHROMIUM names a program to be used; else one that is in PATH; else what lies in ~/.cache/keystead-ui (or
KEYSTEAD_UI_CACHE), fetched the first time by apt-get: the shell of Chromium and those of its libraries that the machine
lacks, about 100 MB, checked by apt against Debian's signatures. Nothing is installed.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("KEYSTEAD_UI_CACHE", Path.home() / ".cache" / "keystead-ui"))
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FETCH_SECONDS_MAX = 600


class NoChromium(RuntimeError):
    """None can be had on this machine; the text says why."""


def chromium() -> tuple[Path, dict[str, str]]:
    """(the program, the environment that it needs). Raises NoChromium."""
    if given := os.environ.get("KEYSTEAD_CHROMIUM"):
        return Path(given), {}
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found), {}
    root = CACHE / "root"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _fetch(root)
    program = next((root / "usr" / "lib" / "chromium").glob("*headless*shell"), None)
    if program is None:
        raise NoChromium(f"{root} has no usr/lib/chromium/chromium-headless-shell: delete {CACHE}, and try again")
    return program, _environment(root)


def _environment(root: Path) -> dict[str, str]:
    """Libraries that are not where the loader looks, and fonts that are not where fontconfig looks."""
    folders = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu/pulseaudio")]
    folders += root.glob("lib/*-linux-gnu")
    config = CACHE / "fonts.conf"
    fonts = "".join(f"<dir>{place}</dir>" for place in (root / "usr/share/fonts", "/usr/share/fonts"))
    config.write_text(f"<?xml version='1.0'?><fontconfig>{fonts}<cachedir>{CACHE}/fonts</cachedir></fontconfig>\n")
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders)), "FONTCONFIG_FILE": str(config)}


def _fetch(root: Path) -> None:
    """Package lists of its own: a machine's may be absent, or so old that what they name is gone."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NoChromium(
            f"this {platform.system()} has neither {', '.join(PROGRAMS)} in PATH nor apt-get to fetch one with: "
            "install one, or set KEYSTEAD_CHROMIUM"
        )
    apt, archives, unpacked = CACHE / "apt", CACHE / "deb", CACHE / "root.new"
    for folder in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial", archives):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        *("-o", f"Dir::State::Lists={apt}/lists"),
        *("-o", f"Dir::Cache={apt}/cache"),
        *("-o", "Debug::NoLocking=true"),
        *("-o", "APT::Sandbox::User="),
        *("-o", "Acquire::Retries=3"),
    ]
    print(f"fetching Chromium into {CACHE} (100 MB, the first time)", file=sys.stderr, flush=True)
    _run(["apt-get", "--quiet", "--quiet", *options, "update"], archives)
    asked = ["apt-get", *options, "install", "--yes", "--no-install-recommends", "--print-uris", *PACKAGES]
    wanted = re.findall(r"^'[^']+' ([^_\s]+)_([^_\s]+)_\S+ ", _run(asked, archives), re.MULTILINE)
    named = [f"{name}={version.replace('%3a', ':')}" for name, version in wanted]
    _run(["apt-get", "--quiet", "--quiet", *options, "download", *named], archives)
    shutil.rmtree(unpacked, ignore_errors=True)
    for package in sorted(archives.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(unpacked)], archives)
    unpacked.rename(root)
    for folder in (apt, archives):
        shutil.rmtree(folder)


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=FETCH_SECONDS_MAX)
    if done.returncode:
        raise NoChromium(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        print(chromium()[0])
    except NoChromium as problem:
        sys.exit(f"no Chromium: {problem}")
