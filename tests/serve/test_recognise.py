import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fake_recogniser
import numpy as np
import pytest

from dfer.inference import Pipeline
from dfer.runs import RunFolder
from dfer.serve.recognise import OptionError, PipelineRecogniser, build_recogniser, hear, tell, work
from dfer.video import write_video


@contextmanager
def worker(build: Callable[[], Any] = fake_recogniser.Fake) -> Iterator[Connection]:
    """One in a process of its own."""
    near, far = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(far, build, 1))
    process.start()
    far.close()
    try:
        yield near
    finally:
        near.close()
        process.join(20)
        assert process.exitcode == 0


def order(folder: Path, text: str, number: int = 1, name: str = "mine.mp4") -> dict[str, Any]:
    path = folder / f"upload-{number}"
    path.write_text(text)
    return {"job": number, "video": str(path), "name": name, "options": {}}


def last(connection: Connection) -> tuple[dict[str, Any], bytes]:
    while True:
        head, body = hear(connection)
        if head["kind"] != "progress":
            return head, body


def test_a_worker_says_ready_and_answers_until_it_is_left(tmp_path: Path) -> None:
    with worker() as connection:
        head, _ = hear(connection)
        assert (head["kind"], head["about"]["labels"][0]) == ("ready", "happy")
        pids = set()
        for number in range(3):
            tell(connection, order(tmp_path, "a video", number))
            head, body = last(connection)
            answer = json.loads(body)
            assert head == {"kind": "done"}
            assert answer["video"] == "mine.mp4"
            pids.add(answer["model"]["pid"])
    assert len(pids) == 1
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("bad x", "failed", "mine.mp4 is no video file that can be read; convert it to mp4, or leave the clip out"),
        ("fault x", "fault", "a fault in dfer (RuntimeError: shapes differ in mine.mp4)"),
    ],
)
def test_what_goes_wrong_is_one_line_that_names_the_clients_file(
    text: str, kind: str, message: str, tmp_path: Path
) -> None:
    with worker() as connection:
        hear(connection)
        tell(connection, order(tmp_path, text))
        head, body = last(connection)
        assert (head["kind"], head["message"], body) == (kind, message, b"")
        tell(connection, order(tmp_path, "a video", 2))
        assert last(connection)[0]["kind"] == "done"


def test_a_worker_stops_when_told_and_is_free_again(tmp_path: Path) -> None:
    with worker() as connection:
        hear(connection)
        tell(connection, order(tmp_path, "sleep 60", 1))
        assert hear(connection)[0] == {"kind": "progress", "done": 0.0, "total": 60.0}
        tell(connection, {"stop": 1})
        assert last(connection)[0] == {"kind": "stopped"}
        tell(connection, {"stop": 1})  # too late: the next one is not meant
        tell(connection, order(tmp_path, "sleep 0.3", 2))
        assert last(connection)[0] == {"kind": "done"}


def test_a_model_that_cannot_be_loaded_is_refused_in_one_line() -> None:
    with worker(fake_recogniser.refused) as connection:
        assert hear(connection)[0] == {"kind": "refused", "message": "model.safetensors is damaged; train it again"}
        with pytest.raises(EOFError):
            hear(connection)


def test_a_worker_ends_when_the_server_dies_while_it_works(tmp_path: Path) -> None:
    with worker() as connection:
        hear(connection)
        tell(connection, order(tmp_path, "sleep 60"))
        hear(connection)  # it is at work; leaving closes the pipe, and the worker must be gone long before a minute


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 256, (48, 48, 3))
    write_video(tmp_path / "clip.mp4", [((start + 3 * i) % 256).astype(np.uint8) for i in range(50)], fps=25)
    return tmp_path / "clip.mp4"


@pytest.fixture
def own(finished: RunFolder) -> PipelineRecogniser:
    return PipelineRecogniser(Pipeline.load(finished.path, detector="whole_frame", device="cpu", min_seconds=0))


def silent(done: float, total: float | None) -> None:
    pass


def test_a_clients_options_hold_for_its_request_alone(own: PipelineRecogniser, clip: Path) -> None:
    first = own(clip, {}, silent)
    other = own(clip, {"window": 1.0, "step": 0.25, "unsure": 0.0}, silent)
    assert (other.model["window"], other.model["step"], other.model["unsure"]) == (1.0, 0.25, 0.0)
    assert len(other.faces[0].moments) == 8
    assert own(clip, {"window": "whole"}, silent).model["window"] is None
    assert own(clip, {}, silent).to_dict() == first.to_dict()


def test_options_that_do_not_go_together_are_the_clients_mistake(own: PipelineRecogniser, clip: Path) -> None:
    with pytest.raises(OptionError, match=r"window 0\.3"):
        own(clip, {"window": 0.3, "step": 0.5}, silent)


def test_the_model_is_described_with_labels_and_notes(own: PipelineRecogniser) -> None:
    assert set(own.about["labels"]) == {"angry", "happy", "sad"}
    assert any("whole" in note for note in own.about["notes"])
    json.dumps(own.about)


def test_what_the_command_was_asked_for_is_loaded(finished: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = build_recogniser(
        model=finished.path,
        detector="whole_frame",
        detector_model=None,
        device="cpu",
        window=None,
        step=0.25,
        unsure=0.1,
        max_pixels=100,
        max_seconds=2.0,
    )
    assert (made.pipeline.limits.pixels, made.pipeline.limits.seconds) == (100, 2.0)
    assert (made.about["window"], made.about["step"], made.about["unsure"]) == (None, 0.25, 0.1)
