"""What the command writes, refuses and marks, whatever the layout."""

from pathlib import Path
from typing import Any, get_args

import pytest

from dfer.datasets.synthetic.layouts import WRITERS, Layout, synthesize
from dfer.datasets.synthetic.mark import is_drawn
from dfer.errors import InputError


def test_every_layout_has_a_writer() -> None:
    assert tuple(WRITERS) == get_args(Layout)


def test_what_is_drawn_is_marked_so(tmp_path: Path) -> None:
    assert synthesize(tmp_path / "out", layout="csv", clips=8, size=32, preset="easy") == 0
    assert is_drawn(tmp_path / "out" / "clips.csv")


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synthesize(tmp_path / name, layout="folder", clips=4, size=16)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.jpg"))
    assert files
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "imagenet"}, "layout 'imagenet'; there are dfew"),
        ({"preset": "hard"}, "preset 'hard'"),
        ({"clips": 1}, "cannot write 1 clips; give at least 2$"),
        (
            {"layout": "mafw", "clips": 10},
            r"cannot write 10 clips; give at least 11 \(one of each class of the layout mafw\)",
        ),
        ({"layout": "ravdess", "clips": 11}, "give at least 12 .two actors in each of six folds of the layout ravdess"),
        ({"layout": "crema-d", "clips": 13}, "give at least 14 .four bad ones, and two actors in each of five folds"),
        ({"layout": "ckplus", "clips": 19}, "give at least 20 .two subjects in each of ten folds"),
        ({"layout": "ravdess", "clips": 1441}, "cannot write 1441 clips; the layout ravdess has names for 1440"),
        ({"layout": "crema-d", "clips": 9000}, "the layout crema-d has names for 7442"),
        ({"layout": "ckplus", "video": True}, "the layout ckplus is of frames; leave --video out"),
        ({"layout": "ravdess", "size": 33}, "size 33, seed 0; give at least 16 pixels .even for video"),
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
