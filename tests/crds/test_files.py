"""crds/ is what the schemas say, and fulfils what the API server asks of a structural schema."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from keystead_operator.spec.cel import holds
from keystead_operator.spec.generate import definitions, rendered_files

REPOSITORY = Path(__file__).parents[2]
DIRECTORIES = [REPOSITORY / "crds", REPOSITORY / "charts" / "keystead" / "files" / "crds"]
KINDS = {crd["spec"]["names"]["kind"]: crd for crd in definitions()}


@pytest.mark.parametrize("directory", DIRECTORIES, ids=["crds", "chart"])
def test_files_in_crds_are_those_that_the_schemas_render(directory: Path) -> None:
    written = {path.name: path.read_text() for path in directory.glob("*.yaml")}
    assert written == rendered_files(), "run `python -m keystead_operator.spec generate`"


def test_files_read_back_as_the_definitions() -> None:
    read = [yaml.safe_load(text) for text in rendered_files().values()]
    assert read == definitions()


def _schemas(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, part in schema.get("properties", {}).items():
        found += _schemas(part, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            found += _schemas(schema[keyword], f"{path}.{keyword}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_has_a_type_and_a_bound_and_a_description(kind: str) -> None:
    root = KINDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bounds = {"array": "maxItems", "string": "maxLength"}
    for path, schema in _schemas(root):
        assert "type" in schema, path
        if path in ("", ".apiVersion", ".kind", ".metadata"):
            continue
        bounded = "enum" in schema or "format" in schema or bounds.get(schema["type"], "type") in schema
        assert bounded, f"{path} has no {bounds[schema['type']]}"
        assert schema["description"].endswith("."), path


@pytest.mark.parametrize("kind", KINDS)
def test_list_map_keys_are_required_or_defaulted(kind: str) -> None:
    root = KINDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, schema in _schemas(root):
        for key in schema.get("x-kubernetes-list-map-keys", []):
            assert key in schema["items"]["required"], f"{path}: {key}"


def test_both_kinds_have_short_names_status_and_readable_columns() -> None:
    assert KINDS["Table"]["spec"]["names"]["shortNames"] == ["kst"]
    assert KINDS["StorageCluster"]["spec"]["names"]["shortNames"] == ["ksc"]
    for crd in KINDS.values():
        version = crd["spec"]["versions"][0]
        assert "status" in version["subresources"]
        names = [column["name"] for column in version["additionalPrinterColumns"]]
        assert names[0] == "Ready"
        assert names[-1] == "Age"


def test_scale_subresource_turns_the_number_of_nodes() -> None:
    scale = KINDS["StorageCluster"]["spec"]["versions"][0]["subresources"]["scale"]
    assert scale["specReplicasPath"] == ".spec.nodes"
    assert scale["statusReplicasPath"] == ".status.nodes"


@pytest.mark.parametrize("kind", KINDS)
def test_a_default_keeps_the_rules_before_the_defaults_inside_of_it_are_filled_in(kind: str) -> None:
    root = KINDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, schema in _schemas(root):
        if "default" not in schema:
            continue
        for described in schema.get("x-kubernetes-validations", []):
            value = schema["default"]
            assert holds(described["rule"], value, value), f"{path}: {described['message']}"
