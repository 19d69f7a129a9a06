import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dfer.datasets.ckplus import CODES, FOLDS, LABELS, PUBLISHED, CKPlus
from dfer.errors import InputError, ItemError
from dfer.labels import EXTENDED, canonical
from dfer.transforms import EvalTransform


def label_file(root: Path, subject: int = 10) -> Path:
    return root / f"Emotion/S{subject:03d}/001/S{subject:03d}_001_00000004_emotion.txt"


def test_labels_and_published_counts() -> None:
    assert LABELS == ("happy", "sad", "angry", "surprise", "disgust", "fear", "contempt")
    assert [EXTENDED.index(name) for name in LABELS] == sorted(EXTENDED.index(name) for name in LABELS)
    assert sum(PUBLISHED) == 327


def test_every_sequence_is_tested_in_exactly_one_fold_and_subjects_stay_together(trees: Any) -> None:
    root = trees.ckplus(21)
    tested: list[str] = []
    for fold in FOLDS:
        train, test = CKPlus(root, "train", fold), CKPlus(root, "test", fold)
        subjects = [f"S{10 + i:03d}" for i in range(fold - 1, 21, 10)]
        assert sorted(set(test.groups())) == subjects
        assert not set(train.groups()) & set(test.groups())
        assert len(train) + len(test) == 21
        tested += test.clip_ids
    assert len(tested) == len(set(tested)) == 21


def test_labels_go_by_name(trees: Any) -> None:
    data = CKPlus(trees.ckplus(), "train")
    for row in range(len(data)):
        subject = int(data.clip_id(row)[1:4]) - 10
        assert data.labels[data.targets[row]] == canonical(CODES[subject % 7 + 1])
    assert data.frame_count(0) == 4
    assert data[0].clip.shape == (16, 3, 112, 112)


def test_grey_frames_from_first_to_last(trees: Any) -> None:
    root = trees.ckplus(2)
    for n, path in enumerate(sorted((root / "cohn-kanade-images/S010/001").iterdir()), 1):
        Image.new("L", (64, 49), 50 * n).save(path)
    (root / "cohn-kanade-images/S010/001/.DS_Store").write_bytes(b"x")
    clip = CKPlus(root, "test", transform=EvalTransform(4, 8))[0].clip
    assert clip[:, 0, 0, 0].tolist() == [50, 100, 150, 200]
    assert (clip[:, 0] == clip[:, 2]).all()


def test_sequences_without_a_label_are_counted(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.ckplus(5)
    shutil.rmtree(root / "Emotion/S011/002")  # neither folder nor file
    with caplog.at_level(logging.INFO, "dfer"):
        data = CKPlus(root, "test")
    assert data.unlabelled == 5
    assert "5 of 10 sequences have no label and are left out" in caplog.text


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("cohn-kanade-images", "Emotion"),
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion"),
        ("cohn-kanade-images/cohn-kanade-images", "Emotion/Emotion"),
        ("CK+/cohn-kanade-images", "CK+/Emotion"),
        ("Cohn-Kanade-Images", "emotion"),
    ],
)
def test_root_variants(trees: Any, images: str, labels: str) -> None:
    root = trees.ckplus(3, images, labels)
    (root / "__MACOSX/Emotion/S010").mkdir(parents=True)
    for place in (images, labels):
        (root / place / ".DS_Store").write_bytes(b"x")
        (root / place / "S010/.DS_Store").write_bytes(b"x")
        (root / place / "S010/001/._S010_001_00000004_emotion.txt").write_bytes(b"x")
        (root / place / "__MACOSX/S010").mkdir(parents=True)
    assert [len(CKPlus(root, "test", fold)) for fold in (1, 2, 3)] == [1, 1, 1]
    assert CKPlus(root, "test").frame_count(0) == 4


@pytest.mark.parametrize("text", ["   7.0000000e+00\n", "7", "\ufeff 7.0\r\n\r\n"])
def test_labels_as_they_are_written(trees: Any, text: str) -> None:
    root = trees.ckplus(2)
    label_file(root).write_bytes(text.encode())
    assert CKPlus(root, "test").class_counts.tolist() == [0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no label from 1 to 7; restore the file, or exclude the sequence"),
        ("happy", "'happy' is no label from 1 to 7"),
        ("5 6", "'5 6' is no label"),
        ("0.0", "label 0.0 of sequence S010_001 is not one of 1 to 7; restore the file"),
        ("8", "label 8 of sequence S010_001 is not one"),
        ("1.5", "label 1.5 of"),
        ("nan", "label nan of"),
    ],
)
def test_wrong_labels(trees: Any, text: str, message: str) -> None:
    root = trees.ckplus(2)
    label_file(root).write_text(text)
    with pytest.raises(InputError, match=f"S010_001_00000004_emotion.txt: .*{message}"):
        CKPlus(root, "test")


