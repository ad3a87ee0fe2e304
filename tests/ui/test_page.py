"""The page of a node in a real browser, over a real cluster under load; and over states too large to be made here."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from keystead_core.ids import NodeId
from keystead_core.split.dial_up import PartitionLimits
from keystead_node.ui.loads import ReplicaLoad
from keystead_node.ui.state import state_of
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.load import Load
from tests.pictures.maps import make_map, make_partition, make_table
from tests.ui.conftest import PATIENCE_MS, OpenPage

expect.set_options(timeout=PATIENCE_MS)
CONTRAST_MIN = 4.5
CONTRAST = """cell => {
  const shine = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [".body", "text"].map((part) => shine(getComputedStyle(cell.querySelector(part)).fill)).sort();
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"partition_read_units": 60, "partition_write_units": 40, "split_mb": 0, "split_after_seconds": 2}
    settings |= {"split_read_units": 10**9, "split_write_units": 10**9}
    with running_cluster(tmp_path_factory.mktemp("page"), node_command=None, settings=settings) as found:
        found.create_table("orders", partitions=4)
        found.create_table("halves", partitions=1)
        with Load(found.endpoints(), "orders", keys=12, writers=1, readers=1, pause_ms=20):
            yield found


def url(cluster: Cluster, node: int = 0) -> str:
    return f"http://{cluster.admin_address(cluster.names()[node])}/ui"


def cells(page: Page, table: str) -> Any:
    return page.get_by_role("listbox", name=f"Partitions of {table} in key order").get_by_role("option")


