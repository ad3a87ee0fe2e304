"""The documentation speaks of what is there: links lead somewhere, and what the code offers is described."""

import re
from enum import IntEnum
from pathlib import Path
from typing import get_args

import pytest
import typer.main

from keystead_cli.main import app
from keystead_core.log.record import Kind
from keystead_core.replication.messages import GroupMessage, PairMessage
from keystead_node.api.app import ACTIONS
from keystead_node.api.service_model import service_model

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("e2e/**/*.md")])
PROGRAM_FOLDERS = {"core": "keystead_core", "node": "keystead_node", "operator": "keystead_operator"}


def text(page: str) -> str:
    return (REPOSITORY / page).read_text()


def commands(group: typer.main.TyperGroup, before: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        more = getattr(command, "commands", None)
        found += commands(command, f"{before}{name} ") if more else [before + name]  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_files_that_the_architecture_names_are_there() -> None:
    """`core/ids.py` stands for core/keystead_core/ids.py, and so on."""
    missing = []
    for name in re.findall(r"`([a-z_0-9]+(?:/[a-z_A-Z0-9.]+)+)`", text("ARCHITECTURE.md")):
        top, _, rest = name.partition("/")
        places = [REPOSITORY / name, REPOSITORY / top / PROGRAM_FOLDERS.get(top, "") / rest]
        if not any(place.exists() for place in places):
            missing.append(name)
    assert missing == []


def test_every_command_is_described() -> None:
    group = typer.main.get_command(app)
    described = text("docs/cli.md")
    missing = [name for name in commands(group) if not re.search(rf"keystead {name}\b|^## {name}$", described, re.M)]  # type: ignore[arg-type]
    assert missing == []


def test_every_operation_of_the_api_is_described() -> None:
    described = text("docs/api.md")
    assert [name for name in ACTIONS if not re.search(rf"\b{name}\b", described)] == []


def operations_in_table(heading: str) -> list[str]:
    """The names in the first column of the table of docs/api.md that has this heading, each as often as it is there."""
    _, _, rest = text("docs/api.md").partition(f"| {heading} |\n")
    rows = rest.partition("\n\n")[0].splitlines()[1:]
    return [name for row in rows for name in row.split("|")[1].strip().split(", ")]


def test_every_operation_of_the_service_is_either_served_or_said_not_to_be() -> None:
    served = operations_in_table("operation | supported | refused with ValidationException")
    unknown = operations_in_table("operation | why")
    assert sorted(served) == sorted(ACTIONS)
    assert sorted(unknown) == sorted(set(service_model().operations) - set(ACTIONS))


def test_every_message_between_nodes_is_described() -> None:
    described = text("docs/protocol.md")
    messages = [*get_args(GroupMessage), *get_args(PairMessage)]
    assert [kind.__name__ for kind in messages if not re.search(rf"\b{kind.__name__}\b", described)] == []


def test_every_kind_of_record_is_described_by_its_number() -> None:
    kinds: type[IntEnum] = Kind
    described = text("docs/protocol.md")
    assert [kind.name for kind in kinds if f"| {kind.value} | {kind.name} " not in described] == []


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", text("Makefile"), re.MULTILINE))
    named = re.findall(r"\bmake ([a-z][a-z0-9-]*)", text("README.md") + text("CONTRIBUTING.md"))
    assert sorted(set(named) - targets) == []
