"""Volumes of a pod as directories: ConfigMaps, Secrets and projections are replaced as a whole, as a kubelet does.

A volume of files holds `..data`, a link to a directory with the files of one version; each file is a link through it. A
new version is written beside the old one, and the link is exchanged in one step. Raises VolumeNotReady where something
that the volume needs is not there yet.
"""

import base64
import itertools
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.apiserver.rest import Object

_versions = itertools.count(1)
Find = Callable[[str, str], Object | None]
TokenOf = Callable[[Object, Object], Awaitable[str]]


class VolumeNotReady(Exception):
    """A sentence that says what is missing."""


class Sources:
    """Where contents come from: `find(kind, name)` in the pod's namespace, and tokens of its service account."""

    def __init__(self, find: Find, token_of: TokenOf) -> None:
        self.find = find
        self.token_of = token_of

    def data_of(self, kind: str, name: str, optional: bool) -> dict[str, bytes]:
        found = self.find(kind, name)
        if found is None:
            if optional:
                return {}
            raise VolumeNotReady(f'{kind.lower()} "{name}" not found')
        return contents(found)


def contents(item: Object) -> dict[str, bytes]:
    """File name -> bytes of a ConfigMap or a Secret."""
    if item.get("type") or "stringData" in item:
        return {name: base64.b64decode(value) for name, value in (item.get("data") or {}).items()}
    data = {name: str(value).encode() for name, value in (item.get("data") or {}).items()}
    binary = {name: base64.b64decode(value) for name, value in (item.get("binaryData") or {}).items()}
    return {**data, **binary}


async def files_of(volume: Object, pod: Object, sources: Sources) -> dict[str, bytes] | None:
    """The files of a volume; None where it is none of files. Raises VolumeNotReady."""
    match volume:
        case {"configMap": source}:
            return _picked(sources.data_of("ConfigMap", source["name"], source.get("optional", False)), source)
        case {"secret": source}:
            return _picked(sources.data_of("Secret", source["secretName"], source.get("optional", False)), source)
        case {"downwardAPI": source}:
            return _downward(source, pod)
        case {"projected": {"sources": parts}}:
            files: dict[str, bytes] = {}
            for part in parts:
                files |= await _projected(part, pod, sources)
            return files
        case _:
            return None


async def _projected(part: Object, pod: Object, sources: Sources) -> dict[str, bytes]:
    match part:
        case {"configMap": source}:
            return _picked(sources.data_of("ConfigMap", source["name"], source.get("optional", False)), source)
        case {"secret": source}:
            return _picked(sources.data_of("Secret", source["name"], source.get("optional", False)), source)
        case {"downwardAPI": source}:
            return _downward(source, pod)
        case {"serviceAccountToken": source}:
            return {source["path"]: (await sources.token_of(pod, source)).encode()}
        case _:
            raise VolumeNotReady(f"the test kubelet does not know {sorted(part)}")


def _picked(data: dict[str, bytes], source: Object) -> dict[str, bytes]:
    items = source.get("items")
    if items is None:
        return data
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not source.get("optional", False):
        raise VolumeNotReady(f"references non-existent config key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _downward(source: Object, pod: Object) -> dict[str, bytes]:
    return {item["path"]: field_of(pod, item["fieldRef"]["fieldPath"]).encode() for item in source.get("items", [])}


def field_of(pod: Object, path: str) -> str:
    """A field as env and downwardAPI name it: metadata.name, metadata.labels['a'], status.podIP."""
    if path.endswith("']"):
        path, _, key = path[:-2].partition("['")
    else:
        key = ""
    value: Any = pod
    for name in path.split("."):
        value = (value or {}).get(name)
    if key:
        value = (value or {}).get(key)
    if isinstance(value, dict):
        return "\n".join(f'{name}="{one}"' for name, one in sorted(value.items()))
    return "" if value is None else str(value)


def write_files(directory: Path, files: dict[str, bytes]) -> bool:
    """Makes the directory show these files, in one step. False where it did already."""
    if _current(directory) == files:
        return False
    directory.mkdir(parents=True, exist_ok=True)
    version = directory / f"..version-{next(_versions)}"
    for name, content in files.items():
        path = version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    version.mkdir(exist_ok=True)
    link, new_link = directory / "..data", directory / "..data_tmp"
    before = os.readlink(link) if link.is_symlink() else None
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(version.name)
    new_link.rename(link)
    tops = {name.split("/")[0] for name in files}
    for name in tops:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    for entry in list(directory.iterdir()):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if before is not None:
        shutil.rmtree(directory / before, ignore_errors=True)
    return True


def _current(directory: Path) -> dict[str, bytes] | None:
    data = directory / "..data"
    if not data.is_symlink():
        return None
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}