def test_the_page_shows_partitions_under_load_and_their_nodes(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_page(url(cluster))
    expect(page.locator("#summary")).to_contain_text("3 nodes · 2 tables · 5 partitions")
    expect(cells(page, "orders")).to_have_count(4)
    page.wait_for_function("() => [...document.querySelectorAll('.cell')].some((cell) => !cell.matches('.heat-0'))")
    expect(page.locator(".zone")).to_have_count(3)
    for name in cluster.names():
        expect(page.locator(".node", has_text=name)).to_contain_text("active")
    assert page.locator("path.master").evaluate_all("paths => paths.map((p) => p.getAttribute('d')).join('')")


def test_the_page_refreshes_by_itself_until_it_is_paused(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_page(url(cluster, 1))
    expect(cells(page, "orders")).to_have_count(4)
    with page.expect_response("**/ui/state"):
        pass
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    page.get_by_role("button", name="Go on").click()
    with page.expect_response("**/ui/state"):
        pass


def test_partitions_are_chosen_by_mouse_and_by_keys(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_page(url(cluster))
    cells(page, "orders").nth(1).click()
    expect(page.locator("#chosen")).to_contain_text("4000 to 8000")
    expect(page.locator("#chosen")).to_contain_text("follower")
    expect(page.locator(".node.holds")).to_have_count(3)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chosen")).to_contain_text("8000 to c000")
    page.keyboard.press("Home")
    expect(page.locator("#chosen")).to_contain_text("start to 4000")
    page.keyboard.press("End")
    expect(cells(page, "orders").nth(3)).to_have_attribute("aria-selected", "true")


def test_a_split_grows_the_map_of_a_page_that_is_open(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_page(url(cluster))
    expect(cells(page, "halves")).to_have_count(1)
    cluster.cli("split", "halves", "--at", "m")
    expect(cells(page, "halves")).to_have_count(2)


def test_a_node_that_is_away_is_named_with_its_reason_and_more_than_a_colour(
    cluster: Cluster, open_page: OpenPage
) -> None:
    away = cluster.names()[2]
    page = open_page(url(cluster))
    with cluster.frozen(away):
        expect(page.locator(".node", has_text=away)).to_contain_text("⚠ silent")
        expect(page.locator("#summary")).to_contain_text("(⚠ 1 silent)")
    expect(page.locator(".node", has_text=away)).to_contain_text("active")


# -- states that are made up: the page itself is the same


def made_up(partitions: int, nodes: int, loads: tuple[float, ...], mastered: bool = True) -> bytes:
    entries = [make_partition(n + 2, "orders", (n, partitions), nodes) for n in range(partitions)]
    said: dict[NodeId, Any] = {NodeId(f"n{n}"): [] for n in range(nodes)}
    for number, entry in enumerate(entries):
        for place, member in enumerate(entry.members):
            serves = mastered and place == 0
            units = 1000.0 * loads[number % len(loads)] if place == 0 else 0.0
            role = "master" if serves else "follower"
            said[member.node].append(ReplicaLoad(entry.id, role, 1, serves, True, 1 << 20, units, 0.0))
    cluster_map = make_map(nodes, [make_table("orders")], entries)
    return msgspec.json.encode(state_of(NodeId("n0"), cluster_map, said, PartitionLimits(1000, 500)))


def open_made_up(open_page: OpenPage, cluster: Cluster, state: bytes, **options: Any) -> Page:
    answer = lambda route: route.fulfill(body=state, content_type="application/json")  # noqa: E731
    return open_page(url(cluster), lambda page: page.route("**/ui/state", answer), **options)


def test_a_thousand_partitions_on_fifty_nodes_are_all_to_be_seen(cluster: Cluster, open_page: OpenPage) -> None:
    state = made_up(1000, 50, (0.0, 0.3, 1.2))
    page = open_made_up(open_page, cluster, state, viewport={"width": 1280, "height": 800})
    expect(cells(page, "orders")).to_have_count(1000)
    expect(page.locator(".node")).to_have_count(50)
    boxes = cells(page, "orders").evaluate_all(
        """cells => cells.map((cell) => cell.querySelector('.body').getBoundingClientRect())
           .map((box) => [box.left, box.top, box.width, box.height])"""
    )
    assert min(width for _, _, width, _ in boxes) >= 6 and min(height for *_, height in boxes) >= 10
    # In key order, row by row, and none over another.
    rows: dict[int, list[Any]] = {}
    for left, top, width, _ in boxes:
        rows.setdefault(round(top), []).append((left, width))
    assert list(rows) == sorted(rows)
    for row in rows.values():
        assert all(a + width <= b + 0.5 for (a, width), (b, _) in pairwise(row))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_load_can_be_read_in_its_colour(cluster: Cluster, open_page: OpenPage, scheme: Any) -> None:
    loads = (0.0, 0.05, 0.2, 0.4, 0.7, 0.95, 1.5)
    page = open_made_up(open_page, cluster, made_up(7, 3, loads), color_scheme=scheme)
    expect(cells(page, "orders")).to_have_count(7)
    found = cells(page, "orders")
    for step, load in enumerate(loads):
        expect(found.nth(step)).to_have_class(f"cell heat-{step}")
        expect(found.nth(step).locator("text")).to_have_text(f"{load:.0%} ")
        assert found.nth(step).evaluate(CONTRAST) >= CONTRAST_MIN, (scheme, load)
    bars = found.evaluate_all("cells => cells.map((cell) => Number(cell.querySelector('.bar').getAttribute('height')))")
    assert bars == sorted(bars) and bars[0] == 0 < bars[1]


def test_one_node_and_partitions_without_a_master(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_made_up(open_page, cluster, made_up(2, 1, (0.5,), mastered=False))
    expect(page.locator("#summary")).to_contain_text("⚠ 3 without a master")
    expect(cells(page, "orders").first.locator("text")).to_have_text("50% !")
    expect(page.locator(".node")).to_have_count(1)


def test_a_node_that_answers_no_more_leaves_what_it_said_and_says_so(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_made_up(open_page, cluster, made_up(2, 3, (0.5,)))
    expect(cells(page, "orders")).to_have_count(2)
    page.route("**/ui/state", lambda route: route.fulfill(status=200, body="{"))
    expect(page.get_by_role("alert")).to_contain_text("does not tell the state of the cluster")
    expect(cells(page, "orders")).to_have_count(2)
