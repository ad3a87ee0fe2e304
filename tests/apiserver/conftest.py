"""One control plane for each test process; a namespace for each test, deleted behind it."""

import itertools
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.control_plane import REPOSITORY, ControlPlane
from tests.apiserver.kubelet.faults import Faults, running_kubelet
from tests.apiserver.operators import OperatorProcess, grant
from tests.apiserver.proxy import Proxy, running_proxy
from tests.apiserver.rest import Api, wait_until
from tests.apiserver.running import RunningCluster, resolve_services

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, API server with our CustomResourceDefinitions, controllers. e2e/cluster/build-tools.sh has to have run."""
    found = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        found.start()
        install_definitions(admin_of(found))
        found.start_controllers()
        yield found
    finally:
        found.stop()


def admin_of(control_plane: ControlPlane) -> Api:
    """A client that may do everything."""
    return Api(control_plane.server, control_plane.authority.ca_file, control_plane.admin_certificate)


def install_definitions(api: Api) -> None:
    for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
        api.apply(yaml.safe_load(path.read_text()))
    wait_until("the kinds are served", lambda: all(_is_served(crd) for crd in api.objects("CustomResourceDefinition")))


def _is_served(crd: dict[str, object]) -> bool:
    status = crd.get("status", {})
    conditions = (status.get("conditions") or []) if isinstance(status, dict) else []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


@pytest.fixture
def api(control_plane: ControlPlane) -> Api:
    return admin_of(control_plane)


@pytest.fixture
def namespace(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace named after the test. It goes with all that is in it when the test is over."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    name = f"{words[:40].strip('-')}-{next(_numbers)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    if api.find("Namespace", "", name) is not None:
        api.delete("Namespace", "", name)


@pytest.fixture(scope="session")
def kubelet(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Six worker nodes in three zones that run pods as processes of this machine."""
    with running_kubelet(admin_of(control_plane), tmp_path_factory.mktemp("kubelet")) as found:
        resolve_services(found)
        yield found


StartOperator = Callable[..., OperatorProcess]


@pytest.fixture
def start_operator(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[StartOperator]:
    """Starts operators of the test's namespace; `server`, `environment` and `home` as OperatorProcess takes them."""
    started: list[OperatorProcess] = []
    grant(api, namespace)

    def start(**how: Any) -> OperatorProcess:
        made = OperatorProcess(control_plane, api, namespace, tmp_path, **how)
        started.append(made)
        made.start()
        return made

    yield start
    for one in started:
        one.kill()
    if getattr(request.node, "failed", False):
        for one in started:
            print(f"---- {one.name}\n{one.last_words(40)}")


@pytest.fixture
def cluster(api: Api, kubelet: Faults, namespace: str, tmp_path: Path) -> RunningCluster:
    """A StorageCluster `keystead` of the test's namespace, not created yet."""
    return RunningCluster(api, kubelet, namespace, tmp_path)


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    with running_proxy(control_plane) as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells fixtures whether the test failed, so that they show what the processes said."""
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed  # type: ignore[attr-defined]
    return report
