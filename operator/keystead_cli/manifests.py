"""Reads manifests and says what is wrong with them, in the words of kubectl and the API server."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from keystead_operator.local.objects import Invalid, ObjectStore
from keystead_operator.spec.crd import API_VERSION, VERSION
from keystead_operator.spec.validation import Verdict, schemas, validate, with_defaults


class Document(msgspec.Struct, frozen=True):
    """One object and the file that it came from."""

    source: str
    manifest: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])


class BadManifests(Exception):
    """All that is wrong with the manifests, a message each."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


def read_documents(sources: list[str]) -> list[Document]:
    """All objects of the files (`-`: standard input), with Lists taken apart. Raises BadManifests."""
    found: list[Document] = []
    messages: list[str] = []
    for source in sources:
        try:
            for value in _documents(source):
                found += _objects(source, value)
        except BadManifests as problem:
            messages += problem.messages
    if not messages and not found:
        messages = ["error: no objects passed to apply"]
    if messages:
        raise BadManifests(messages)
    return found


def _documents(source: str) -> Iterator[Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except FileNotFoundError as problem:
        raise BadManifests([f'error: the path "{source}" does not exist']) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise BadManifests([f'error: "{source}" cannot be read: {problem}']) from problem
    try:
        yield from [value for value in yaml.load_all(text, Loader=_StrictLoader) if value is not None]
    except yaml.YAMLError as problem:
        where = "STDIN" if source == "-" else source
        words = " ".join(str(problem).split())
        raise BadManifests([f"error: error parsing {where}: error converting YAML to JSON: yaml: {words}"]) from problem


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, and leaves times as they are written."""


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if isinstance(key_node, yaml.ScalarNode):
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'key "{key_node.value}" already set in map', key_node.start_mark
                )
            seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


def _as_written(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", _as_written)


def _objects(source: str, value: Any) -> list[Document]:
    if not isinstance(value, dict):
        raise BadManifests([f'error: unable to decode "{source}": an object was expected, found {json.dumps(value)}'])
    if value.get("kind") == "List" and isinstance(value.get("items"), list):
        return [document for item in value["items"] for document in _objects(source, item)]
    missing = [field for field in ("apiVersion", "kind") if not isinstance(value.get(field), str)]
    if missing:
        raise BadManifests(
            [f'error: error validating "{source}": error validating data: {field} not set' for field in missing]
        )
    if value["apiVersion"] != API_VERSION or value["kind"] not in schemas():
        metadata = value.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        raise BadManifests(
            [
                f'error: resource mapping not found for name: "{name}" namespace: "" from "{source}": '
                f'no matches for kind "{value["kind"]}" in version "{value["apiVersion"]}"'
            ]
        )
    return [Document(source, value)]


def check_all(documents: list[Document], store: ObjectStore | None) -> None:
    """Validates every object, against what is stored if there is a store. Raises BadManifests: all that is wrong."""
    messages: list[str] = []
    for document in documents:
        try:
            _check(document, store)
        except Invalid as problem:
            messages += describe(document, problem.verdict)
    if messages:
        raise BadManifests(messages)


def _check(document: Document, store: ObjectStore | None) -> None:
    if store is not None:
        store.checked(document.manifest)
        return
    schema = schemas()[document.kind]
    verdict = validate(with_defaults(document.manifest, schema), schema)
    if not verdict.ok:
        raise Invalid(verdict)


def describe(document: Document, verdict: Verdict) -> list[str]:
    """What kubectl would print."""
    messages = []
    kind = document.kind
    if verdict.unknown:
        fields = ", ".join(f'unknown field "{path}"' for path in verdict.unknown)
        messages.append(
            f'Error from server (BadRequest): error when creating "{document.source}": {kind} in version "{VERSION}" '
            f"cannot be handled as a {kind}: strict decoding error: {fields}"
        )
    if verdict.errors:
        metadata = document.manifest.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        intro = f'The {kind} "{name}" is invalid: '
        if len(verdict.errors) == 1:
            messages.append(f"{intro}{verdict.errors[0]}")
        else:
            messages.append("\n".join([intro, *(f"* {error}" for error in verdict.errors)]))
    return messages
