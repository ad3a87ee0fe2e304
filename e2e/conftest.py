"""Fixtures of the scenarios: the operator as helm installs it, a shared cluster, the clients' pod, and the report."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.harness.clients import ClientPod
from e2e.harness.commands import REPOSITORY
from e2e.harness.kube import Kube
from e2e.harness.release import Release
from e2e.harness.report import Line, Report
from e2e.harness.store import Store

REPORTS = REPOSITORY / "build" / "e2e"
SHARED_NAMESPACE = "keystead-e2e-shared"
_report = Report()


@pytest.fixture(scope="session")
def image() -> str:
    """The image under test, on all nodes already."""
    found = os.environ.get("KEYSTEAD_E2E_IMAGE", "")
    assert found, "KEYSTEAD_E2E_IMAGE names no image: run the scenarios by `make e2e`"
    return found


@pytest.fixture(scope="session")
def kube() -> Kube:
    return Kube()


@pytest.fixture(scope="session")
def release(kube: Kube, image: str) -> Release:
    """The operator, two replicas, serving all namespaces."""
    found = Release(kube, image)
    found.apply()
    return found


@pytest.fixture(scope="session")
def clients(kube: Kube, image: str) -> ClientPod:
    found = ClientPod(kube, image)
    found.start()
    return found


@pytest.fixture(scope="session")
def _shared(kube: Kube, release: Release) -> Store:
    found = Store(kube, SHARED_NAMESPACE)
    found.delete()
    return found


@pytest.fixture
def store(_shared: Store, release: Release) -> Store:
    """A cluster of three nodes with a table, whole: the one of the scenario before, or a new one if that is broken."""
    release.wait_ready(90)
    if _shared.kube.get("StorageCluster", _shared.namespace, _shared.name) is not None:
        try:
            _shared.wait_healthy(90)
            return _shared
        except AssertionError as problem:
            print(f"the cluster of the scenario before is made anew: {problem}")
    _shared.delete()
    _shared.make_namespace()
    _shared.create()
    return _shared


@pytest.fixture
def own_store(kube: Kube, release: Release, request: pytest.FixtureRequest) -> Iterator[Callable[..., Store]]:
    """Makes a namespace for this scenario alone, and a Store in it, which the scenario creates; gone afterwards."""
    made: list[Store] = []

    def make(suffix: str = "", restricted: bool = True) -> Store:
        stem = str(request.node.path.stem).removeprefix("test_").split("_")[0]
        store = Store(kube, f"keystead-e2e-{stem}{suffix}")
        store.delete()
        store.make_namespace(restricted)
        made.append(store)
        return store

    yield make
    for store in made:
        store.delete()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Writes a figure into the scenario's line of the report."""

    def note(words: str) -> None:
        request.node.user_properties.append(("figure", words))
        print(words)

    return note


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    found = outcome.get_result()
    if "scenarios" not in item.path.parts or (found.when != "call" and found.passed):
        return
    funcargs = getattr(item, "funcargs", {})
    problem = ""
    if found.failed:
        problem = found.longreprtext[-6000:]
        if isinstance(funcargs.get("release"), Release):
            (REPORTS / item.path.stem).mkdir(parents=True, exist_ok=True)
            (REPORTS / item.path.stem / "operator.log").write_text(funcargs["release"].logs(400))
    title = " ".join(item.name.removeprefix("test_").split("_"))
    figures = [words for name, words in item.user_properties if name == "figure"]
    _report.lines.append(Line(title, found.outcome, found.duration, figures, problem))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _report.lines:
        _report.steps = [(name, float(seconds)) for name, _, seconds in map(_parted, _steps())]
        _report.subject = f"Image {os.environ.get('KEYSTEAD_E2E_IMAGE', '')}, {time.strftime('%Y-%m-%d %H:%M')}."
        _report.write(REPORTS)


def _steps() -> list[str]:
    """What e2e/__main__.py did before: NAME=SECONDS, one a line."""
    return [line for line in os.environ.get("KEYSTEAD_E2E_STEPS", "").splitlines() if line]


def _parted(line: str) -> tuple[str, str, str]:
    return line.rpartition("=")
