"""The custom resources of an embedded cluster: a JSON file each, with the metadata that an API server would give.

`apply` works like the API server: defaults, validation with the object as it was, `generation` raised when the spec
changes, `deletionTimestamp` until the reconcile loop lets the object go.
"""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from keystead_operator.local.files import DataDir, replace_file
from keystead_operator.spec.validation import Verdict, schemas, validate, with_defaults

PLURALS: Final = {"StorageCluster": "storageclusters", "Table": "tables"}


class Invalid(Exception):
    """The manifest is not valid; `verdict` says all that is wrong."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(map(str, verdict.errors)))
        self.verdict = verdict


class ObjectStore:
    """The objects of one data directory."""

    def __init__(self, data: DataDir) -> None:
        self._root = data.objects

    def _path(self, kind: str, name: str) -> Path:
        return self._root / PLURALS[kind] / f"{name}.json"

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = msgspec.json.decode(self._path(kind, name).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def list(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, by name."""
        names = sorted(path.stem for path in (self._root / PLURALS[kind]).glob("*.json"))
        return [found for name in names if (found := self.get(kind, name)) is not None]

    def checked(self, manifest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The manifest with its defaults, and the object that it would replace. Raises Invalid."""
        schema = schemas()[manifest["kind"]]
        filled = with_defaults(manifest, schema)
        metadata = filled.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        named = isinstance(name, str) and "/" not in name
        old = self.get(manifest["kind"], str(name)) if named else None
        verdict = validate(filled, schema, old)
        if not verdict.ok:
            raise Invalid(verdict)
        return filled, old

    def apply(self, manifest: dict[str, Any]) -> str:
        """Stores the manifest; gives created, configured or unchanged. Raises Invalid."""
        filled, old = self.checked(manifest)
        if old is not None and old["spec"] == filled["spec"] and _labels(old) == _labels(filled):
            return "unchanged"
        metadata = {key: value for key, value in filled["metadata"].items() if key in _KEPT}
        if old is None:
            metadata |= {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": now()}
        else:
            metadata = {**old["metadata"], **metadata}
            metadata["generation"] = old["metadata"]["generation"] + (old["spec"] != filled["spec"])
        self._write(
            {"apiVersion": filled["apiVersion"], "kind": filled["kind"], "metadata": metadata, "spec": filled["spec"]}
        )
        return "created" if old is None else "configured"

    def mark_deleted(self, kind: str, name: str) -> bool:
        """Asks for the deletion of an object; False if there is none."""
        found = self.get(kind, name)
        if found is None:
            return False
        if "deletionTimestamp" not in found["metadata"]:
            found["metadata"]["deletionTimestamp"] = now()
            self._write(found)
        return True

    def remove(self, kind: str, name: str) -> None:
        self._path(kind, name).unlink(missing_ok=True)

    def fingerprint(self) -> tuple[tuple[str, int], ...]:
        """Changes whenever an object does."""
        paths = sorted(self._root.glob("*/*.json"))
        found = []
        for path in paths:
            try:
                found.append((str(path), path.stat().st_mtime_ns))
            except FileNotFoundError:
                continue
        return tuple(found)

    def _write(self, manifest: dict[str, Any]) -> None:
        path = self._path(manifest["kind"], manifest["metadata"]["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, msgspec.json.format(msgspec.json.encode(manifest), indent=2))


_KEPT: Final = ("name", "labels", "annotations")


def _labels(manifest: dict[str, Any]) -> tuple[Any, Any]:
    return manifest["metadata"].get("labels"), manifest["metadata"].get("annotations")


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
