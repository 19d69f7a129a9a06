import logging
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets.crema_d import CREMAD, FOLDS, KNOWN_BAD, LABELS, PUBLISHED, fold_of, parse
from dfer.datasets.named_clips import Said
from dfer.errors import InputError, ItemError


def test_published_counts() -> None:
    assert sum(PUBLISHED) == 7442 - len(KNOWN_BAD)
    assert LABELS == ("happy", "sad", "neutral", "angry", "disgust", "fear")


def test_every_clip_is_tested_in_exactly_one_fold_and_actors_stay_together(trees: Any) -> None:
    root = trees.crema_d()
    tested: list[str] = []
    ends = ((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091))
    for fold, (first, last) in zip(FOLDS, ends):
        train, test = CREMAD(root, "train", fold), CREMAD(root, "test", fold)
        assert {int(actor) for actor in test.groups()} == {a for a in range(1001, 1092, 4) if first <= a <= last}
        assert not set(train.groups()) & set(test.groups())
        assert len(train) + len(test) == 23 * 6
        tested += test.clip_ids
    assert len(tested) == len(set(tested)) == 23 * 6


def test_folds_at_their_edges() -> None:
    assert [fold_of(str(actor)) for actor in (1001, 1018, 1019, 1036, 1037, 1054, 1055, 1072, 1073, 1091)] == [
        *(1, 1, 2, 2, 3, 3, 4, 4, 5, 5)
    ]


def test_labels_go_by_name(trees: Any) -> None:
    data = CREMAD(trees.crema_d(), "test")
    assert data.labels == LABELS
    codes = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
    for row in range(len(data)):
        assert data.labels[data.targets[row]] == codes[data.clip_id(row).split("_")[2]]
    assert data[0].clip.shape == (16, 3, 112, 112)


def test_videos_known_to_be_bad_are_left_out_and_named(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.crema_d()
    with caplog.at_level(logging.WARNING, "dfer"):
        train = CREMAD(root, "train", 1)
    assert [record.getMessage() for record in caplog.records] == [
        "4 known bad videos left out: 1064_IEO_DIS_MD, 1064_TIE_SAD_XX, 1076_MTI_NEU_XX, 1076_MTI_SAD_XX"
    ]
    assert not set(train.clip_ids) & set(CREMAD.KNOWN_BAD)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "dfer"):
        CREMAD(root, "test", 1)
    assert not caplog.records  # none would be in it
    survey = CREMAD.survey(root)
    assert survey.published == PUBLISHED
    listed = {clip.clip_id for part in survey.parts for clip in part.listing.clips}
    assert len(listed) == len(survey.entries()) == 23 * 6
    assert not listed & set(KNOWN_BAD)
    assert not [problem for part in survey.parts for problem in part.listing.problems]


def test_videos_known_to_be_bad_may_be_broken_or_gone(trees: Any) -> None:
    root = trees.crema_d()
    (root / "VideoFlash/1064_IEO_DIS_MD.flv").write_bytes(b"")
    (root / "VideoFlash/1076_MTI_NEU_XX.flv").unlink()
    assert len(CREMAD(root, "train", 1)) == 108


@pytest.mark.parametrize(
    ("folder", "suffix"),
    [("VideoFlash", ".flv"), ("", ".flv"), ("a/VideoFlash", ".flv"), ("mp4", ".mp4"), ("", ".AVI")],
)
def test_root_variants(trees: Any, folder: str, suffix: str) -> None:
    data = CREMAD(trees.crema_d(folder, suffix), "test")
    assert len(data) == 30
    assert data.clip_id(0) == "1001_DFA_ANG_XX"


def test_the_root_may_be_the_folder_of_videos_itself(trees: Any) -> None:
    assert len(CREMAD(trees.crema_d() / "VideoFlash", "test")) == 30


def test_copies_in_other_formats_do_not_count_twice(trees: Any) -> None:
    root = trees.crema_d()
    trees.crema_d("VideoMP4", ".mp4")
    trees.crema_d("VideoFlash", ".avi")
    (root / "VideoFlash/1001_DFA_ANG_XX.flv").unlink()
    (root / "AudioWAV").mkdir()
    (root / "AudioWAV/1001_DFA_ANG_XX.wav").touch()
    data = CREMAD(root, "test")
    assert len(data) == 30
    kinds = {Path(data.source.index.clips[entry]).suffix for entry in data.source.entries}  # type: ignore[attr-defined]
    assert kinds == {".flv", ".mp4"}


