import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.datasets import DFEW, CSVClips, FERV39k, FolderClips, SyntheticFaces
from dfer.datasets.check.command import check, index
from dfer.datasets.dfew import set_path
from dfer.datasets.packed.command import cache
from dfer.errors import InputError


@pytest.fixture
def found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Checks a data set; gives status, findings as JSON, and the written list."""
    out = tmp_path / "wrong.txt"

    def run(name: str, root: Path, **options: Any) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        status = check(name, root, out=out, json=True, **options)
        return status, json.loads(capsys.readouterr().out), out.read_text() if out.exists() else ""

    return run


def test_whole_data_sets_pass(trees: Any, found: Any) -> None:
    file = trees.csv("clip,label,split\na,sad,train\nb,happy,test\n")
    for name, root in [("dfew", trees.dfew()), ("ferv39k", trees.ferv39k()), ("folder", trees.folder()), ("csv", file)]:
        status, said, written = found(name, root, decode=True)
        assert (status, said["problems"], said["right"], written) == (0, [], True, ""), name
        assert "what to leave out" not in said["files"]
        assert all(sum(part["counts"]) for part in said["sets"].values())


def test_what_a_person_reads(trees: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trees.dfew()
    assert check("DFEW", root, out=tmp_path / "x.txt") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"DFEW in {root}: nothing is wrong, but it is not as published"
    assert "Hap" in said[1]
    assert len(said) < 20  # ten sets do not scroll
    assert any(line.split()[:4] == ["fold", "5", "test", "2/489"] for line in said)  # as published, where it differs
    assert max(map(len, said[1:12])) < 80
    assert "70 clips, 210 frames on disk (frames)" in said
    assert "note: clips with fewer than 16 frames, which are repeated in order: 70" in said
    assert "not looked for: unreadable frames (--decode), similar pictures (--similar)" in said
    assert said[-1].startswith(f"see {tmp_path / 'x.svg'} (classes and lengths)")


def test_it_goes_on_past_bad_lines_and_lists_them_all(trees: Any, found: Any) -> None:
    root = trees.dfew()
    train = set_path(root, "train", 2)
    train.write_text(train.read_text() + "9001,9\n9002,gloomy\nnonsense\n")
    status, said, written = found("dfew", root)
    places = [Path(problem["where"]).name for problem in said["problems"]]
    assert status == 3
    assert {problem["clip_id"] for problem in said["problems"]} == {"09001", "09002", ""}
    assert all(problem["kind"] == "wrong lines in the annotation" for problem in said["problems"])
    assert {"set_2.csv:58", "set_2.csv:59", "set_2.csv:60"} <= set(places)
    assert "09001\t" in written
    assert f"# {train}:60: 'nonsense'" in written


def test_shared_clips_and_clips_of_no_test_fold(trees: Any, found: Any) -> None:
    root = trees.dfew()
    with set_path(root, "train", 1).open("a") as file:
        file.write("1,2\n")
    test = set_path(root, "test", 5)
    lines = test.read_text().splitlines()
    moved = int(lines[-1].split(",")[0])
    test.write_text("\n".join(lines[:-1]) + "\n")
    with set_path(root, "test", 2).open("a") as file:
        file.write("1,2\n")
    status, said, _ = found("dfew", root)
    reasons = {(problem["clip_id"], problem["reason"]) for problem in said["problems"]}
    assert status == 3
    assert reasons == {
        ("00001", "in fold 1 train and in fold 1 test"),
        ("00001", "in fold 1 test and in fold 2 test"),
        ("00001", "in fold 2 train and in fold 2 test"),
        (f"{moved:05d}", "in the test set of no fold"),
    }


def test_files_that_cannot_be_read_at_all(trees: Any, found: Any) -> None:
    root = trees.dfew()
    set_path(root, "test", 3).unlink()
    path = set_path(root, "train", 4)
    path.write_text(path.read_text().replace("video_name,label\n", ""))
    zero = set_path(root, "train", 5)
    zero.write_text("video_name,label\n1,0\n")
    status, said, _ = found("dfew", root)
    text = " ".join(problem["reason"] for problem in said["problems"])
    assert status == 3
    for part in ("set_3.csv not found", "where the header 'video_name,label' belongs", "these labels are 0-based"):
        assert part in text


def test_what_is_missing_empty_or_unreadable_and_the_list_as_exclude(trees: Any, found: Any, tmp_path: Path) -> None:
    root = trees.dfew(frames=6)
    clips = root / "Clip/clip_224x224"
    (clips / "00003").rename(tmp_path / "gone")
    for frame in (clips / "00004").iterdir():
        frame.unlink()
    for number in (1, 2, 3):
        (clips / f"00005/00005_{number:05d}.jpg").write_bytes(b"")
    (clips / "00006/00006_00001.jpg").write_bytes(b"")
    status, said, _ = found("dfew", root)
    assert status == 3
    assert {problem["clip_id"] for problem in said["problems"]} == {"00003", "00004"}
    status, said, written = found("dfew", root, decode=True)
    reasons = {problem["clip_id"]: problem["reason"] for problem in said["problems"]}
    assert set(reasons) == {"00003", "00004", "00005"}
    assert reasons["00003"] == "not on disk"
    assert reasons["00004"] == "without a frame in its folder"
    assert "3 of 6 frames unreadable" in reasons["00005"]
    assert "(00005_00001.jpg to 00005_00003.jpg)" in reasons["00005"]
    assert "# unreadable frames, whose neighbours stand in: 1, in 00006" in written
    assert said["unreadable"]["00006"]["unreadable"] == ["00006_00001.jpg"]
    for fold in (1, 2, 3, 4, 5):
        data = DFEW(root, "train", fold, exclude=tmp_path / "wrong.txt")
        assert not {"00003", "00004", "00005"} & set(data.clip_ids)
        assert all(data[row].clip.shape[0] == 16 for row in range(len(data)))


def test_ferv39k(trees: Any, found: Any, tmp_path: Path) -> None:
    root = trees.ferv39k()
    path = root / "4_setups/All_scenes/test_All.csv"
    path.write_text(path.read_text() + "Action/Sad/0100 Sad\nAction/Sad/9 Gloomy\nAction/Sad/8 3\nWar/Fear/1 Fear\n")
    status, said, _ = found("ferv39k", root)
    assert status == 3
    assert {problem["clip_id"] for problem in said["problems"]} == {
        "Action/Sad/0100", "Action/Sad/9", "Action/Sad/8", "War/Fear/1",
    }  # fmt: skip
    assert len(FERV39k(root, "test", exclude=tmp_path / "wrong.txt")) == 7
    path.write_text("clip label\n" + path.read_text())
    assert "a header" in found("ferv39k", root)[1]["problems"][0]["reason"]


def test_folder_and_csv(trees: Any, found: Any, tmp_path: Path) -> None:
    root = trees.folder()
    (root / "anger" / "fake.mp4").write_text("text")
    status, said, _ = found("folder", root)
    assert (status, [problem["clip_id"] for problem in said["problems"]]) == (3, ["anger/fake.mp4"])
    assert sum(len(FolderClips(root, split, exclude=tmp_path / "wrong.txt")) for split in ("train", "test")) == 10
    file = trees.csv("clip,label,split\na,sad,train\na,sad,test\nb,happy,val\nc,happy,train\nd,sad,train\n")
    status, said, _ = found("csv", file)
    assert status == 3
    assert {problem["clip_id"] for problem in said["problems"]} == {"a", "b", "d"}
    assert CSVClips(file, "train", exclude=tmp_path / "wrong.txt").clip_ids == ("c",)


def test_a_list_is_written_here_unless_told_otherwise(
    trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = trees.folder()
    (root / "anger" / "[empty]").mkdir()
    trees.clip(root / "[/bold]" / "c", ["1.jpg"])
    assert check("folder", root) == 3
    assert "anger/[empty]\t" in (tmp_path / "check-FolderClips.txt").read_text()
    said = capsys.readouterr().out
    assert "1 thing is wrong; clips to leave out: 2" in said
    assert "WRONG clips without a frame in its folder: 2 (" in said
    assert "anger/[empty]" in said


def test_all_kinds_of_sharing_at_once(trees: Any, found: Any, tmp_path: Path) -> None:
    root = trees.folder(splits=("train", "test"), clips=2)
    for number, clip in enumerate(sorted(root.rglob("clip *"))):
        for frame in (1, 2, 3):
            faces = np.random.default_rng([number, frame]).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(faces).save(clip / f"{frame}.png")
    one, other = root / "train/anger/clip 0", root / "test/anger/clip 0"
    shutil.rmtree(other)
    shutil.copytree(one, other)  # the same bytes
    one, other = root / "train/anger/clip 1", root / "test/anger/clip 1"
    shutil.copy(one / "1.png", other / "4.png")  # a frame of four
    assert cache("folder", root, size=16, workers=1) == 0
    status, said, written = found("folder", root, decode=True, similar=True)
    assert status == 3
    assert [(problem["kind"], problem["clip_id"]) for problem in said["problems"]] == [
        ("clips with the same bytes on both sides", "train/anger/clip 0")
    ]
    assert "train/anger/clip 0\tthe same bytes as test/anger/clip 0" in written
    assert said["shared_frames"][0]["clips"] == ["test/anger/clip 1", "train/anger/clip 1"]
    assert said["not_looked_for"] == {}
    assert any("all its checksums right" in note for note in said["notes"])
    again = (tmp_path / "wrong.json").read_text()
    found("folder", root, decode=True, similar=True)
    assert (tmp_path / "wrong.json").read_text() == again
    found("folder", root)
    assert len(FolderClips(root, "train", exclude=tmp_path / "wrong.txt")) == 3


def test_a_sheet_of_similar_pictures(tmp_path: Path, trees: Any, found: Any) -> None:
    drawn = SyntheticFaces("train", size=64, clips=2, cache=False)
    file = trees.csv("clip,label,split\na,sad,train\nb,sad,test\n", ["c"])
    for name, quality in (("a", 95), ("b", 60)):
        (file.parent / name).mkdir()
        for number, frame in enumerate(drawn.read(0, np.arange(3))):
            Image.fromarray(np.asarray(frame)).save(file.parent / name / f"{number}.jpg", quality=quality)
    status, said, _ = found("csv", file, similar=True)
    assert status == 0  # a person must look
    assert said["similar"]["on both sides"] == 1
    with Image.open(tmp_path / "wrong-similar.jpg") as sheet:
        assert sheet.width > 500


def test_where_nothing_can_be_written_all_is_said(
    trees: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trees.folder()
    (root / "anger" / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / "wrong.txt"
    with pytest.raises(InputError, match=r"cannot write .*wrong.txt: File exists; free or choose another folder"):
        check("folder", root, out=out)
    said = capsys.readouterr().out
    assert "1 thing is wrong" in said
    assert "anger/empty\twithout a frame in its folder\n" in said
    assert str(out) not in said
    with pytest.raises(InputError, match="cannot write"):
        check("folder", root, out=out, json=True)
    assert json.loads(capsys.readouterr().out)["problems"][0]["clip_id"] == "anger/empty"


def test_another_kind_of_media(trees: Any, found: Any) -> None:
    root = trees.dfew()
    trees.clip(root / "Clip/clip_224x224_16f/00001", ["1.jpg"])
    assert found("dfew", root)[1]["media"] == "frames"
    status, said, _ = found("dfew", root, media="frames16")
    assert (status, said["media"], said["on_disk"]["clips"]) == (3, "frames16", 1)
    with pytest.raises(InputError, match="DFEW has no media 'films'; choose one of frames, frames16, video"):
        check("dfew", root, media="films")
    with pytest.raises(InputError, match="FolderClips has no media 'frames'; leave the option out"):
        check("folder", trees.folder(), media="frames")


def test_wrong_questions(trees: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean DFEW"):
        check("dfe", trees.dfew())
    with pytest.raises(InputError, match="does not exist"):
        check("dfew", tmp_path / "nowhere")
    with pytest.raises(InputError, match="clip_224x224 not found; the root holds"):
        check("dfew", trees.folder())
    with pytest.raises(InputError, match="fewer than 0 frames; give at least 1"):
        check("dfew", trees.dfew(), frames=0)


def test_every_kind_of_media_is_indexed(trees: Any, capsys: pytest.CaptureFixture[str]) -> None:
    root = trees.dfew()
    trees.clip(root / "Clip/clip_224x224_16f/00001", ["1.jpg"])
    assert index("dfew", root) == 0
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "70 clips, 210 frames",
        "1 clips, 1 frames",
    ]
    assert [len(DFEW.survey(root, media).index.clips) for media in ("frames", "frames16")] == [70, 1]
