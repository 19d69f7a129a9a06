"""RAVDESS, CREMA-D and CK+ as their loaders read them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.datasets import ckplus, crema_d, ravdess
from dfer.datasets.ckplus import CKPlus
from dfer.datasets.crema_d import CREMAD
from dfer.datasets.ravdess import RAVDESS
from dfer.datasets.synthetic import posed_layouts
from dfer.datasets.synthetic.knobs import WILD
from dfer.datasets.synthetic.layouts import synthesize
from dfer.datasets.synthetic.mark import is_drawn
from dfer.datasets.synthetic.writing import Order, Planned


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """All clips that a layout would write; none is."""
    clips: list[Planned] = []
    monkeypatch.setattr(posed_layouts, "write", lambda order, knobs, planned, save: clips.extend(planned))
    return clips


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of eight frames, which are drawn sooner."""
    for name in ("_RAVDESS_FRAMES", "_CREMA_FRAMES"):
        monkeypatch.setattr(posed_layouts, name, (8,) * 11)


@pytest.mark.parametrize("clips", [14, 20, 33, 90])
def test_a_few_clips_are_of_every_class_and_fold(clips: int, tmp_path: Path, planned: list[Planned]) -> None:
    layouts = (
        (posed_layouts.write_ravdess, ravdess.fold_of, 6, 8),
        (posed_layouts.write_crema_d, crema_d.fold_of, 5, 6),
    )
    for write, fold_of, folds, classes in layouts:
        planned.clear()
        write(order(tmp_path, clips))
        assert len(planned) == clips
        assert len({clip.label for clip in planned}) == classes
        actors = {clip.identity[-4:] for clip in planned}
        of_folds = Counter(fold_of(actor) for actor in actors)
        assert len(of_folds) == folds
        assert min(of_folds.values()) >= 2


def order(root: Path, clips: int | None = None) -> Order:
    return Order(root, clips, 16, 0, WILD, True)


def count_tested(folds: list[tuple[Any, Any]]) -> int:
    """How many clips all folds test on, after a look at each."""
    tested: list[str] = []
    for train, test in folds:
        assert set(train.groups()).isdisjoint(test.groups())
        assert len(set(test.groups())) >= 2
        tested += [test.clip_id(row) for row in range(len(test))]
    train, test = folds[0]
    assert len(tested) == len(set(tested)) == len(train) + len(test)
    assert all(
        (a.class_counts + b.class_counts).tolist() == (train.class_counts + test.class_counts).tolist()
        for a, b in folds
    )
    assert (train.class_counts + test.class_counts).min() > 0
    assert is_drawn(Path(train.description["args"]["root"]))
    return len(tested)


@pytest.mark.usefixtures("short")
def test_ravdess(tmp_path: Path) -> None:
    synthesize(tmp_path / "R", layout="ravdess", clips=14, size=16, preset="easy")
    folds = [(RAVDESS(tmp_path / "R", "train", k, calm="own"), RAVDESS(tmp_path / "R", "test", k, calm="own"))
             for k in range(1, 7)]  # fmt: skip
    assert count_tested(folds) == 14
    assert folds[0][0].frame_count(0) == 8
    assert folds[0][1][0].clip.shape == (16, 3, 112, 112)


def test_ravdess_in_full(tmp_path: Path, planned: list[Planned]) -> None:
    posed_layouts.write_ravdess(order(tmp_path))
    assert len(planned) == len({clip.path for clip in planned}) == 1440
    assert Counter(clip.label for clip in planned) == {
        **dict.fromkeys(("calm", "happy", "sad", "angry", "fear", "disgust", "surprise"), 192),
        "neutral": 96,
    }
    for clip in planned:
        folder, name = clip.path.split("/")
        said = ravdess.parse(name.removesuffix(".mp4"))
        assert not isinstance(said, str)
        assert (said.modality, said.channel, said.label) == ("02", "speech", clip.label)
        assert folder == f"Actor_{said.actor}"
        assert clip.identity == f"face-{int(said.actor):07d}"
    assert {88 <= clip.truth["frames"] <= 158 for clip in planned} == {True}
    strong = [clip.truth["peak"] for clip in planned if clip.path[18:20] == "02"]
    normal = [clip.truth["peak"] for clip in planned if clip.path[18:20] == "01" and clip.label != "neutral"]
    assert min(strong) >= max(normal)
    assert len({clip.identity for clip in planned}) == 24


