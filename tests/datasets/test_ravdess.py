import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets.ravdess import FOLDS, LABELS, PUBLISHED_PER_ACTOR, RAVDESS, Name, parse, published
from dfer.errors import InputError, ItemError
from dfer.labels import BASIC
from dfer.transforms import EvalTransform


def test_published_counts() -> None:
    whole = {channel: sum(sum(published("test", fold, channel)) for fold in FOLDS) for channel in PUBLISHED_PER_ACTOR}
    assert whole == {"speech": 24 * 60, "song": 23 * 44}
    assert 3 * sum(whole.values()) == 7356  # all files, in three modalities
    per_class = np.sum([published("test", fold, "speech") for fold in FOLDS], 0)
    assert dict(zip(LABELS, per_class.tolist())) == {**dict.fromkeys(LABELS, 192), "neutral": 96}
    assert sum(published("test", 5, "song")) == 3 * 44  # actor 18 does not sing
    for fold in FOLDS:
        assert sum(published("train", fold, "speech")) == 20 * 60


def test_every_clip_is_tested_in_exactly_one_fold_and_actors_stay_together(trees: Any) -> None:
    root = trees.ravdess()
    tested = []
    for fold in FOLDS:
        train, test = RAVDESS(root, "train", fold), RAVDESS(root, "test", fold)
        assert sorted(set(test.groups())) == [f"{actor:02d}" for actor in range(4 * fold - 3, 4 * fold + 1)]
        assert not set(train.groups()) & set(test.groups())
        assert len(train) + len(test) == 24 * 8
        tested += test.clip_ids
    assert len(tested) == len(set(tested)) == 24 * 8


def test_labels_go_by_name(trees: Any) -> None:
    data = RAVDESS(trees.ravdess(range(1, 5)), "test")
    assert data.labels == BASIC
    codes = {1: "neutral", 2: "neutral", 3: "happy", 4: "sad", 5: "angry", 6: "fear", 7: "disgust", 8: "surprise"}
    for row in range(len(data)):
        assert data.labels[data.targets[row]] == codes[int(data.clip_id(row)[6:8])]
    assert data[0].clip.shape == (16, 3, 112, 112)
    assert data.frame_count(0) == 3


def test_calm_as_a_class_of_its_own(trees: Any) -> None:
    root = trees.ravdess(range(1, 5))
    assert dict(zip(BASIC, RAVDESS(root, "test").class_counts.tolist())) == {**dict.fromkeys(BASIC, 4), "neutral": 8}
    own = RAVDESS(root, "test", calm="own")
    assert own.labels == (*BASIC, "calm")
    assert own.class_counts.tolist() == [4] * 8
    with pytest.raises(InputError, match="calm 'yes' is no choice; choose neutral or own"):
        RAVDESS(root, "test", calm="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "folder", ["Actor_{:02d}", "Video_Speech_Actor_{0:02d}/Actor_{0:02d}", "", "all/unpacked/deep/Actor_{:02d}"]
)
def test_root_variants(trees: Any, folder: str) -> None:
    root = trees.ravdess((1, 6), folder)
    assert RAVDESS(root, "test").clip_ids[0] == "02-01-01-01-01-01-01"
    assert len(RAVDESS(root, "train")) == 8


def test_the_order_of_rows_does_not_depend_on_folders(trees: Any) -> None:
    root = trees.ravdess((1, 2))
    before = RAVDESS(root, "test").clip_ids
    (root / "Actor_01").rename(root / "Z")
    assert RAVDESS(root, "test").clip_ids == before == tuple(sorted(before))


def test_sound_and_what_lies_about_is_passed_over(trees: Any) -> None:
    root = trees.ravdess((1,))
    for name in ("03-01-01-01-01-01-01.wav", "03-01-02-01-01-01-01.mp4", ".DS_Store", "._02-01-01-01-01-01-01.mp4"):
        (root / "Actor_01" / name).write_bytes(b"x")
    for name in ("readme.txt", "portrait.mp4"):
        (root / name).touch()
    assert len(RAVDESS(root, "test")) == 8


def test_picture_and_sound_stands_in_for_picture_alone(trees: Any) -> None:
    root = trees.ravdess((1, 2))
    trees.ravdess((1, 3), start="01-01")
    found = Counter(clip_id[:2] + clip_id[-2:] for clip_id in RAVDESS(root, "test").clip_ids)
    assert found == {"0201": 8, "0202": 8, "0103": 8}


def test_channels(trees: Any) -> None:
    root = trees.ravdess((1, 5))
    assert len(RAVDESS(root, "test")) == 8
    with pytest.raises(InputError, match="holds no clip of song fold 1 test, of its actors 01, 05"):
        RAVDESS(root, "test", channel="song")
    trees.ravdess((1,), start="02-02")
    assert [clip[3:5] for clip in RAVDESS(root, "test", channel="song").clip_ids] == ["02"] * 8
    assert len(RAVDESS(root, "test", channel="both")) == 16
    assert len(RAVDESS(root, "test")) == 8
    with pytest.raises(InputError, match="no channel 'whisper'; choose speech, song or both"):
        RAVDESS(root, "test", channel="whisper")  # type: ignore[arg-type]


