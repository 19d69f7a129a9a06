import os
import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.datasets.faces.sources import Known, Unfit, clip_names, find_videos, read_sources
from dfer.errors import InputError


def tree(root: Path, *videos: str) -> Path:
    for video in videos:
        (root / video).parent.mkdir(parents=True, exist_ok=True)
        (root / video).touch()
    return root


def known(root: Path, layout: str = "auto") -> dict[str, Known]:
    return {source.video: source.known for source in read_sources(root, layout).wanted}


def test_a_folder_per_class(tmp_path: Path) -> None:
    root = tree(tmp_path, "Happiness/1.mp4", "Happiness/b.AVI", "bored/2.mkv", "bored/notes.txt", ".x/3.mp4")
    (tmp_path / "bored" / ".4.mp4").touch()
    sources = read_sources(root)
    assert (sources.layout, sources.unfit) == ("folder", {})
    assert known(root) == {
        "Happiness/1.mp4": Known("happy"),
        "Happiness/b.AVI": Known("happy"),
        "bored/2.mkv": Known("bored"),
    }
    assert [source.clip for source in sources.wanted] == ["Happiness/1", "Happiness/b", "bored/2"]


def test_folders_train_and_test(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/sad/1.mp4", "train/fear/2.mp4", "test/sad/1.mp4", "val/sad/9.mp4", "loose.mp4")
    sources = read_sources(root)
    assert [source.known for source in sources.wanted] == [
        Known("sad", "test"),
        Known("fear", "train"),
        Known("sad", "train"),
    ]
    assert sources.unfit == dict.fromkeys(
        ("loose.mp4", "val/sad/9.mp4"), Unfit("not in a class folder below train or test")
    )


def test_one_of_train_and_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="below train but not below the other of train and test; add it"):
        read_sources(tree(tmp_path, "train/sad/1.mp4", "train/fear/2.mp4"))


def test_two_spellings_of_one_expression_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folders Anger and angry are one expression; merge them"):
        read_sources(tree(tmp_path, "Anger/1.mp4", "angry/2.mp4", "sad/1.mp4"))


def test_numbers_are_no_class_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class folder 0 is a number"):
        read_sources(tree(tmp_path, "0/1.mp4", "1/2.mp4"))
    assert set(known(tmp_path, "videos").values()) == {Known()}


@pytest.mark.parametrize(
    "videos", [("a.mp4", "b.mp4"), ("one folder/a.mp4", "one folder/b.mp4"), ("a/b/c.mp4", "a/d/c.mp4", "e/f/g.mp4")]
)
def test_other_trees_have_no_labels(videos: tuple[str, ...], tmp_path: Path) -> None:
    sources = read_sources(tree(tmp_path, *videos))
    assert sources.layout == "videos"
    assert [source.known for source in sources.wanted] == [Known()] * len(videos)


def test_a_single_class_is_a_layout_if_asked_for(tmp_path: Path) -> None:
    assert known(tree(tmp_path, "sad/a.mp4"), "folder") == {"sad/a.mp4": Known("sad")}


def test_ravdess_by_its_names(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        "Video_Speech/Actor_12/01-01-06-01-02-01-12.mp4",  # 02 is there: the same picture
        "Video_Speech/Actor_12/02-01-06-01-02-01-12.mp4",
        "Video_Speech/Actor_03/01-01-02-01-02-01-03.mp4",  # 02 is not
        "Video_Song/Actor_03/02-02-08-01-02-01-03.mp4",
        "Actor_03/02-02-08-01-02-01-03.mp4",  # once more
        "Actor_03/03-01-01-01-01-01-03.mp4",
        "Actor_03/portrait.mp4",
        "Actor_03/02-01-09-01-01-01-03.mp4",  # no such emotion
    )
    sources = read_sources(root)
    assert sources.layout == "ravdess"
    assert known(root) == {
        "Actor_03/02-02-08-01-02-01-03.mp4": Known("surprise", subject="03"),
        "Video_Speech/Actor_03/01-01-02-01-02-01-03.mp4": Known("calm", subject="03"),
        "Video_Speech/Actor_12/02-01-06-01-02-01-12.mp4": Known("fear", subject="12"),
    }
    assert sources.unfit == {
        "Video_Speech/Actor_12/01-01-06-01-02-01-12.mp4": Unfit(
            "the picture of Video_Speech/Actor_12/02-01-06-01-02-01-12.mp4", by_rule=True
        ),
        "Video_Song/Actor_03/02-02-08-01-02-01-03.mp4": Unfit(
            "the picture of Actor_03/02-02-08-01-02-01-03.mp4", by_rule=True
        ),
        "Actor_03/03-01-01-01-01-01-03.mp4": Unfit("sound only, says its name", by_rule=True),
        "Actor_03/portrait.mp4": Unfit("not named as in RAVDESS"),
        "Actor_03/02-01-09-01-01-01-03.mp4": Unfit("not named as in RAVDESS"),
    }


