from pathlib import Path

import numpy as np
import simplejpeg

from dfer.datasets.faces.sheet import face_sheet
from dfer.video.images import read_image


def write(out: Path, label: str, count: int, value: int, size: int = 20) -> list[tuple[str, int]]:
    """Clips of three frames, black but for the middle one."""
    clips = []
    for number in range(count):
        folder = out / label / str(number)
        folder.mkdir(parents=True)
        for frame in range(1, 4):
            picture = np.full((size, size, 3), value if frame == 2 else 0, np.uint8)
            (folder / f"{frame:05d}.jpg").write_bytes(simplejpeg.encode_jpeg(picture))
        clips.append((f"{label}/{number}", 3))
    return clips


def tiles(sheet: bytes, low: int, high: int) -> int:
    """How many tiles show a grey, by their area in tiles of the sheet's columns."""
    picture = read_image(sheet)
    return int(((picture[..., 0] > low) & (picture[..., 0] < high)).sum())


def test_every_clip_shows_its_middle_frame(tmp_path: Path) -> None:
    sheet = face_sheet(tmp_path, {"sad": write(tmp_path, "sad", 2, 100), "fear": write(tmp_path, "fear", 1, 200)})
    dark, bright = tiles(sheet, 90, 110), tiles(sheet, 190, 210)
    assert 1.9 < dark / bright < 2.1


def test_at_most_48_clips_are_shown_evenly_by_label(tmp_path: Path) -> None:
    clips = {name: write(tmp_path, name, 40, value, 30) for name, value in (("sad", 100), ("fear", 200))}
    sheet = face_sheet(tmp_path, clips)
    height, width = read_image(sheet).shape[:2]
    assert 0.6 < height / width < 0.9  # three rows of eight each
    assert 0.95 < tiles(sheet, 90, 110) / tiles(sheet, 190, 210) < 1.05


def test_labels_are_not_cut(tmp_path: Path) -> None:
    for label in ("surprise", "m" * 30):
        clips = {name: write(tmp_path / label, name, 3, 100) for name in (label, "fear")}
        picture = read_image(face_sheet(tmp_path / label, clips))
        assert picture[:, :8].min() > 200, "something touches the left edge"


def test_without_labels_and_of_any_size(tmp_path: Path) -> None:
    clips = write(tmp_path, "a", 2, 100, 20) + write(tmp_path, "b", 7, 100, 64)
    height, width = read_image(face_sheet(tmp_path, {"": clips})).shape[:2]
    assert 0.2 < height / width < 0.35  # eight, then one


def test_more_labels_than_places(tmp_path: Path) -> None:
    clips = {str(label): write(tmp_path, str(label), 1, 100) for label in range(60)}
    assert read_image(face_sheet(tmp_path, clips)).shape[0] > 1000
