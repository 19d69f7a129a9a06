"""The picture of similar pairs."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfer.datasets import CSVClips
from dfer.datasets.check.sides import Sides
from dfer.datasets.check.similar import Pair
from dfer.datasets.check.similar_sheet import similar_sheet

RED, GREEN = (230, 20, 20), (20, 200, 20)


def draw(root: Path, names: tuple[str, str], pairs: int) -> Image.Image:
    for name, colour, size in zip(names, (RED, GREEN), ((20, 30), (64, 64))):
        (root / name).mkdir(parents=True)
        Image.fromarray(np.full((*size, 3), colour, np.uint8)).save(root / name / "1.png")
    (root / "clips.csv").write_text(f"clip,label,split\n{names[0]},sad,train\n{names[1]},sad,test\n")
    survey = CSVClips.survey(root / "clips.csv")
    sheet = similar_sheet(survey.index, Sides(survey.parts), [Pair(0, 1, 7)] * pairs)
    return Image.open(io.BytesIO(sheet)).convert("RGB")


def share(picture: Image.Image, colour: tuple[int, int, int]) -> float:
    return float((np.abs(np.asarray(picture).astype(int) - colour).max(axis=2) < 30).mean())


def test_one_clip_on_the_left_and_the_other_on_the_right(tmp_path: Path) -> None:
    sheet = draw(tmp_path, ("a", "b"), 2)
    left, right = (
        sheet.crop((int(sheet.width * begin), 0, int(sheet.width * end), sheet.height))
        for begin, end in ((0, 0.53), (0.53, 1))
    )
    assert share(left, RED) > 0.4
    assert share(right, GREEN) > 0.4
    assert share(left, GREEN) == share(right, RED) == 0


@pytest.mark.parametrize("name", ["train/angry/00005", "WWWWWWWWWW", "a/very/long/name/of/a/clip/" * 3])
def test_no_letter_is_cut_off(tmp_path: Path, name: str) -> None:
    sheet = np.asarray(draw(tmp_path, (name, "b"), 2))
    assert sheet[:, :4].min() > 240
    assert sheet[:, 4:60].min() < 200  # and no room is lost


def test_the_nearest_alone_are_drawn_and_long_names_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.datasets.check.similar_sheet.MOST", 3)
    short = draw(tmp_path / "x", ("a", "b"), 1)
    many = draw(tmp_path / "y", ("a", "b"), 3)
    more = draw(tmp_path / "w", ("a", "b"), 8)
    long = draw(tmp_path / "z", ("folder/of/a/clip/" * 4, "b"), 1)
    assert many.size == more.size
    assert many.height > 2 * short.height
    assert long.width > short.width + 300
    np.testing.assert_allclose(share(long, RED) * long.width, share(short, RED) * short.width, rtol=0.1)