@pytest.mark.usefixtures("short")
def test_crema_d(tmp_path: Path) -> None:
    synthesize(tmp_path / "C", layout="crema-d", clips=18, size=16, preset="easy")
    assert (tmp_path / "C/VideoFlash/1076_MTI_NEU_XX.flv").is_file()
    folds = [(CREMAD(tmp_path / "C", "train", k), CREMAD(tmp_path / "C", "test", k)) for k in range(1, 6)]
    assert count_tested(folds) == 14
    assert folds[0][1][0].clip.shape == (16, 3, 112, 112)


def test_crema_d_in_full(tmp_path: Path, planned: list[Planned]) -> None:
    posed_layouts.write_crema_d(order(tmp_path))
    assert len(planned) == len({clip.path for clip in planned}) == 7442
    names = {clip.path.removeprefix("VideoFlash/").removesuffix(".flv"): clip for clip in planned}
    assert set(crema_d.KNOWN_BAD) <= set(names)
    good = Counter(clip.label for name, clip in names.items() if name not in crema_d.KNOWN_BAD)
    assert tuple(good[label] for label in crema_d.LABELS) == crema_d.PUBLISHED
    for name, clip in names.items():
        said = crema_d.parse(name)
        assert not isinstance(said, str)
        assert (said.label, f"face-{int(said.actor):07d}") == (clip.label, clip.identity)
    assert len({clip.identity for clip in planned}) == 91
    low, high = ([clip.truth["peak"] for name, clip in names.items() if name.endswith(level)] for level in ("LO", "HI"))
    assert max(low) < min(high)
    assert Counter(name[-2:] for name in names) == {"LO": 455, "MD": 455, "HI": 455, "XX": 7442 - 3 * 455}


def test_ckplus(tmp_path: Path) -> None:
    root = tmp_path / "CK"
    synthesize(root, layout="ckplus", clips=40, size=16)
    sequence = sorted((root / "cohn-kanade-images/S010/001").iterdir())
    assert sequence[0].name == "S010_001_00000001.png"
    with Image.open(sequence[0]) as picture:
        assert picture.mode == "L"
    labels = sorted((root / "Emotion").rglob("*.txt"))
    assert len(labels) == 22
    subject, number, last, _ = labels[0].name.split("_")
    assert (root / "cohn-kanade-images" / subject / number / f"{subject}_{number}_{last}.png").is_file()
    assert not (root / "cohn-kanade-images" / subject / number / f"{subject}_{number}_{int(last) + 1:08d}.png").exists()
    assert labels[0].read_text()[:4].isspace() is False
    folds = [(CKPlus(root, "train", k), CKPlus(root, "test", k)) for k in range(1, 11)]
    assert count_tested(folds) == 22
    assert folds[0][0].unlabelled == 18


def test_ckplus_in_full(tmp_path: Path, planned: list[Planned]) -> None:
    posed_layouts.write_ckplus(order(tmp_path))
    assert len(planned) == len({clip.path for clip in planned}) == 593
    assert len({clip.identity for clip in planned}) == 123
    labels = sorted((tmp_path / "Emotion").rglob("*.txt"))
    assert labels[0].read_text() in [f"   {number}.0000000e+00\n" for number in range(1, 8)]
    of_classes = Counter(path.read_text().strip()[:1] for path in labels)
    assert of_classes == dict(zip("1234567", (45, 18, 59, 25, 69, 28, 83)))
    assert len({path.parent.parent for path in labels}) == 118
    every = ckplus.read_sequences(tmp_path)
    assert {clip.clip_id: clip.label for clip in every.listing.clips}.items() <= {
        "_".join(clip.path.split("/")[1:]): clip.label for clip in planned
    }.items()
    assert sum(len(list(path.iterdir())) == 0 for path in (tmp_path / "Emotion").glob("*/*")) == 593 - 327


def test_a_sequence_of_ckplus_begins_at_rest_and_ends_at_the_peak(tmp_path: Path) -> None:
    synthesize(tmp_path / "CK", layout="ckplus", clips=20, size=48, preset="easy")
    early, late = [], []
    for folder in sorted((tmp_path / "CK/cohn-kanade-images").glob("*/*")):
        frames = np.stack([np.asarray(Image.open(path)).astype(float) for path in sorted(folder.iterdir())])
        change = np.abs(frames - np.median(frames[:3], axis=0)).mean(axis=(1, 2))
        early.append(change[: len(change) // 3].mean())
        late.append(change[-len(change) // 3 :].mean())
    assert len(late) == 20
    assert np.mean(late) > 2.5 * np.mean(early)
