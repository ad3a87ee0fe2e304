"""Clusters for the fault tests: one a module, since a start costs seconds."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, running_cluster
from tests.faults.links import Links

_tables = itertools.count(1)


@pytest.fixture(scope="module")
def links() -> Iterator[Links]:
    """The network between the nodes of this module's cluster."""
    found = Links()
    yield found
    found.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, links: Links) -> Iterator[Cluster]:
    """Three nodes in three zones whose links go through `links`; cold segments are sealed early."""
    directory: Path = tmp_path_factory.mktemp("faults")
    with running_cluster(directory, links=links, settings={"seal_bytes": 256 * 1024}) as found:
        yield found


@pytest.fixture(scope="module")
def module_table(cluster: Cluster) -> str:
    name = f"table{next(_tables)}"
    cluster.create_table(name, partitions=2)
    return name


@pytest.fixture
def table(cluster: Cluster, links: Links, module_table: str) -> Iterator[str]:
    """A table of two partitions, whole at the start of a test; every fault is undone behind it."""
    cluster.wait_until(f"{module_table} is whole", lambda: cluster.all_level(module_table), 60)
    yield module_table
    links.heal()
    for node in cluster.names():
        cluster.set_disk_faults(node)
