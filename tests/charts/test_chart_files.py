"""What of the chart can be judged without helm. e2e/chart/ renders it."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from keystead_node.metrics import Metrics, _Figures
from keystead_operator.kube import rights

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "charts" / "keystead"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def test_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == package["version"]


def test_default_values_fulfil_the_schema() -> None:
    jsonschema.validate(VALUES, SCHEMA)


def _rules(name: str) -> list[dict[str, Any]]:
    """The rules that templates/rbac.yaml defines: plain YAML between two lines of the template language."""
    text = (CHART / "templates" / "rbac.yaml").read_text()
    match = re.search(rf'define "{name}" -}}}}\n(.*?)\n{{{{- end }}}}', text, re.DOTALL)
    assert match is not None
    found: list[dict[str, Any]] = yaml.safe_load(match.group(1))
    return found


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("keystead.rules", rights.NAMESPACED),
        ("keystead.leading", rights.LEADING),
        ("keystead.everywhere", rights.CLUSTER_WIDE),
    ],
)
def test_roles_hold_exactly_the_rights_that_the_operator_uses(name: str, used: tuple[rights.Right, ...]) -> None:
    assert _rules(name) == [right.rule() for right in used]


def _keys(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> set[str]:
    """Paths that one of the two lacks."""
    known = schema.get("properties", {})
    if schema.get("additionalProperties") is not False:
        return set()
    missing = {f"{path}.{key}" for key in values.keys() ^ (known.keys() - {"global", "claims"})}
    for key in values.keys() & known.keys():
        if isinstance(values[key], dict):
            missing |= _keys(values[key], known[key], f"{path}.{key}")
    return missing


def test_every_value_is_in_the_schema_and_has_a_default() -> None:
    assert _keys(VALUES, SCHEMA) == set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"operator": {"replicas": "two"}},
        {"operator": {"replica": 2}},
        {"image": {"repository": "x", "pullPolicy": "Sometimes"}},
        {"image": {"repository": "x", "digest": "sha256:1"}},
        {"watchNamespaces": ["A_B"]},
        {"metrics": {"serviceMonitor": {"interval": "soon"}}},
    ],
)
def test_values_of_another_shape_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def _exported_names() -> set[str]:
    """The names of a node's metrics as Prometheus sees them. The collectors are asked over empty parts."""
    metrics = Metrics()
    metrics.requests.observe("GetItem", "", 0.001)
    names = {line.split()[2] for line in metrics.text().decode().splitlines() if line.startswith("# TYPE")}
    empty = _Empty()
    registry = CollectorRegistry()
    registry.register(_Figures(*[empty] * 6))
    names |= {line.split()[2] for line in generate_latest(registry).decode().splitlines() if line.startswith("# TYPE")}
    return names | {f"{name}_{part}" for name in names for part in ("bucket", "sum", "count")}


class _Empty:
    """Any part of a node of which every figure is nothing."""

    def __getattr__(self, name: str) -> Any:
        return (
            0
            if name
            in {"free_blocks", "messages_sent", "bytes_sent", "batches", "forwarded", "retries"}
            | {"bytes_copied", "items_expired", "rows_seen", "changes_fed"}
            else self
        )

    def __getitem__(self, key: str) -> int:
        return 0

    def __len__(self) -> int:
        return 0

    def values(self) -> list[Any]:
        return []


def test_dashboard_reads_only_metrics_that_nodes_have() -> None:
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    read = set(re.findall(r"\bkeystead_(?!io_)[a-z_]+", " ".join(expressions)))
    assert len(expressions) > 20
    assert read - _exported_names() == set()


def test_dashboard_has_no_two_panels_in_one_place() -> None:
    panels = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
