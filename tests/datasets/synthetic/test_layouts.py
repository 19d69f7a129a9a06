"""What is written is what the loaders of the real data read."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.datasets import DFEW, CSVClips, FERV39k, FolderClips
from dfer.datasets.synthetic.layouts import spread, synthesize
from dfer.datasets.synthetic.mark import is_drawn
from dfer.errors import InputError
from dfer.labels import BASIC


def test_dfew(tmp_path: Path) -> None:
    root = tmp_path / "DFEW"
    assert synthesize(root, layout="dfew", clips=25, size=16) == 0
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
    assert len(DFEW(root, "train", 2)) + len(DFEW(root, "test", 2)) == 25


def test_ferv39k(tmp_path: Path) -> None:
    root = tmp_path / "FERV39k"
    synthesize(root, layout="ferv39k", clips=30, size=16)
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


@pytest.mark.parametrize("video", [False, True])
def test_folder_and_csv(tmp_path: Path, video: bool) -> None:
    synthesize(tmp_path / "a", layout="folder", clips=16, size=16, preset="easy", video=video)
    folder = FolderClips(tmp_path / "a", "train")
    assert len(folder) == 12
    assert len(FolderClips(tmp_path / "a", "test")) == 4
    synthesize(tmp_path / "b", layout="csv", clips=16, size=16, preset="easy", video=video)
    table = CSVClips(tmp_path / "b" / "clips.csv", "train")
    assert len(table) == 12
    with (tmp_path / "b" / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["clip", "label", "split", "subject"]
    assert folder.frame_count(0) == table.frame_count(0) == 24
    assert table[0].clip.shape == (16, 3, 112, 112)
    assert rows[0]["clip"].endswith(".mp4") is video


def test_what_is_drawn_is_marked_so(tmp_path: Path) -> None:
    assert synthesize(tmp_path / "out", layout="csv", clips=8, size=32, preset="easy") == 0
    assert is_drawn(tmp_path / "out" / "clips.csv")


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synthesize(tmp_path / name, layout="folder", clips=4, size=16)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.jpg"))
    assert files
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_lengths_are_the_data_sets() -> None:
    rng = np.random.default_rng(0)
    dfew = spread((11, 42, 48, 48, 58, 70, 72, 86, 96, 124, 847), 11697, rng)
    assert dfew.min() >= 11
    assert 400 < dfew.max() <= 847
    assert dfew.mean() == pytest.approx(77, abs=5)
    assert (dfew < 16).sum() < 60
    assert np.quantile(dfew, [0.5, 0.9]).tolist() == pytest.approx([70, 124], abs=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "imagenet"}, "layout 'imagenet'; there are dfew"),
        ({"preset": "hard"}, "preset 'hard'"),
        ({"clips": 1}, "cannot write 1 clips"),
        ({"layout": "dfew", "video": True}, "folder or csv for video"),
        ({"size": 3}, "size 3"),
    ],
)
def test_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthesize(tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_and_one_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("")
    with pytest.raises(InputError, match="is not empty"):
        synthesize(tmp_path / "used", clips=4, size=16)
    with pytest.raises(InputError, match="cannot write"):
        synthesize(tmp_path / "used" / "file" / "out", clips=4, size=16)
    (tmp_path / "empty").mkdir()
    assert synthesize(tmp_path / "empty", clips=4, size=16) == 0
