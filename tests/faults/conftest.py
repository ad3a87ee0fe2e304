"""One cluster and one table for the fault tests, since a start costs seconds; each test begins when both are whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, running_cluster
from tests.faults.links import Links


@pytest.fixture(scope="session")
def links() -> Iterator[Links]:
    """The network between the nodes of the cluster."""
    found = Links()
    yield found
    found.close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, links: Links) -> Iterator[Cluster]:
    """Three nodes in three zones whose links go through `links`; cold segments are sealed early."""
    directory: Path = tmp_path_factory.mktemp("faults")
    with running_cluster(directory, links=links, settings={"seal_bytes": 256 * 1024}) as found:
        yield found


@pytest.fixture(scope="session")
def shared_table(cluster: Cluster) -> str:
    cluster.create_table("shared", partitions=2)
    return "shared"


@pytest.fixture
def table(cluster: Cluster, links: Links, shared_table: str) -> Iterator[str]:
    """A table of two partitions, whole at the start of a test; every fault is undone behind it."""
    cluster.wait_until(f"{shared_table} is whole", lambda: cluster.all_level(shared_table), 60)
    yield shared_table
    links.heal()
    for node in cluster.names():
        cluster.set_disk_faults(node)
