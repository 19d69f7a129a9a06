"""A folder per class and a CSV file, as their loaders read them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.datasets import CSVClips, FolderClips
from dfer.datasets.synthetic.layouts import synthesize


@pytest.mark.parametrize(
    ("video", "of_folder", "of_csv"),
    [(False, "379d4f3f94d28859", "600245b9ce97ab95"), (True, "257676a68f359b33", "c45fa28d7512ff34")],
)
def test_folder_and_csv(
    tmp_path: Path, video: bool, of_folder: str, of_csv: str, digest: Callable[[Path], str]
) -> None:
    synthesize(tmp_path / "a", layout="folder", clips=16, size=16, preset="easy", video=video)
    assert digest(tmp_path / "a") == of_folder  # the same seed, the same names and lists
    folder = FolderClips(tmp_path / "a", "train")
    assert len(folder) == 12
    assert len(FolderClips(tmp_path / "a", "test")) == 4
    synthesize(tmp_path / "b", layout="csv", clips=16, size=16, preset="easy", video=video)
    assert digest(tmp_path / "b") == of_csv
    table = CSVClips(tmp_path / "b" / "clips.csv", "train")
    assert len(table) == 12
    with (tmp_path / "b" / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["clip", "label", "split", "subject"]
    assert folder.frame_count(0) == table.frame_count(0) == 24
    assert table[0].clip.shape == (16, 3, 112, 112)
    assert rows[0]["clip"].endswith(".mp4") is video
