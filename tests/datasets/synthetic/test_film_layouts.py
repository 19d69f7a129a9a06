"""DFEW, FERV39k and MAFW as their loaders read them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.datasets import DFEW, FERV39k
from dfer.datasets.mafw import MAFW
from dfer.datasets.synthetic import film_layouts
from dfer.datasets.synthetic.knobs import WILD
from dfer.datasets.synthetic.layouts import synthesize
from dfer.datasets.synthetic.mark import is_drawn
from dfer.datasets.synthetic.writing import Order
from dfer.labels import BASIC, EXTENDED


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of eight frames, which are drawn sooner."""
    monkeypatch.setattr(film_layouts, "_DFEW_FRAMES", (8,) * 11)


def test_dfew(tmp_path: Path, digest: Callable[[Path], str]) -> None:
    root = tmp_path / "DFEW"
    assert synthesize(root, layout="dfew", clips=25, size=16) == 0
    assert digest(root) == "843cf4197890783a"  # the same seed, the same names and lists
    folders = sorted(path.name for path in (root / "Clip/clip_224x224").iterdir())
    assert folders == [f"{number:05d}" for number in range(1, 26)]
    frames = sorted((root / "Clip/clip_224x224/00007").iterdir())
    assert frames[0].name == "00007_00001.jpg"
    assert frames[-1].name == f"00007_{len(frames):05d}.jpg"
    with Image.open(frames[0]) as picture:
        assert picture.size == (16, 16)
    tested: list[str] = []
    labels: dict[str, str] = {}
    for fold in range(1, 6):
        rows = {}
        for split in ("train", "test"):
            lines = (root / f"EmoLabel_DataSplit/{split}(single-labeled)/set_{fold}.csv").read_text().splitlines()
            assert lines[0] == "video_name,label"
            rows[split] = dict(line.split(",") for line in lines[1:])
        assert not set(rows["train"]) & set(rows["test"])
        labels = rows["train"] | rows["test"]
        assert len(labels) == 25
        assert {int(label) for label in labels.values()} == set(range(1, 8))
        tested += rows["test"]
    assert sorted(map(int, tested)) == list(range(1, 26))
    happy = sorted(int(clip) for clip, label in labels.items() if label == "1")
    blocks = [list(map(int, block)) for block in np.array_split(happy, 5)]
    assert [clip for clip in map(int, tested) if clip in happy] == [clip for block in blocks for clip in block]
    clips = DFEW(root, "train", 2)
    assert len(clips) + len(DFEW(root, "test", 2)) == 25
    soft = clips.soft_labels()
    assert soft is not None
    assert (soft.argmax(axis=1) == clips.targets).all()
    assert (soft.max(axis=1) > 0.65).all()


def test_ferv39k(tmp_path: Path, digest: Callable[[Path], str]) -> None:
    root = tmp_path / "FERV39k"
    synthesize(root, layout="ferv39k", clips=30, size=16)
    assert digest(root) == "d9a7f4275fa89f75"
    lines = (root / "4_setups/All_scenes/train_All.csv").read_text().splitlines()
    assert len(lines) == 24
    for line in lines:
        clip, name = line.split(" ")
        assert clip.split("/")[1] == name
        assert name.lower() in BASIC
        frames = sorted((root / "2_ClipsforFaceCrop" / clip).iterdir())
        assert frames[0].name == "01.jpg"
        assert 8 <= len(frames) <= 47
    assert len(FERV39k(root, "train")) == 24
    assert len(FERV39k(root, "test")) == 6


@pytest.mark.usefixtures("short")
def test_original_videos(tmp_path: Path) -> None:
    synthesize(tmp_path / "DFEW", layout="dfew", clips=10, size=16, preset="easy", video=True)
    assert (tmp_path / "DFEW/Clip/original/10.mp4").is_file()
    assert len(DFEW(tmp_path / "DFEW", "train", 1, media="video")) == 3
    synthesize(tmp_path / "FERV39k", layout="ferv39k", clips=10, size=16, preset="easy", video=True)
    clips = FERV39k(tmp_path / "FERV39k", "test", media="video")
    assert len(clips) == 2
    assert clips[0].clip.shape == (16, 3, 112, 112)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("video", [False, True])
def test_mafw(tmp_path: Path, video: bool) -> None:
    root = tmp_path / "MAFW"
    synthesize(root, layout="mafw", clips=12, size=16, video=video)
    assert (root / ("data/clips/00007.mp4" if video else "data/frames/00007/0001.png")).is_file()
    tested: list[str] = []
    counts = np.zeros(11, np.int64)
    for fold in range(1, 6):
        lines = (root / f"Train & Test Set/single/no_caption/set_{fold}/train.txt").read_text().splitlines()
        assert all(line.split(" ")[0].endswith(".mp4") for line in lines)
        train, test = (MAFW(root, split, fold, media="video" if video else "frames") for split in ("train", "test"))
        assert train.labels == EXTENDED
        assert len(train) + len(test) == 12
        tested += [test.clip_id(row) for row in range(len(test))]
        counts += test.class_counts
    assert sorted(tested) == [f"{number:05d}" for number in range(1, 13)]
    assert counts.tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1]
    assert train[0].clip.shape == (16, 3, 112, 112)
    assert is_drawn(Path(train.description["args"]["root"]))


def test_mafw_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Any] = []
    monkeypatch.setattr(film_layouts, "write", lambda order, knobs, clips, save: planned.extend(clips))
    film_layouts.write_mafw(Order(tmp_path, None, 16, 0, WILD, False))
    published = (1242, 1470, 1138, 1390, 1072, 639, 625, 236, 916, 262, 182)
    assert [Counter(clip.label for clip in planned)[label] for label in EXTENDED] == list(published)
    lines = (tmp_path / "Train & Test Set/single/no_caption/set_5/test.txt").read_text().splitlines()
    names = Counter(line.split(" ")[1] for line in lines)
    assert names["anger"] == 278
    assert names["disappointment"] == 36
    assert set(names) == {
        *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        *("contempt", "anxiety", "helplessness", "disappointment"),
    }
    assert len({clip.identity for clip in planned}) > 1000
