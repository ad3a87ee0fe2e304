"""Wraps a schema into a CustomResourceDefinition object."""

from typing import Any, Final

from keystead_operator.spec.schema import Schema

GROUP: Final = "keystead.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


def column(name: str, json_path: str, description: str, kind: str = "string", priority: int = 0) -> Schema:
    """A printer column; `priority` 1 shows it with `-o wide` only."""
    made: Schema = {"name": name, "type": kind, "jsonPath": json_path, "description": description}
    if priority:
        made["priority"] = priority
    return made


def definition(
    *, kind: str, plural: str, short: str, schema: Schema, columns: list[Schema], scale: dict[str, str] | None = None
) -> dict[str, Any]:
    """The CustomResourceDefinition of a namespaced kind with the status subresource.

    `schema` is that of the whole object. `scale`: paths of the scale subresource, if the kind has one.
    """
    subresources: Schema = {"status": {}}
    if scale is not None:
        subresources["scale"] = scale
    age = column("Age", ".metadata.creationTimestamp", "Time since the object was made.", "date")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["keystead"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [*columns, age],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
