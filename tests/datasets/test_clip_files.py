import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from dfer.datasets.clip_files import ClipFiles, why_unusable
from dfer.datasets.index import index_listed
from dfer.datasets.listing import Listed
from dfer.errors import ItemError


def files(trees: Any, *names: str) -> ClipFiles:
    index = index_listed(trees.root, "x", names)
    return ClipFiles(index, [Listed(name, "sad", "") for name in names], range(len(names)), "it")


def greys(read: list[Any]) -> list[int]:
    return [round(float(frame.mean()) / 8) for frame in read]


def test_folders_and_videos_give_the_wanted_frames_in_order(trees: Any) -> None:
    trees.clip(trees.root / "a", [f"{i}.jpg" for i in range(1, 12)])
    trees.video(trees.root / "b.mp4", 11)
    found = files(trees, "a", "b.mp4")
    wanted = np.array([10, 0, 0, 4])
    assert [greys(found.read(row, wanted)) for row in (0, 1)] == [[11, 1, 1, 5]] * 2
    assert [found.frame_count(row) for row in (0, 1)] == [11, 11]


def test_a_video_of_one_frame(trees: Any) -> None:
    trees.video(trees.root / "one.mp4", 1)
    found = files(trees, "one.mp4")
    assert greys(found.read(0, np.zeros(16, np.int64))) == [1] * 16


def test_every_pattern_of_bad_frames(trees: Any) -> None:
    """Against the rule written out: the nearest readable frame, the earlier one of two."""
    names = [f"{i}.jpg" for i in range(6)]
    trees.clip(trees.root / "a", names)
    good = {name: (trees.root / "a" / name).read_bytes() for name in names}
    for pattern in range(64):
        bad = [i for i in range(6) if pattern >> i & 1]
        for i, name in enumerate(names):
            (trees.root / "a" / name).write_bytes(b"" if i in bad else good[name])
        found = files(trees, "a")
        if 2 * len(bad) >= 6:
            with pytest.raises(ItemError, match=f"clip a: {len(bad)} of 6 wanted frames"):
                found.read(0, np.arange(6))
            continue
        readable = [i for i in range(6) if i not in bad]
        nearest = [min(readable, key=lambda j: (abs(j - i), j)) + 1 for i in range(6)]
        assert greys(found.read(0, np.arange(6))) == nearest
        assert found.skipped.tolist() == [len(bad)]


def test_a_neighbour_that_was_not_wanted_may_be_bad_too(trees: Any) -> None:
    names = [f"{i:02d}.jpg" for i in range(12)]
    trees.clip(trees.root / "a", names)
    for i in (3, 4, 5):
        (trees.root / "a" / names[i]).write_bytes(b"no picture")
    assert greys(files(trees, "a").read(0, np.array([0, 4, 8, 11]))) == [1, 3, 9, 12]


class Reader:
    def __init__(self, clips: ClipFiles) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        return len(self.clips.read(0, np.arange(3)))


def test_what_a_worker_skips_is_counted_here(trees: Any) -> None:
    trees.clip(trees.root / "a", ["1.jpg", "2.jpg", "3.jpg"])
    (trees.root / "a/2.jpg").write_bytes(b"")
    found = files(trees, "a")
    assert sum(len(batch) for batch in DataLoader(Reader(found), num_workers=2)) == 4  # type: ignore[arg-type]
    assert found.skipped.tolist() == [1]


def test_survives_a_pickle(trees: Any) -> None:
    trees.clip(trees.root / "a", ["1.jpg"])
    assert greys(pickle.loads(pickle.dumps(files(trees, "a"))).read(0, np.zeros(2, np.int64))) == [1, 1]


def test_a_video_that_breaks_later_names_the_clip(trees: Any) -> None:
    trees.video(trees.root / "b.mp4", 11)
    found = files(trees, "b.mp4")
    Path(trees.root / "b.mp4").write_text("gone")
    with pytest.raises(ItemError, match=r"clip b.mp4: .*`dfer data check it --decode`"):
        found.read(0, np.arange(3))


def test_why_unusable(trees: Any) -> None:
    trees.clip(trees.root / "a", ["1.jpg"])
    (trees.root / "e").mkdir()
    (trees.root / "t.mp4").write_text("text")
    index = index_listed(trees.root, "x", ["a", "e", "t.mp4", "m"])
    reasons = [why_unusable(index, i) for i in (0, 1, 2, 3, -1)]
    assert reasons == ["", "without a frame in its folder", "no readable video", "not on disk", "not on disk"]
