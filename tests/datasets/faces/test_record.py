import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets.faces.clips import Clip, Cut, CutSettings
from dfer.datasets.faces.record import FaceRecord, describe, read_faces
from dfer.datasets.faces.sources import Known, Source
from dfer.errors import InputError
from dfer.video.cascade import CascadeFaces
from dfer.video.crop import FaceGeometry
from dfer.video.whole_frame import WholeFrame

SOURCE = Source("sad/a.mp4", "sad/a", Known("sad"))
CUT = Cut((Clip("sad/a", 3, 60.0),))


def about(**settings: Any) -> dict[str, Any]:
    return describe("folder", CascadeFaces(), None, CutSettings(**settings))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/sad").mkdir(parents=True)
    (tmp_path / "root/sad/a.mp4").write_bytes(b"video")
    return tmp_path / "root"


@pytest.fixture
def out(tmp_path: Path, root: Path) -> Path:
    """One video is done, its clip there."""
    out = tmp_path / "out"
    with FaceRecord(out, root) as record:
        record.start(about(), overwrite=False)
        (out / "sad/a").mkdir(parents=True)
        (out / "sad/a/00001.jpg").write_bytes(b"jpeg")
        record.add(SOURCE, record.stamp(SOURCE), CUT)
    return out


def test_what_is_done_is_found_again(root: Path, out: Path) -> None:
    with FaceRecord(out, root) as record:
        assert record.videos == {"sad/a.mp4"}
        assert record.find(SOURCE) == CUT


def change_size(root: Path, out: Path) -> None:
    (root / "sad/a.mp4").write_bytes(b"another video")


def change_time(root: Path, out: Path) -> None:
    os.utime(root / "sad/a.mp4", (1, 1))


def remove_video(root: Path, out: Path) -> None:
    (root / "sad/a.mp4").unlink()


def remove_clip(root: Path, out: Path) -> None:
    (out / "sad/a/00001.jpg").unlink()
    (out / "sad/a").rmdir()


@pytest.mark.parametrize("change", [change_size, change_time, remove_video, remove_clip])
def test_what_has_changed_is_not_done(change: Callable[[Path, Path], None], root: Path, out: Path) -> None:
    change(root, out)
    with FaceRecord(out, root) as record:
        assert record.find(SOURCE) is None


def test_another_name_for_the_clip_is_not_done(root: Path, out: Path) -> None:
    with FaceRecord(out, root) as record:
        assert record.find(SOURCE._replace(clip="sad/a-mp4")) is None


def test_what_could_not_be_read_is_tried_again_but_no_face_is_not(root: Path, out: Path) -> None:
    with FaceRecord(out, root) as record:
        for cut, expected in ((Cut((), "no face"), Cut((), "no face")), (Cut((), "unreadable", "why"), None)):
            record.add(SOURCE, record.stamp(SOURCE), cut)
            assert record.find(SOURCE) == expected


def test_a_torn_line_harms_no_other(root: Path, out: Path) -> None:
    path = out / ".dfer/faces.jsonl"
    path.write_text(path.read_text() + '\n{"video": "sad/b')
    other = SOURCE._replace(video="sad/c.mp4", clip="sad/c")
    with FaceRecord(out, root) as record:
        record.add(other, record.stamp(other), Cut((), "no face"))
    with FaceRecord(out, root) as record:
        assert record.videos == {"sad/a.mp4", "sad/c.mp4"}
        assert record.find(SOURCE) == CUT


def test_what_was_left_half_is_thrown_away(root: Path, out: Path) -> None:
    (out / ".dfer/cutting/3/1").mkdir(parents=True)
    (out / ".dfer/cutting/3/1/00001.jpg").write_bytes(b"jpeg")
    with FaceRecord(out, root):
        assert not (out / ".dfer/cutting").exists()


def test_a_forgotten_video_takes_its_clips_and_empty_folders_along(root: Path, out: Path) -> None:
    (out / "fear").mkdir()
    with FaceRecord(out, root) as record:
        record.forget("sad/a.mp4")
        assert record.videos == frozenset()
    assert sorted(path.name for path in out.iterdir()) == [".dfer", "faces.json", "fear"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"min_face": 20}, r"min_face 48, now 20"),
        ({"geometry": FaceGeometry(size=112)}, r"size 224, now 112"),
        ({"all_faces": True}, r"all_faces False, now True"),
    ],
)
def test_other_settings_are_refused_unless_all_is_cut_again(
    other: dict[str, Any], words: str, root: Path, out: Path
) -> None:
    with FaceRecord(out, root) as record:
        with pytest.raises(InputError, match=rf"holds clips cut with other settings \({words}\); .* --overwrite"):
            record.start(about(**other), overwrite=False)
        assert (out / "sad/a/00001.jpg").is_file()
        record.start(about(**other), overwrite=True)
        assert record.videos == frozenset()
    assert not (out / "sad").exists()
    assert read_faces(out) == about(**other)


def test_another_detector_or_layout_is_another_setting(root: Path, out: Path) -> None:
    with FaceRecord(out, root) as record:
        with pytest.raises(InputError, match=r"\(detector cascade, now whole_frame\)"):
            record.start(describe("folder", WholeFrame(), None, CutSettings()), overwrite=False)
        with pytest.raises(InputError, match=r"\(layout folder, now videos\)"):
            record.start(about() | {"layout": "videos"}, overwrite=False)
        record.start(about() | {"versions": {"dfer": "0.0"}}, overwrite=False)


def test_two_runs_at_once_are_refused(root: Path, out: Path) -> None:
    with FaceRecord(out, root), pytest.raises(InputError, match=r"another run writes to .*out"), FaceRecord(out, root):
        pass
    with FaceRecord(out, root):
        pass


def test_a_folder_that_cannot_be_written_to_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = FaceRecord(tmp_path / "file/out", root)
    with pytest.raises(InputError, match=r"cannot write .*file/out: Not a directory"), record:
        pass


def test_training_reads_how_clips_were_cut(out: Path, tmp_path: Path) -> None:
    assert read_faces(out) == read_faces(out / "clips.csv") == about()
    assert about()["geometry"] == FaceGeometry().to_dict()
    assert about()["detector"] == "cascade"
    assert "scikit-image" in about()["versions"]
    assert read_faces(tmp_path / "root") is None
    assert "geometry" not in describe("folder", WholeFrame(), None, CutSettings())


def test_the_detectors_model_counts_by_its_content(tmp_path: Path) -> None:
    models = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    for path, content in zip(models, (b"a", b"a", b"b")):
        path.write_bytes(content)
    one, two, three = (describe("folder", CascadeFaces(), path, CutSettings()) for path in models)
    assert one == two != three
    with pytest.raises(InputError, match=r"cannot read the face detector .*four: No such file"):
        describe("folder", CascadeFaces(), tmp_path / "four", CutSettings())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        json.dumps({"format": 99, "detector": "cascade"}),
        json.dumps({"format": 1}),
        json.dumps({"format": 1, "detector": "cascade", "geometry": {"size": 224}}),
        json.dumps({"format": 1, "detector": "cascade", "geometry": None}),
    ],
)
def test_a_damaged_description_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "faces.json").write_text(content)
    with pytest.raises(InputError, match=r"faces\.json is damaged or of another version; make the clips again"):
        read_faces(tmp_path)
