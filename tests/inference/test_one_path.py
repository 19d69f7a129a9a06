"""From a clip to its numbers there is one path, whoever asks: evaluation, the pipeline, an exported file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfer.datasets import FolderClips
from dfer.evaluation import predict
from dfer.evaluation.source import Source
from dfer.inference import Pipeline, load_classifier
from dfer.inference.timeline import Timeline
from dfer.models import checkpoint
from dfer.runs import RunFolder
from dfer.transforms import EvalTransform
from dfer.video import frame_count, read_frames, write_video
from dfer.video.whole_frame import WholeFrame

COUNTS = (7, 16, 33, 90, 150)
SIZES = ((48, 48), (64, 36), (96, 120))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips as people have them: of several lengths, sizes and colours, moving."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for number, name in enumerate(("happy", "sad", "angry")):
            height, width = SIZES[number]
            for count in COUNTS if split == "test" else (7,):
                start = rng.uniform(0, 256, 3) + rng.uniform(-40, 40, (height, width, 3))
                move = rng.uniform(-4, 4, 3)
                frames = [((start + move * i) % 256).astype(np.uint8) for i in range(count)]
                write_video(root / split / name / f"{count}.mp4", frames, fps=25)
    return root


@pytest.fixture(scope="session")
def evaluated(finished: RunFolder, videos: Path) -> dict[Path, np.ndarray]:
    """What the evaluation of a data set says of each of its clips."""
    loaded = checkpoint.load(finished.checkpoint("best"))
    spec = loaded.input_spec
    clips = FolderClips(videos, "test", transform=EvalTransform(spec.frames, spec.size))
    assert Source.open(finished).clips("test").transform.sample.frames == spec.frames
    found = predict(loaded.model, clips, device="cpu")
    shares = found.probabilities(loaded.temperature)
    assert len(found) == 3 * len(COUNTS)
    assert np.ptp(shares, axis=0).min() > 0.01, "clips that all look alike would prove nothing"
    return {videos / str(name): share for name, share in zip(found.clip_id, shares)}


Export = Callable[[str], Path]


def run_folder(run: RunFolder, exported: Export) -> Path:
    return run.path


def safetensors(run: RunFolder, exported: Export) -> Path:
    return run.checkpoint("best")


def onnx(run: RunFolder, exported: Export) -> Path:
    return exported("onnx")


def openvino(run: RunFolder, exported: Export) -> Path:
    return exported("openvino")


ROUNDING = 2e-5  # of one clip alone and among others
WAYS: list[tuple[Callable[[RunFolder, Export], Path], float]] = [
    (run_folder, ROUNDING),
    (safetensors, ROUNDING),
    (onnx, 1e-4),
    (openvino, 1e-4),
]


def said(timeline: Timeline) -> np.ndarray:
    """Give the probabilities that stand in every moment of a clip's only face."""
    (face,) = timeline.faces
    shares = np.array([moment.probabilities for moment in face.moments])
    assert (shares == shares[0]).all()
    return shares[0]


@pytest.mark.parametrize(("way", "tolerance"), WAYS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_model_says_of_a_clip_what_its_evaluation_says(
    way: Callable[[RunFolder, Export], Path],
    tolerance: float,
    finished: RunFolder,
    evaluated: dict[Path, np.ndarray],
    exported: Export,
) -> None:
    pipeline = Pipeline.load(way(finished, exported), detector="whole_frame", device="cpu", window=None, min_seconds=0)
    for video, wanted in evaluated.items():
        np.testing.assert_allclose(said(pipeline(video)), wanted, atol=tolerance, err_msg=str(video))


def test_of_odd_videos_too(finished: RunFolder, odd_case: Any) -> None:
    if odd_case.refused or odd_case.damage:
        pytest.skip("evaluation does not read it, or lets neighbours stand in for what is lost")
    loaded = checkpoint.load(finished.checkpoint("best"))
    spec, path = loaded.input_spec, odd_case.path
    transform, rng = EvalTransform(spec.frames, spec.size), np.random.default_rng(0)
    clip = transform(frame_count(path), lambda wanted: read_frames(path, wanted), rng)
    with torch.inference_mode():
        logits = loaded.model(clip.transpose(0, 1)[None]).logits[0]
    pipeline = Pipeline(
        load_classifier(finished.path, device="cpu"), WholeFrame(), window=None, min_seconds=0, max_rate=None
    )
    np.testing.assert_allclose(said(pipeline(path)), (logits / loaded.temperature).softmax(0), atol=1e-6)


def test_of_real_videos_too(finished: RunFolder, test_data: Path, tmp_path: Path) -> None:
    paths = sorted((test_data / "videos").glob("*.mp4"))
    assert len(paths) >= 3
    for split in ("train", "test"):
        for name in ("happy", "sad", "angry"):
            (tmp_path / split / name).mkdir(parents=True)
            for path in paths:
                (tmp_path / split / name / path.name).symlink_to(path)
    loaded = checkpoint.load(finished.checkpoint("best"))
    clips = FolderClips(tmp_path, "test", transform=EvalTransform(loaded.input_spec.frames, loaded.input_spec.size))
    found = predict(loaded.model, clips, device="cpu").probabilities(loaded.temperature)
    pipeline = Pipeline.load(finished.path, detector="whole_frame", device="cpu", window=None)
    for name, wanted in zip(clips.clip_ids[: len(paths)], found):
        np.testing.assert_allclose(said(pipeline(tmp_path / name)), wanted, atol=ROUNDING, err_msg=str(name))
