"""Renders the CustomResourceDefinitions as YAML files."""

from typing import Any

import yaml

from keystead_operator.spec.storage_cluster import storage_cluster_definition
from keystead_operator.spec.table import table_definition

HEADER = "# Written by `python -m keystead_operator.spec generate`; change operator/keystead_operator/spec/ instead.\n"


def definitions() -> list[dict[str, Any]]:
    """All CustomResourceDefinitions, in the order in which they are installed."""
    return [storage_cluster_definition(), table_definition()]


def rendered_files() -> dict[str, str]:
    """File name -> content of crds/."""
    return {f"{crd['metadata']['name']}.yaml": HEADER + _to_yaml(crd) for crd in definitions()}


class _Plain(yaml.SafeDumper):
    """Writes each value in full: no anchors where a schema is used twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _to_yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
