import json
import socket
import time
from pathlib import Path

import pytest
from serve_for_tests import Service, running

from dfer.serve import gate


def raw(service: Service, text: bytes, wait: float = 10) -> tuple[bytes, float]:
    """Send bytes, never more, and read until the other end closes or is silent; the seconds to the first byte."""
    url = service.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=wait) as connection:
        start = time.perf_counter()
        connection.sendall(text)
        answer = connection.recv(65536)
        first = time.perf_counter() - start
        while more := connection.recv(65536):
            answer += more
    return answer, first


def test_every_answer_has_the_headers_that_keep_pages_apart(service: Service) -> None:
    for path in ("/", "/healthz", "/nothing", "/app.js"):
        headers = service.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control")]


def test_whoever_asks_for_the_head_alone_gets_it(service: Service) -> None:
    for path in ("/", "/healthz", "/readyz", "/v1/model"):
        whole, head = service.client.get(path), service.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.content))
    assert service.client.head("/v1/predict").status_code == 405
    assert service.client.head("/nothing").status_code == 404
    assert 'dfer_requests_total{method="HEAD",path="/healthz",status="200"} 1.0' in service.client.get("/metrics").text


def test_another_sites_page_may_not_send_videos(service: Service) -> None:
    for site, status in (("cross-site", 403), ("same-origin", 200), ("none", 200)):
        answer = service.send("a video", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status
    assert service.client.options("/v1/predict", headers={"Origin": "https://example.org"}).status_code == 405


def test_only_its_own_names_are_answered(tmp_path: Path) -> None:
    with running(tmp_path, hosts=("127.0.0.1", "localhost", "::1"), wait=False) as service:
        for host, status in (
            ("127.0.0.1", 200),
            ("LOCALHOST:80", 200),
            ("[::1]:8000", 200),
            ("example.org", 400),
            ("127.0.0.1.example.org", 400),
            ("", 400),
        ):
            answer = service.client.get("/healthz", headers={"Host": host})
            assert answer.status_code == status, host
        assert answer.json()["error"]["code"] == "bad_host"


def test_a_client_reads_why_it_is_refused_before_it_has_sent_all(service: Service) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n"
    answer, first = raw(service, head + b"x" * 300_000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_large"
    assert first < 1 < gate.LINGER


def test_a_client_that_asks_before_it_sends_is_not_asked_to(service: Service) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
    start = time.perf_counter()
    answer, _ = raw(service, head)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100" not in answer.split(b"\r\n")[0][9:12]
    assert time.perf_counter() - start < gate.LINGER / 2


def test_a_connection_goes_on_after_a_refusal_that_was_read(service: Service) -> None:
    answer = service.send("bad x")
    assert answer.status_code == 422
    assert "connection" not in answer.headers
    assert service.client.post("/v1/predict", content=b"no form").headers["connection"] == "close"


@pytest.mark.parametrize("method", ["PUT", "BREW"])
def test_clients_make_up_no_labels(service: Service, method: str) -> None:
    service.client.request(method, "/v1/predict")
    service.client.get("/made/up/by/a/client")
    text = service.client.get("/metrics").text
    assert method not in text
    assert "made/up" not in text
    assert 'path="other"' in text
