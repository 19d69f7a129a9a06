from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import DATASETS, DFEW, CSVClips, FERV39k, FolderClips
from dfer.datasets.listing import Listed, Listing, Problem
from dfer.datasets.survey import listed, parts_of_folds
from dfer.errors import InputError


def test_an_annotation_that_cannot_be_read_is_a_problem() -> None:
    def read() -> Listing:
        raise InputError("set_3.csv not found; restore it")

    assert listed(read) == Listing([], [Problem("", "set_3.csv not found; restore it")])


def test_every_data_set_on_disk_lists_its_sets(trees: Any) -> None:
    dfew = DFEW.survey(trees.dfew())
    assert [part.name for part in dfew.parts][:2] == ["fold 1 train", "fold 1 test"]
    assert (len(dfew.parts), dfew.media, dfew.entries()) == (10, "frames", list(range(70)))
    ferv39k = FERV39k.survey(trees.ferv39k())
    assert [len(part.listing.clips) for part in ferv39k.parts] == [21, 7]
    folder = FolderClips.survey(trees.folder())
    assert (folder.media, folder.labels, sum(len(part.entries) for part in folder.parts)) == (
        "",
        ("happy", "angry"),
        10,
    )
    listed_ones = CSVClips.survey(trees.csv("clip,label,split\na,happy,train\nnowhere,sad,test\n"))
    assert [list(part.entries) for part in listed_ones.parts] == [[0], [1]]


def test_a_broken_fold_leaves_the_others(trees: Any) -> None:
    root = trees.dfew()
    (root / "EmoLabel_DataSplit" / "test(single-labeled)" / "set_2.csv").unlink()
    parts = {part.name: part.listing for part in DFEW.survey(root).parts}
    assert not parts["fold 2 test"].clips
    assert "set_2.csv not found" in str(parts["fold 2 test"].problems[0])
    assert parts["fold 2 train"].clips


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "SyntheticFaces"])
def test_an_empty_place_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found|holds no|does not exist|is a folder"):
        DATASETS[name].survey(tmp_path)


def test_folds_are_trials_of_two_sets_and_one_that_cannot_be_read_is_a_problem() -> None:
    def read(split: str, fold: int) -> Listing:
        if (split, fold) == ("test", 2):
            raise InputError("gone")
        return Listing([Listed(f"{split}-{fold}", "sad", "")], [])

    parts = parts_of_folds((1, 2), read, lambda clips: [len(clips)], lambda split, fold: (fold,), of="song ")
    assert [part.name for part in parts] == [
        f"song fold {fold} {split}" for fold in (1, 2) for split in ("train", "test")
    ]
    assert [part.trial for part in parts] == ["song fold 1"] * 2 + ["song fold 2"] * 2
    assert [part.published for part in parts] == [(1,), (1,), (2,), (2,)]
    assert [[clip.clip_id for clip in part.listing.clips] for part in parts] == [
        ["train-1"],
        ["test-1"],
        ["train-2"],
        [],
    ]
    assert parts[3].listing.problems == [Problem("", "gone")]
    assert [list(part.entries) for part in parts] == [[1], [1], [1], [0]]