def test_names_in_small_letters(trees: Any) -> None:
    root = trees.root / "small"
    trees.videos([root / "1001_dfa_ang_xx.flv", root / "1076_mti_neu_xx.flv", root / "1080_ith_sad_x.flv"])
    assert CREMAD(root, "test").clip_ids == ("1001_DFA_ANG_XX",)
    assert CREMAD(root, "train").clip_ids == ("1080_ITH_SAD_X",)


def test_frame_folders_as_data_faces_makes_them(trees: Any) -> None:
    faces = trees.root / "faces"
    trees.clip(faces / "VideoFlash" / "1001_DFA_HAP_XX", ["1.jpg", "2.jpg"])
    assert CREMAD.media_in(faces) == ("frames",)
    data = CREMAD(faces, "test", media="frames")
    assert (data.labels[data.targets[0]], data.frame_count(0)) == ("happy", 2)
    assert CREMAD.survey(faces).media == "frames"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1001_DFA_SUR_XX", "emotion SUR is not one of ANG DIS FEA HAP NEU SAD"),
        ("1001_DFA_ANG_YY", "level YY is not one of XX LO MD HI X"),
        ("1001_DFA_ANG", "3 fields, not the 4 of a name such as 1001_DFA_ANG_XX"),
        ("1001_DFAX_ANG_XX", "1001_DFAX is no actor and sentence such as 1001_DFA"),
        ("1092_DFA_ANG_XX", "actor 1092 is not one of 1001 to 1091"),
        ("1000_DFA_ANG_XX", "actor 1000 is not one of 1001 to 1091"),
    ],
)
def test_wrong_names(trees: Any, name: str, message: str) -> None:
    root = trees.crema_d()
    trees.videos([root / f"{name}.flv"])
    with pytest.raises(InputError, match=f"{name}.flv: {message}"):
        CREMAD(root, "test")


def test_two_files_of_one_clip(trees: Any) -> None:
    root = trees.crema_d()
    trees.videos([root / "again" / "1001_DFA_ANG_XX.flv"])
    with pytest.raises(
        InputError, match=r"again/1001_DFA_ANG_XX.flv: clip 1001_DFA_ANG_XX lies at .*VideoFlash/1001_D"
    ):
        CREMAD(root, "test")


@pytest.mark.parametrize("fold", [0, 6, "1", True, 1.0])
def test_no_such_fold(trees: Any, fold: Any) -> None:
    with pytest.raises(InputError, match=f"CREMA-D has no fold {fold!r}; choose 1 to 5"):
        CREMAD(trees.crema_d(), "train", fold)


def test_a_part_of_the_data(trees: Any) -> None:
    root = trees.root / "part"
    trees.videos([root / "1001_DFA_ANG_XX.flv", root / "1002_DFA_ANG_XX.flv"])
    assert len(CREMAD(root, "test")) == 2
    with pytest.raises(InputError, match="holds no clip of fold 1 train, of its actors 1001, 1002; add the others"):
        CREMAD(root, "train")


def test_an_empty_video_is_said(trees: Any) -> None:
    root = trees.crema_d()
    (root / "VideoFlash/1001_DFA_ANG_XX.flv").write_bytes(b"")
    with pytest.raises(ItemError, match=r"1 of 30 clips .*: 1 no readable video: 1001_DFA_ANG_XX"):
        CREMAD(root, "test")


def test_nothing_there(trees: Any, tmp_path: Path) -> None:
    (tmp_path / "AudioWAV").mkdir()
    with pytest.raises(InputError, match=r"no video named as in CREMA-D; it holds AudioWAV: give .* holds VideoFlash"):
        CREMAD(tmp_path, "test")


def test_the_description_makes_it_again(trees: Any) -> None:
    data = CREMAD(trees.crema_d(), "train", 2, seed=3)
    again = CREMAD(split="train", **data.description["args"])
    assert (again.clip_ids, again.seed) == (data.clip_ids, 3)


def test_parse() -> None:
    assert parse("1001_IEO_HAP_LO") == Said("happy", "1001")
    assert parse("1001_ieo_hap_lo") == "1001_ieo is no actor and sentence such as 1001_DFA"