def test_a_label_that_is_no_text(trees: Any) -> None:
    root = trees.ckplus(2)
    label_file(root).write_bytes(b"7\xfa")
    with pytest.raises(InputError, match=r"emotion\.txt.* no UTF-8 text"):
        CKPlus(root, "test")


def test_two_label_files_of_one_sequence(trees: Any) -> None:
    root = trees.ckplus(2)
    shutil.copy(label_file(root), label_file(root).with_name("S010_001_00000003_emotion.txt"))
    with pytest.raises(InputError, match="2 label files for sequence S010_001; keep the right one"):
        CKPlus(root, "test")


def test_a_subject_in_two_spellings(trees: Any) -> None:
    root = trees.ckplus(2)
    shutil.copytree(root / "Emotion/S010", root / "Emotion/s010", dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"s010.*: clip S010_001 stands at .*S010.* too; delete one of the two"):
        CKPlus(root, "test")


def test_the_label_of_another_sequence(trees: Any) -> None:
    root = trees.ckplus(2)
    label_file(root).rename(label_file(root).with_name("S011_001_00000004_emotion.txt"))
    with pytest.raises(
        InputError, match=r"S011_001_00000004_emotion\.txt: the label of another sequence than S010_001; restore"
    ):
        CKPlus(root, "test")


def test_excluding_changes_no_fold(trees: Any, tmp_path: Path) -> None:
    root = trees.ckplus(12)
    before = CKPlus(root, "test", 2).clip_ids
    label_file(root).write_text("what?")
    (tmp_path / "no.txt").write_text("S010_001\tits label\n")
    assert CKPlus(root, "test", 2, exclude=tmp_path / "no.txt").clip_ids == before
    assert CKPlus(root, "test", 1, exclude=tmp_path / "no.txt").clip_ids == ("S020_001",)


def test_a_labelled_sequence_that_is_not_on_disk(trees: Any) -> None:
    root = trees.ckplus(3)
    shutil.rmtree(root / "cohn-kanade-images/S010/001")
    with pytest.raises(ItemError, match=r"1 not on disk: S010_001, first at .*emotion.txt"):
        CKPlus(root, "test")
    assert CKPlus(root, "test", 2).unlabelled == 3


def test_too_few_subjects_for_a_fold(trees: Any) -> None:
    root = trees.ckplus(3)
    with pytest.raises(InputError, match="holds no sequence of fold 4 test, of its 3 subjects with a label; add more"):
        CKPlus(root, "test", 4)
    for fold in (0, 11, "1", True, 1.0, None):
        with pytest.raises(InputError, match=rf"CK\+ has no fold {fold!r}; choose 1 to 10"):
            CKPlus(root, "train", fold)  # type: ignore[arg-type]


@pytest.mark.parametrize("gone", ["cohn-kanade-images", "Emotion"])
def test_a_missing_folder(trees: Any, gone: str) -> None:
    root = trees.ckplus(2)
    shutil.rmtree(root / gone)
    with pytest.raises(
        InputError, match=f"holds no {gone}, nor does a folder in it; it holds .*: give the folder that"
    ):
        CKPlus(root, "test")
    with pytest.raises(InputError, match=f"holds no {gone}"):
        CKPlus.survey(root)


def test_survey(trees: Any) -> None:
    root = trees.ckplus()
    label_file(root).write_text("9")
    survey = CKPlus.survey(root)
    assert (survey.media, survey.labels, len(survey.parts)) == ("", LABELS, 20)
    assert survey.published == PUBLISHED
    assert len(survey.index.clips) == 42
    assert len(survey.entries()) == 20
    assert CKPlus.media_in(root) == ()
    problems = {problem for part in survey.parts for problem in part.listing.problems}
    assert [problem.clip_id for problem in problems] == ["S010_001"]


def test_the_description_makes_it_again(trees: Any) -> None:
    data = CKPlus(trees.ckplus(), "train", 2, seed=3)
    again = CKPlus(split="train", **data.description["args"])
    assert (again.clip_ids, again.seed) == (data.clip_ids, 3)
