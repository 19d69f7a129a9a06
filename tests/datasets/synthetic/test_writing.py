"""Plans, files and the spread of lengths."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfer.datasets.synthetic.knobs import EASY
from dfer.datasets.synthetic.truth import Role
from dfer.datasets.synthetic.writing import Order, plan_roles, save_jpegs, save_pngs, spread, write, write_lines

FRAMES = np.random.default_rng(0).integers(0, 255, (2, 16, 24, 3)).astype(np.uint8)


def test_lengths_are_the_data_sets() -> None:
    rng = np.random.default_rng(0)
    dfew = spread((11, 42, 48, 48, 58, 70, 72, 86, 96, 124, 847), 11697, rng)
    assert dfew.min() >= 11
    assert 400 < dfew.max() <= 847
    assert dfew.mean() == pytest.approx(77, abs=5)
    assert (dfew < 16).sum() < 60
    assert np.quantile(dfew, [0.5, 0.9]).tolist() == pytest.approx([70, 124], abs=2)


def test_names_of_frames(tmp_path: Path) -> None:
    save_jpegs(tmp_path / "a" / "007", FRAMES, "{clip}_{frame:03d}.jpg")
    save_pngs(tmp_path / "b" / "S1" / "2", FRAMES, "{parent}_{clip}_{frame}.png", grey=True)
    save_pngs(tmp_path / "c", FRAMES, "{frame}.png")
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert names == [
        *("a/007/007_001.jpg", "a/007/007_002.jpg", "b/S1/2/S1_2_1.png", "b/S1/2/S1_2_2.png", "c/1.png", "c/2.png")
    ]
    with Image.open(tmp_path / "b/S1/2/S1_2_1.png") as grey, Image.open(tmp_path / "c/2.png") as coloured:
        assert (grey.mode, grey.size) == ("L", (24, 16))
        assert (np.asarray(coloured) == FRAMES[1]).all()


def test_a_role_is_written_where_it_belongs(tmp_path: Path) -> None:
    order = Order(tmp_path, None, 16, 0, EASY, False)
    clips = plan_roles(order, EASY, [Role("contempt", 4, 3), Role("calm", 5, 2)], ["x/1", "x/2"])
    assert [(clip.path, clip.label, clip.identity) for clip in clips] == [
        ("x/1", "contempt", "face-0000004"),
        ("x/2", "calm", "face-0000005"),
    ]
    seen: dict[Path, tuple[int, ...]] = {}
    write(order, EASY, clips, lambda path, frames: seen.update({path: frames.shape}))
    assert seen == {tmp_path / "x/1": (3, 16, 16, 3), tmp_path / "x/2": (2, 16, 16, 3)}


def test_lines(tmp_path: Path) -> None:
    write_lines(tmp_path / "a" / "b.txt", ["one", "two"])
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"one\ntwo\n"
