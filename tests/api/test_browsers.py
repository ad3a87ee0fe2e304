"""Browsers and load balancers: CORS as the service answers it, and health."""

import http.client
import zlib

import pytest

from tests.api.conftest import Front

JSON = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}


def ask(
    front: Front, method: str, headers: dict[str, str], body: bytes = b""
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    connection.request(method, "/", body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def test_a_browser_that_asks_first_may_send_what_it_asks_for(front: Front) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-amz-date,x-amz-target",
    }
    response, content = ask(front, "OPTIONS", asked)
    assert (response.status, content) == (200, b"")
    found = {name.lower(): value for name, value in response.getheaders()}
    assert len(found.pop("x-amzn-requestid")) == 52
    found.pop("date")
    assert found == {
        "access-control-allow-origin": "*",
        "access-control-allow-headers": "authorization,content-type,x-amz-date,x-amz-target",
        "access-control-allow-methods": "POST",
        "access-control-max-age": "172800",
        "content-length": "0",
    }


def test_one_that_only_names_its_origin_is_told_the_rest_is_free(front: Front) -> None:
    response, _ = ask(front, "OPTIONS", {"Origin": "null"})
    assert response.getheader("Access-Control-Allow-Origin") == "*"
    assert response.getheader("Access-Control-Allow-Headers") is None
    assert response.getheader("Access-Control-Allow-Methods") is None


def test_options_without_an_origin_is_lost(front: Front) -> None:
    response, content = ask(front, "OPTIONS", {})
    assert (response.status, content) == (404, b"<UnknownOperationException/>\n")
    assert response.getheader("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize(("body", "status"), [(b"{}", 200), (b"no JSON", 400)])
def test_a_browser_may_read_every_answer(front: Front, body: bytes, status: int) -> None:
    response, _ = ask(front, "POST", JSON | {"Origin": "https://shop.example"}, body)
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (status, "*")
    response, _ = ask(front, "POST", JSON, body)
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (status, None)
    response, _ = ask(front, "PUT", {"Origin": "https://shop.example"})
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (404, "*")


def test_health_is_asked_by_get_or_head(front: Front) -> None:
    healthy = f"healthy: 127.0.0.1:{front.port} ".encode()
    for method, body in (("GET", healthy), ("HEAD", b"")):
        response, content = ask(front, method, {})
        assert (response.status, content) == (200, body)
        assert response.getheader("Content-Length") == str(len(healthy))
        assert response.getheader("x-amz-crc32") == str(zlib.crc32(healthy))