def test_frame_folders_as_data_faces_makes_them(trees: Any) -> None:
    root = trees.ravdess((1,))
    faces = trees.root / "faces"
    trees.clip(faces / "Actor_01" / "02-01-06-01-02-01-01", ["1.jpg", "2.jpg"])
    assert RAVDESS.media_in(faces) == ("frames",)
    assert RAVDESS.media_in(root) == ("video",)
    data = RAVDESS(faces, "test", media="frames", transform=EvalTransform(16, 8))
    assert (data.clip_ids, data.labels[data.targets[0]], data.frame_count(0)) == (
        ("02-01-06-01-02-01-01",),
        "fear",
        2,
    )
    assert data[0].clip.shape == (16, 3, 8, 8)
    with pytest.raises(InputError, match="holds no video named as in RAVDESS; there is media='frames'"):
        RAVDESS(faces, "test")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("02-01-09-01-01-01-01.mp4", "emotion 09 is not one of 01 to 08"),
        ("04-01-01-01-01-01-01.mp4", "modality 04 is not one of 01 to 03"),
        ("02-01-01-01-01-01-25.mp4", "actor 25 is not one of 01 to 24"),
        ("02-01-01-01-01-01-00.mp4", "actor 00 is not one of 01 to"),
        ("02-01-01-01-01-01.mp4", "6 fields, not the 7 of a name such as 02-01-06-01-02-01-12"),
        ("02-01-01-01-01-01-01-01.mp4", "8 fields, not the 7"),
        ("copy/02-01-01-01-01-01-01.mp4", "clip 02-01-01-01-01-01-01 lies at .*Actor_01/02-01-01-01-01-01-01.mp4 too"),
    ],
)
def test_wrong_names(trees: Any, name: str, message: str) -> None:
    root = trees.ravdess((1,))
    trees.videos([root / name])
    with pytest.raises(InputError, match=f"{name}: {message}") as caught:
        RAVDESS(root, "test")
    assert "\n" not in str(caught.value)
    problems = {problem for part in RAVDESS.survey(root).parts for problem in part.listing.problems}
    assert len(problems) == 1


def test_a_wrong_name_can_be_excluded(trees: Any, tmp_path: Path) -> None:
    root = trees.ravdess((1,))
    trees.videos([root / "02-01-09-01-01-01-01.mp4"])
    (tmp_path / "no.txt").write_text("02-01-09-01-01-01-01\n02-01-08-01-01-01-01\treason\n")
    assert len(RAVDESS(root, "test", exclude=tmp_path / "no.txt")) == 7


@pytest.mark.parametrize(("fold", "split"), [(0, "train"), (7, "test"), ("1", "test"), (True, "test"), (1.0, "test")])
def test_no_such_fold(trees: Any, fold: Any, split: str) -> None:
    with pytest.raises(InputError, match=f"RAVDESS has no fold {fold!r}; choose 1 to 6"):
        RAVDESS(trees.ravdess((1,)), split, fold)


def test_no_such_split_root_or_clip(trees: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split 'val'"):
        RAVDESS(trees.ravdess((1,)), "val")
    with pytest.raises(InputError, match="does not exist; give the folder"):
        RAVDESS(tmp_path / "none", "test")
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "Video_Speech_Actor_01.zip").touch()
    with pytest.raises(InputError, match=r"it holds Video_Speech_Actor_01.zip: .* Actor_01 to Actor_24, unpacked"):
        RAVDESS(tmp_path / "zips", "test")


def test_an_empty_video_is_said(trees: Any) -> None:
    root = trees.ravdess((1,))
    (root / "Actor_01" / "02-01-03-01-01-01-01.mp4").write_bytes(b"")
    with pytest.raises(
        ItemError, match=r"1 of 8 clips .*: 1 no readable video: 02-01-03-01-01-01-01, first at .*\.mp4"
    ):
        RAVDESS(root, "test")


def test_survey_lists_all_folds_of_what_is_there(trees: Any) -> None:
    root = trees.ravdess()
    survey = RAVDESS.survey(root)
    assert (survey.media, survey.labels) == ("video", LABELS)
    assert [part.name for part in survey.parts][:3] == [
        "speech fold 1 train",
        "speech fold 1 test",
        "speech fold 2 train",
    ]
    assert len(survey.parts) == 12
    assert len(survey.entries()) == 24 * 8
    counts = Counter(clip.label for clip in survey.parts[1].listing.clips)
    assert counts == dict.fromkeys(LABELS, 4)
    assert survey.parts[1].published == (32, 32, 16, 32, 32, 32, 32, 32)
    assert {clip.subject for clip in survey.parts[1].listing.clips} == {"01", "02", "03", "04"}
    shutil.rmtree(root / "Actor_18")
    trees.ravdess((18,), start="02-02")
    assert len(RAVDESS.survey(root).parts) == 24


def test_the_description_makes_it_again(trees: Any) -> None:
    data = RAVDESS(trees.ravdess((1, 5)), "train", 2, channel="both", calm="own", seed=3)
    arguments = data.description["args"]
    again = RAVDESS(split="train", **arguments)
    assert (again.clip_ids, again.labels, again.seed) == (data.clip_ids, data.labels, 3)


def test_parse() -> None:
    assert parse("01-02-08-02-01-02-24") == Name("01", "song", "surprise", "24")
    assert parse("0x-02-08-02-01-02-24") == "modality 0x is not one of 01 to 03"
