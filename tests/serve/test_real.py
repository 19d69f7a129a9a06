"""The service with a real model: odd videos, and one path from a clip to its numbers."""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serve_for_tests import Service, running

from dfer.datasets import FolderClips
from dfer.errors import ItemError
from dfer.evaluation import predict
from dfer.inference import Pipeline
from dfer.models import checkpoint
from dfer.runs import RunFolder
from dfer.serve import schema
from dfer.serve.recognise import build_recogniser
from dfer.transforms import EvalTransform
from dfer.video import write_video

UNSENDABLE = ("missing", "folder", "fifo", "socket", "device", "unreadable")


def loading(run: RunFolder, **options: Any) -> partial[Any]:
    chosen = {
        "detector": "whole_frame",
        "detector_model": None,
        "device": "cpu",
        "window": 2.0,
        "step": 0.5,
        "unsure": 0.4,
        "max_pixels": 8192 * 4320,
        "max_seconds": 300.0,
    }
    return partial(build_recogniser, model=run.path, **(chosen | options))


@pytest.fixture(scope="module")
def real(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("uploads"), loading(finished), deadline=60) as service:
        yield service


def test_odd_videos_come_to_what_they_come_to_on_the_command_line(real: Service, odd_case: Any) -> None:
    if odd_case.name in UNSENDABLE:
        pytest.skip("a client cannot send it")
    answer = real.send(odd_case.path.read_bytes(), name="mine.mp4")
    assert real.kept() == []
    assert real.client.get("/readyz").status_code == 200
    if odd_case.refused:
        error = schema.Failure.model_validate(answer.json()).error
        assert (answer.status_code, error.code) == (422, "bad_video")
        assert re.search(odd_case.refused, error.message)
        assert "mine.mp4" in error.message
        assert "\n" not in error.message
        assert "upload" not in error.message
        return
    assert answer.status_code == 200
    found = schema.Timeline.model_validate_json(answer.content)
    assert found.video == "mine.mp4"
    damage = [note for note in found.notes if "damaged" in note]
    assert bool(damage) == bool(odd_case.damage)
    assert not odd_case.damage or re.search(odd_case.damage, damage[0])


def test_limits_on_pixels_and_seconds_refuse_with_words(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker makes of its settings, made here; refusals of other videos come through the whole service."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    limited = loading(finished, max_pixels=48 * 64 - 1, max_seconds=1.0)()
    for name, (height, width), words in (
        ("large", (48, 64), "pixels"),
        ("long", (48, 48), "lasts? 2.*at most 1"),
        ("good", (48, 48), ""),
    ):
        path = tmp_path / f"{name}.mp4"
        write_video(path, [np.zeros((height, width, 3), np.uint8)] * (50 if words else 25), fps=25)
        if words:
            with pytest.raises(ItemError, match=rf"{name}\.mp4 .*({words})"):
                limited(path, {}, lambda done, of: None)
        else:
            assert limited(path, {}, lambda done, of: None).frames == 25


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of several lengths and sizes, moving, in the colours that the model knows classes by."""
    root, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    sizes = ((48, 48), (64, 36), (96, 120))
    colours = {"happy": (200, 60, 60), "sad": (60, 200, 60), "angry": (60, 60, 200)}
    for split in ("train", "test"):
        for (height, width), name, count in zip(sizes, ("happy", "sad", "angry"), (16, 33, 90)):
            start, move = colours[name] + rng.uniform(-40, 40, (height, width, 3)), rng.uniform(-1, 1, 3)
            frames = [np.clip(start + move * number, 0, 255).astype(np.uint8) for number in range(count)]
            write_video(root / split / name / "clip.mp4", frames, fps=25)
    return root


def test_the_service_says_of_a_clip_what_its_evaluation_says(real: Service, finished: RunFolder, clips: Path) -> None:
    loaded = checkpoint.load(finished.checkpoint("best"))
    spec = loaded.input_spec
    found = predict(
        loaded.model, FolderClips(clips, "test", transform=EvalTransform(spec.frames, spec.size)), device="cpu"
    )
    wanted = found.probabilities(loaded.temperature)
    assert len(found) == 3
    assert np.ptp(wanted, axis=0).max() > 0.01, "clips that all look alike would prove nothing"
    for name, shares in zip(found.clip_id, wanted):
        answer = real.send((clips / str(name)).read_bytes(), params={"window": "whole"})
        (face,) = answer.json()["faces"]
        for moment in face["moments"]:
            np.testing.assert_allclose(moment["probabilities"], shares, atol=1e-4)


@pytest.mark.slow
def test_a_real_face_is_what_it_is_on_the_command_line(
    finished: RunFolder, test_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    video = test_data / "videos/single_face.mp4"
    wanted = json.loads(Pipeline.load(finished.path, detector="cascade", device="cpu")(video).to_json())
    with running(tmp_path_factory.mktemp("faces"), loading(finished, detector="cascade"), deadline=120) as service:
        found = service.send(video.read_bytes(), name=video.name).json()
    assert len(found["faces"]) == 1
    one, other = (
        [moment.pop("probabilities") for face in answer["faces"] for moment in face["moments"]]
        for answer in (found, wanted)
    )
    np.testing.assert_allclose(np.array(one, float), np.array(other, float), atol=1e-4)
    assert [face["end"] for face in found["faces"]] == [face["end"] for face in wanted["faces"]]
    assert found["model"] == wanted["model"]
