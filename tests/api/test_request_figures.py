"""What Prometheus reads of the API's requests."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from keystead_node.request_figures import BUCKETS_SECONDS, RequestFigures
from tests.api.conftest import Front

SECONDS = [0.0004, 0.001, 0.0011, 0.3, 5.0, 9.0]


def scraped(*collectors: RequestFigures) -> dict[str, float]:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_requests_are_counted_by_operation_and_result() -> None:
    figures = RequestFigures()
    for operation, error in [("PutItem", ""), ("PutItem", ""), ("PutItem", "Throttled"), ("", "Unknown")]:
        figures.observe(operation, error, 0.001)
    found = {name: count for name, count in scraped(figures).items() if name.startswith("keystead_api_requests_total")}
    assert found == {
        'keystead_api_requests_total{operation="PutItem",result="ok"}': 2,
        'keystead_api_requests_total{operation="PutItem",result="Throttled"}': 1,
        'keystead_api_requests_total{operation="unknown",result="Unknown"}': 1,
    }


def test_latencies_fall_into_the_buckets_that_the_client_library_would_choose() -> None:
    figures = RequestFigures()
    registry = CollectorRegistry()
    library = Histogram("keystead_api_request_seconds", "x", ["operation"], buckets=BUCKETS_SECONDS, registry=registry)
    for seconds in SECONDS:
        figures.observe("GetItem", "", seconds)
        library.labels("GetItem").observe(seconds)
    lines = generate_latest(registry).decode().splitlines()
    expected = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if not line.startswith("#") and "_created" not in line
    }
    found = {name: value for name, value in scraped(figures).items() if "_seconds" in name}
    assert found == expected


def test_request_ids_are_52_characters_and_no_two_alike(front: Front) -> None:
    client = front.client()
    ids = [client.list_tables()["ResponseMetadata"]["RequestId"] for _ in range(3)]
    assert len(set(ids)) == 3 and {len(request_id) for request_id in ids} == {52}
