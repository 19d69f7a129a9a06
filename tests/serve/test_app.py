import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_recogniser
import httpx
import pytest
from serve_for_tests import Service, running

from dfer.labels import COLOURS
from dfer.notices import AI_ACT, SHOWN_NOT_FELT
from dfer.serve import schema, uploads
from dfer.serve.problems import CODES


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Check the shape of an error; gives its status and code."""
    failure = schema.Failure.model_validate(answer.json())
    assert failure.error.code in CODES[answer.status_code]
    assert "\n" not in failure.error.message
    assert "Traceback" not in answer.text
    return answer.status_code, failure.error.code


def test_a_video_comes_back_as_a_timeline(service: Service) -> None:
    answer = service.send("a video", name="my film.mp4")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found = schema.Timeline.model_validate_json(answer.content)
    assert found.video == "my film.mp4"
    assert found.notes == ["The video is damaged: cut off after 12.0 s."]
    assert service.kept() == []


def test_options_are_handed_on_and_checked(service: Service) -> None:
    answer = service.send("a video", params={"window": 1.5, "step": 0.25, "unsure": 0.7})
    model = answer.json()["model"]
    assert (model["window"], model["step"], model["unsure"]) == (1.5, 0.25, 0.7)
    assert service.send("a video", params={"window": "whole"}).json()["model"]["window"] == "whole"
    assert "window" not in service.send("a video").json()["model"]


@pytest.mark.parametrize(
    "params",
    [
        {"window": "0"},
        {"window": "nan"},
        {"window": "inf"},
        {"window": "none"},
        {"step": "0.01"},
        {"step": "nan"},
        {"unsure": "1.1"},
        {"unsure": "sometimes"},
        {"model": "/etc/passwd"},
        {"window\n": "1"},
    ],
)
def test_bad_options_are_refused(params: dict[str, str], service: Service) -> None:
    answer = service.send("a video", params=params)
    assert problem(answer) == (422, "bad_option")
    assert next(iter(params)).strip() in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ("bad x", 422, "bad_video"),
        ("fault x", 500, "fault"),
        ("die x", 500, "worker_died"),
        ("hang 60", 504, "deadline"),
        ("sleep 60", 504, "deadline"),
    ],
)
def test_what_goes_wrong_has_a_code_and_the_server_lives_on(
    order: str, status: int, code: str, service: Service
) -> None:
    until(lambda: service.client.get("/readyz").status_code == 200)
    start = time.monotonic()
    assert problem(service.send(order)) == (status, code)
    assert time.monotonic() - start < 5
    assert service.kept() == []
    assert service.client.get("/healthz").json() == {"status": "ok"}
    until(lambda: service.client.get("/readyz").status_code == 200)
    assert service.send("a video").status_code == 200


def test_uploads_beyond_the_limit_are_refused_said_or_unsaid(service: Service) -> None:
    assert problem(service.send(bytes(1_100_000))) == (413, "too_large")

    def chunks() -> Any:
        yield b'--xyz\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield bytes(10_000)

    headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
    assert problem(service.client.post("/v1/predict", content=chunks(), headers=headers)) == (413, "too_large")
    assert service.kept() == []


def test_what_is_no_upload_is_refused(service: Service) -> None:
    post = service.client.post
    assert problem(post("/v1/predict", content=b"x")) == (422, "not_multipart")
    assert problem(post("/v1/predict", json={"video": "x"})) == (422, "not_multipart")
    assert problem(post("/v1/predict")) == (422, "not_multipart")
    assert problem(post("/v1/predict", files={"file": b"x"})) == (422, "bad_form")
    for name in ("short", "x" * 65, "../../../..", "request\x7f1"):
        answer = post("/v1/predict", files={"video": b"x"}, headers={"X-Request-ID": name})
        assert problem(answer) == (422, "bad_option")
    assert problem(service.client.get("/v1/progress/short")) == (422, "bad_option")
    assert service.kept() == []


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/docs", "/redoc", "/../pyproject.toml", "/page/app.js", "/%00"])
def test_unknown_addresses_are_told(path: str, service: Service) -> None:
    assert problem(service.client.get(path)) == (404, "not_found")


def test_wrong_methods_are_told(service: Service) -> None:
    answer = service.client.get("/v1/predict")
    assert problem(answer) == (405, "bad_method")
    assert answer.headers["allow"] == "POST"
    assert problem(service.client.post("/healthz")) == (405, "bad_method")


def in_background(send: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    threading.Thread(target=lambda: found.append(send()), daemon=True).start()
    return found


def test_who_finds_it_busy_is_told_at_once_and_unread(service: Service) -> None:
    until(lambda: service.client.get("/readyz").status_code == 200)
    first = in_background(lambda: service.send("sleep 1.5"))
    until(lambda: service.app.state.desk.taken)
    start = time.perf_counter()
    answer = service.send(bytes(900_000))
    assert time.perf_counter() - start < 0.5
    assert problem(answer) == (429, "busy")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    until(lambda: first)
    assert first[0].status_code == 200
    assert service.send("a video").status_code == 200


def test_progress_can_be_asked_for_meanwhile(service: Service) -> None:
    ask = lambda: service.client.get("/v1/progress/request-1").json()  # noqa: E731
    assert ask() == {"stage": "none", "done": 0.0, "total": None}
    found = in_background(lambda: service.send("sleep 2", headers={"X-Request-ID": "request-1"}))
    until(lambda: ask()["done"] > 0.4)
    assert ask()["stage"] == "recognising"
    assert ask()["total"] == 2.0
    schema.Progress.model_validate(ask())
    until(lambda: found)
    assert ask()["stage"] == "none"


def leave(service: Service, order: bytes, whole: bool) -> None:
    """Send a video, or half of one, and hang up."""
    body = b'--xyz\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n' + order + b"\r\n--xyz--\r\n"
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\n"
    head += b"Content-Length: %d\r\n\r\n" % (len(body) if whole else 500_000)
    url = service.client.base_url
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head + body)
        until(lambda: service.kept())


def test_nothing_is_kept_of_who_leaves_and_the_place_is_free(service: Service) -> None:
    until(lambda: service.client.get("/readyz").status_code == 200)
    before = service.send("a video").json()["model"]["pid"]
    for whole in (True, False):
        leave(service, b"sleep 60", whole)
        until(lambda: not service.kept(), 2)
        until(lambda: service.app.state.desk.taken == 0, 2)
        assert service.send("a video").json()["model"]["pid"] == before
    assert 'status="499"} 2.0' in service.client.get("/metrics").text


def test_the_queue_waits_for_the_worker(tmp_path: Path) -> None:
    with running(tmp_path, queue=1) as service:
        first = in_background(lambda: service.send("sleep 1"))
        until(lambda: service.app.state.desk.taken)
        second = in_background(lambda: service.send("a video"))
        until(lambda: service.app.state.desk.taken == 2)
        assert problem(service.send("a video")) == (429, "busy")
        until(lambda: first and second)
        assert (first[0].status_code, second[0].status_code) == (200, 200)
        assert service.kept() == []


def test_it_lives_before_it_is_ready(tmp_path: Path) -> None:
    with running(tmp_path, fake_recogniser.Slow, wait=False) as service:
        assert service.client.get("/healthz").status_code == 200
        for path in ("/readyz", "/v1/model"):
            answer = service.client.get(path)
            assert problem(answer) == (503, "not_ready")
            assert answer.headers["retry-after"] == "3"
        assert problem(service.send("a video")) == (503, "not_ready")
        until(lambda: service.client.get("/readyz").status_code == 200)
        assert service.send("a video").status_code == 200


def test_who_sends_nothing_keeps_no_place(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SILENCE", 0.5)
    url = service.client.base_url
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n--x\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")
    assert service.kept() == []
    assert service.send("a video").status_code == 200


def test_the_model_says_what_it_is(service: Service) -> None:
    found = schema.Model.model_validate(service.client.get("/v1/model").json())
    assert found.labels[0] == "happy"
    assert found.colours["happy"] == COLOURS["happy"]
    assert found.notes == ["A note of the model."]
    assert found.limits.max_megabytes == 1


def test_the_openapi_description_says_what_is_true(service: Service) -> None:
    spec = service.client.get("/openapi.json").json()
    assert spec["info"]["description"] == f"{SHOWN_NOT_FELT} {AI_ACT}"
    predict = spec["paths"]["/v1/predict"]["post"]
    form = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["video"]["format"] == "binary"
    assert form["required"] == ["video"]
    assert {p["name"] for p in predict["parameters"]} == {"window", "step", "unsure", "x-request-id"}
    assert predict["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Timeline"
    }
    shown = {status for status in CODES if status not in (404, 405, 499)}
    assert {int(status) for status in predict["responses"]} == shown | {200}
    assert set(spec["paths"]) == {"/v1/predict", "/healthz", "/readyz", "/metrics", "/v1/model", "/v1/progress/{id}"}
    assert "HTTPValidationError" not in json.dumps(spec)
    assert set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(spec))) <= set(spec["components"]["schemas"])


def test_metrics_count(service: Service) -> None:
    service.send("a video")
    text = service.client.get("/metrics").text
    assert re.search(r'dfer_requests_total\{method="POST",path="/v1/predict",status="200"\} \d', text)
    assert "dfer_workers_ready 1.0" in text
    assert "dfer_requests_in_progress 0.0" in text


def test_the_page_is_whole_and_asks_nobody_else(service: Service) -> None:
    page = service.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert SHOWN_NOT_FELT in page.text
    assert AI_ACT in page.text
    assert "{{" not in page.text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) >= 3
    for part in parts:
        assert part == "data:," or service.client.get(f"/{part}").status_code == 200
    everything = page.text + "".join(
        service.client.get(f"/{name}").text for name in ("app.js", "chart.js", "style.css")
    )
    assert set(re.findall(r"https?://[^\"' ]*", everything)) == {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in everything
