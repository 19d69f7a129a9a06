"""Frames are drawn once, whole, and again nowhere else."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import Dataset

from dfer.datasets.synthetic.cache import cache_folder, cached_frames, drawing_workers


class Counted(Dataset[np.ndarray]):
    def __init__(self, fail_at: int = -1) -> None:
        self.drawn: list[int] = []
        self.fail_at = fail_at

    def __len__(self) -> int:
        return 3

    def __getitem__(self, row: int) -> np.ndarray:
        if row == self.fail_at:
            raise RuntimeError("pen broke")
        self.drawn.append(row)
        return np.full((row + 1, 4, 4, 3), row, np.uint8)


COUNTS = np.array([1, 2, 3])


def test_drawn_once_and_found_again(own_cache: Path) -> None:
    clips = Counted()
    file = cached_frames({"a": 1}, COUNTS, 4, clips)
    assert file is not None
    assert file.is_relative_to(own_cache)
    frames = np.fromfile(file, np.uint8).reshape(6, 4, 4, 3)
    assert frames[:, 0, 0, 0].tolist() == [0, 1, 1, 2, 2, 2]
    assert cached_frames({"a": 1}, COUNTS, 4, clips) == file
    assert clips.drawn == [0, 1, 2]
    assert cached_frames({"a": 2}, COUNTS, 4, clips) != file
    assert clips.drawn == [0, 1, 2] * 2


def test_a_damaged_file_is_drawn_again() -> None:
    clips = Counted()
    file = cached_frames({}, COUNTS, 4, clips)
    assert file is not None
    file.write_bytes(b"short")
    assert cached_frames({}, COUNTS, 4, clips) == file
    assert file.stat().st_size == 6 * 48


def test_a_failure_leaves_nothing(own_cache: Path) -> None:
    with pytest.raises(RuntimeError, match="pen broke"):
        cached_frames({}, COUNTS, 4, Counted(fail_at=1))
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []


def test_a_folder_that_takes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DFER_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "dfer"):
        assert cached_frames({}, COUNTS, 4, Counted()) is None
    assert "drawn again each time" in caplog.text


def test_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("DFER_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "dfer"


def test_little_is_drawn_here() -> None:
    assert drawing_workers(100) == 0
    assert drawing_workers(100_000) == os.cpu_count()
