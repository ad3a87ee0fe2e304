"""Clusters for the fault tests: one a module, since a start costs seconds, and a table of its own for each test."""

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


@pytest.fixture
def table(cluster: Cluster, links: Links) -> Iterator[str]:
    """A table of two partitions, whole at the start of a test; every fault is undone behind it."""
    name = f"t{next(_tables)}"
    cluster.create_table(name, partitions=2)
    cluster.wait_until(f"{name} is level", lambda: cluster.all_level(name), 60)
    yield name
    links.heal()
    for node in cluster.names():
        cluster.set_disk_faults(node)
