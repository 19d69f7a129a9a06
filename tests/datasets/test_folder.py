import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import FolderClips
from dfer.errors import InputError, ItemError


def test_a_stratified_split_that_stays(trees: Any) -> None:
    root = trees.folder(clips=10)
    train, test = FolderClips(root, "train"), FolderClips(root, "test", seed=5)
    assert train.labels == test.labels == ("happy", "angry")
    assert train.class_counts.tolist() == [8, 8]
    assert test.class_counts.tolist() == [2, 2]
    assert not set(train.clip_ids) & set(test.clip_ids)
    for label in ("Happiness", "anger"):
        ids = sorted((f"{label}/clip {n}" for n in range(10)), key=lambda name: sha256(name.encode()).digest())
        assert {name for name in test.clip_ids if name.startswith(label)} == set(ids[:2])
    assert train[0].clip.shape == (16, 3, 112, 112)


def test_the_split_barely_changes_when_a_clip_is_added(trees: Any) -> None:
    root = trees.folder(clips=20)
    before = set(FolderClips(root, "test").clip_ids)
    trees.clip(root / "anger" / "new", ["1.jpg"])
    assert len(before ^ set(FolderClips(root, "test").clip_ids)) <= 2


@pytest.mark.parametrize(("clips", "test"), [(1, 0), (2, 1), (3, 1), (5, 1), (8, 2)])
def test_both_sides_keep_clips(trees: Any, clips: int, test: int) -> None:
    root = trees.folder(clips=clips)
    assert FolderClips(root, "train").class_counts.tolist() == [clips - test] * 2
    if test:
        assert FolderClips(root, "test").class_counts.tolist() == [test] * 2
    else:
        with pytest.raises(InputError, match="no clip of the split test"):
            FolderClips(root, "test")


def test_train_and_test_folders(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.folder(("train", "test", "val"), clips=2)
    trees.video(root / "test" / "bored" / "-v é.mp4", 3)
    train, test = FolderClips(root, "train"), FolderClips(root, "test")
    assert train.labels == test.labels == ("happy", "angry", "bored")
    assert train.class_counts.tolist() == [2, 2, 0]
    assert test.class_counts.tolist() == [2, 2, 1]
    assert test.clip_id(4) == "test/bored/-v é.mp4"
    assert test[4].clip.shape == (16, 3, 112, 112)
    assert "only train and test are used, not val" in caplog.text


def test_strays_and_hidden_files(trees: Any) -> None:
    root = trees.folder(clips=3)
    for folder in (root, root / "anger", root / "anger" / "clip 0"):
        (folder / "Thumbs.db").write_bytes(b"x")
        (folder / ".DS_Store").write_bytes(b"x")
        (folder / "readme.txt").write_text("x")
    assert sum(FolderClips(root, "train").class_counts) == 4


def test_wrong_layouts(trees: Any) -> None:
    root = trees.folder(("train", "test"))
    with pytest.raises(InputError, match="does not exist"):
        FolderClips(root / "nowhere", "train")
    with pytest.raises(InputError, match="is no folder"):
        FolderClips(root / "train/anger/clip 0/1.jpg", "train")
    with pytest.raises(InputError, match=r"holds no clips: expected a folder per class.*it holds 1.jpg, 2.jpg"):
        FolderClips(root / "train/anger/clip 0", "train")
    with pytest.raises(ValueError, match=r"test_fraction .* not 1.5"):
        FolderClips(trees.folder(clips=2), "train", test_fraction=1.5)
    trees.clip(root / "train" / "angry" / "x", ["1.jpg"])
    with pytest.raises(InputError, match=r"train/anger and train/angry are one expression"):
        FolderClips(root, "train")
    shutil.rmtree(root / "test")
    with pytest.raises(InputError, match="holds train but not the other"):
        FolderClips(root, "train")


def test_excluded_clips_that_are_unknown_are_said_once(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.folder(clips=3)
    (root.parent / "x.txt").write_text("anger/clip 0\nclip 1\n")
    for split in ("train", "test"):
        FolderClips(root, split, exclude=root.parent / "x.txt")
    (said,) = caplog.messages
    assert said.startswith(f"of 2 clips to exclude 1 are unknown to FolderClips {root}, such as 'clip 1'; ")
    assert said.endswith("clip ids look like 'Happiness/clip 0'")


def test_clips_that_cannot_be_used(trees: Any, tmp_path: Path) -> None:
    root = trees.folder(("train", "test"), clips=2)
    (root / "train/anger/fake.mp4").write_text("this is text")
    (root / "train/anger/empty folder").mkdir()
    message = r"2 of 6 clips .* 1 without a frame in its folder, 1 no readable video: train/anger/empty folder"
    with pytest.raises(ItemError, match=message):
        FolderClips(root, "train")
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("train/anger/fake.mp4\tno video\ntrain/anger/empty folder\tempty\n")
    assert len(FolderClips(root, "train", exclude=exclude)) == 4
    exclude.write_text("".join(f"test/{c}/clip {n}\n" for c in ("anger", "Happiness") for n in range(2)))
    with pytest.raises(InputError, match="no clip of the split test"):
        FolderClips(root, "test", exclude=exclude)
    with pytest.raises(InputError, match=r"cannot read .*gone.txt"):
        FolderClips(root, "test", exclude=tmp_path / "gone.txt")


def test_a_misspelt_class_is_said(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.folder()
    (root / "anger").rename(root / "angr")
    assert FolderClips(root, "train").labels == ("happy", "angr")
    assert caplog.messages == [f"{root}: 'angr' is a class of its own; correct it where 'angry' is meant"]