def test_every_emotion_of_ravdess(tmp_path: Path) -> None:
    root = tree(tmp_path, *(f"Actor_01/02-01-0{code}-01-01-01-01.mp4" for code in range(1, 9)))
    labels = [one.label for one in known(root).values()]
    assert labels == ["neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"]


def test_crema_d_by_its_names(tmp_path: Path) -> None:
    bad = ("1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD")
    good = {"1001_DFA_ANG_XX": "angry", "1002_IEO_DIS_HI": "disgust", "1003_IEO_FEA_LO": "fear"}
    good |= {"1004_IEO_HAP_MD": "happy", "1005_DFA_NEU_XX": "neutral", "1040_ITH_SAD_X": "sad"}
    root = tree(tmp_path, *(f"VideoFlash/{name}.flv" for name in (*good, *bad)), "VideoMP4/1001_DFA_ANG_XX.mp4")
    sources = read_sources(root)
    assert sources.layout == "crema-d"
    assert known(root) == {
        f"VideoFlash/{name}.flv": Known(label, subject=name[:4]) for name, label in sorted(good.items())
    }
    assert sources.unfit == {f"VideoFlash/{name}.flv": Unfit("known to be bad", by_rule=True) for name in bad} | {
        "VideoMP4/1001_DFA_ANG_XX.mp4": Unfit("the picture of VideoFlash/1001_DFA_ANG_XX.flv", by_rule=True)
    }


def test_a_layout_that_nothing_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no video of the layout ravdess; fear/2\.mp4, for one: not named as in RAV"):
        read_sources(tree(tmp_path, "sad/1.mp4", "fear/2.mp4"), "ravdess")
    with pytest.raises(InputError, match="no layout 'dfew'; there are auto, ravdess, crema-d, folder, videos"):
        read_sources(tmp_path, "dfew")


def test_no_video_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no video \(mp4, avi"):
        find_videos(tree(tmp_path, "a.jpg"))


def test_links_are_followed_once(tmp_path: Path) -> None:
    tree(tmp_path / "far", "sad/1.mp4")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "near").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "sad" / "up").symlink_to(tmp_path / "root")
    assert find_videos(tmp_path / "root") == ["near/sad/1.mp4"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
def test_a_folder_without_rights_is_said(tmp_path: Path) -> None:
    tree(tmp_path, "sad/1.mp4", "fear/2.mp4")
    (tmp_path / "fear").chmod(0)
    with pytest.raises(InputError, match=r"cannot look into .*fear: Permission denied"):
        find_videos(tmp_path)
    (tmp_path / "fear").chmod(0o755)


def test_clip_names_are_plain_and_their_own() -> None:
    names = clip_names(["a/x.mp4", "a/x.MKV", "a.mp4", "faces.json.mp4", "-b %d.mp4", "c\n\\d .mp4", 'e,"é😀.mp4'])
    assert list(names.values()) == ["a/x-mp4", "a/x-mkv", "a-mp4", "faces.json-mp4", "-b %d", "c__d", 'e,"é😀']


def test_faces_beside_the_main_one_have_names_to_go_to() -> None:
    videos = ["s/a.mp4", "s/a-2.mp4", "s/b-2.mp4"]
    assert list(clip_names(videos, all_faces=True).values()) == ["s/a", "s/a-2-mp4", "s/b-2"]
    assert list(clip_names(videos).values()) == ["s/a", "s/a-2", "s/b-2"]


PART = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=4).filter(lambda name: name[0] not in ".@")


@given(st.lists(st.tuples(PART, PART, st.sampled_from([".mp4", ".avi"])), min_size=1, max_size=8), st.booleans())
def test_no_two_clips_meet_and_every_name_fits_a_line(parts: list[tuple[str, str, str]], deep: bool) -> None:
    videos = list(dict.fromkeys("/".join(of[:-1]) + of[-1] if deep else of[1] + of[2] for of in parts))
    names = list(clip_names(videos).values())
    assert len(set(names)) == len(videos)
    for name in names:
        assert name.strip() == name == posixpath.normpath(name)
        assert name.isprintable()
        assert "\\" not in name
        assert not any(other.startswith(name + "/") for other in names)
        assert not any(part[0] in ".@" for part in name.split("/"))
