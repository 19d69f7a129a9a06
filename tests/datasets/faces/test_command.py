import csv
import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets import CSVClips, FolderClips
from dfer.datasets.check.command import check
from dfer.datasets.faces.clips import CutSettings
from dfer.datasets.faces.command import faces, make_faces
from dfer.datasets.faces.record import read_faces
from dfer.datasets.synthetic.mark import is_drawn, mark_drawn
from dfer.errors import InputError, ItemError
from dfer.models import checkpoint
from dfer.runs import RunFolder
from dfer.training.fit import fit
from dfer.video.blaze_face import BlazeFace
from dfer.video.crop import FaceGeometry
from dfer.video.detect import Box, Face
from dfer.video.encode import write_video
from dfer.video.images import read_image
from dfer.video.whole_frame import WholeFrame

SETTINGS = CutSettings(min_seconds=0.1)


def write(path: Path, grey: int = 90, frames: int = 6) -> Path:
    write_video(path, [np.full((32, 32, 3), grey, np.uint8)] * frames)
    return path


def run(root: Path, out: Path, **more: Any) -> int:
    """Take whole frames for faces, in this process."""
    return make_faces(root, out, WholeFrame(), SETTINGS, workers=0, **more)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of five videos."""
    for name, grey in (("happy", 60), ("sad", 180)):
        for number in range(1, 6):
            write(tmp_path / "root" / name / f"{number}.mp4", grey + number)
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))  # a check leaves its findings where it runs


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_tree_of_classes_becomes_a_data_set(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, out) == 0
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        *("clips.csv", "dropped.csv", "faces.jpg", "faces.json", "happy", "sad")
    ]
    assert (out / "dropped.csv").read_text() == "video,reason,detail\n"
    assert [row["frames"] for row in rows(out / "clips.csv")] == ["6"] * 10
    about = read_faces(out)
    assert about is not None
    assert (about["detector"], about["layout"]) == ("whole_frame", "folder")
    assert "the first fifth of the clips" in about["split"]
    shown = capsys.readouterr()
    assert "layout folder, 10 videos, 2 labels: happy, sad" in shown.err
    assert f"train: dfer train csv/baseline --data.root {out}/clips.csv" in shown.out
    assert check("csv", out / "clips.csv", decode=True) == 0
    assert check("folder", out, decode=True) == 0
    for split in ("train", "test"):
        assert set(CSVClips(out / "clips.csv", split).clip_ids) == set(FolderClips(out, split).clip_ids)


def test_folders_train_and_test_stay(root: Path, out: Path) -> None:
    (root / "train").mkdir()
    (root / "happy").rename(root / "train/happy")
    (root / "sad").rename(root / "train/sad")
    write(root / "test/sad/1.mp4")
    write(root / "test/happy/1.mp4")
    assert run(root, out) == 0
    assert {row["clip"] for row in rows(out / "clips.csv") if row["split"] == "test"} == {"test/happy/1", "test/sad/1"}
    assert check("folder", out) == 0
    assert len(FolderClips(out, "train")) == len(CSVClips(out / "clips.csv", "train")) == 10


def test_videos_without_labels_have_frames_alone(tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "root/a.mp4")
    write(tmp_path / "root/day one/b.mp4")
    assert run(tmp_path / "root", out) == 0
    assert "2 videos without labels (frames alone, no clips.csv)" in capsys.readouterr().err
    assert not (out / "clips.csv").exists()
    assert len(list((out / "day one/b").iterdir())) == 6
    assert read_image(out / "faces.jpg").shape[2] == 3


def test_a_second_run_does_what_is_new_and_undoes_what_is_gone(root: Path, out: Path) -> None:
    run(root, out)
    kept = out / "happy/1/00001.jpg"
    before = kept.stat().st_mtime_ns
    (root / "sad/1.mp4").rename(root / "happy/6.mp4")
    write(root / "happy/2.mp4", frames=9)
    assert run(root, out) == 0
    assert kept.stat().st_mtime_ns == before
    assert not (out / "sad/1").exists()
    assert {row["clip"]: row["frames"] for row in rows(out / "clips.csv")} == {
        **{f"happy/{number}": "9" if number == 2 else "6" for number in range(1, 7)},
        **{f"sad/{number}": "6" for number in range(2, 6)},
    }
    assert check("folder", out) == 0


def test_bad_videos_do_not_stop_the_others(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "sad/empty.mp4").touch()
    (root / "sad/text\n.mp4").write_text("no video")
    write(root / "happy/short.mp4", frames=1)
    os.mkfifo(root / "sad/pipe.mp4")
    (root / "sad/gone.mp4").symlink_to(root / "nowhere")
    write(root / "loose.mp4")
    assert run(root, out) == 3
    found = {row["video"]: (row["reason"], row["detail"]) for row in rows(out / "dropped.csv")}
    assert found.pop("happy/short.mp4") == ("too short", "0.00 s")
    assert found.pop("loose.mp4") == ("misplaced", "not in a class folder of the root")
    assert {video: reason for video, (reason, _) in found.items()} == dict.fromkeys(
        ("sad/empty.mp4", "sad/gone.mp4", "sad/pipe.mp4", "sad/text\\n.mp4"), "unreadable"
    )
    assert "is empty (0 bytes)" in found["sad/empty.mp4"][1]
    shown = capsys.readouterr()
    assert f"dfer: 6 of 16 videos gave no clip; {out}/dropped.csv says why" in shown.err
    assert "4 without a clip, unreadable: sad/empty.mp4 (" in shown.out
    assert check("folder", out) == check("csv", out / "clips.csv") == 0
    write(root / "sad/empty.mp4")
    assert run(root, out) == 3
    assert "sad/empty" in {row["clip"] for row in rows(out / "clips.csv")}


def test_odd_videos_end_in_a_clip_or_in_one_line(
    odd_case: Any, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if odd_case.path.is_dir():
        pytest.skip("a folder is looked into, whatever its name")
    (tmp_path / "root/sad").mkdir(parents=True)
    suffix = odd_case.path.suffix if odd_case.path.suffix in (".mp4", ".mkv", ".avi", ".mov", ".webm") else ".mp4"
    (tmp_path / "root/sad" / f"odd{suffix}").symlink_to(odd_case.path)
    write(tmp_path / "root/fear/whole.mp4")
    found = run(tmp_path / "root", out)
    dropped = rows(out / "dropped.csv")
    assert found == (3 if dropped else 0)
    assert len(rows(out / "clips.csv")) + len(dropped) == 2
    assert (out / "dropped.csv").read_text().count("\n") == 1 + len(dropped)
    if odd_case.refused:
        assert [row["reason"] for row in dropped] == ["unreadable"]


def test_nothing_but_bad_videos_is_an_error(tmp_path: Path, root: Path, out: Path) -> None:
    run(root, out)
    for path in root.rglob("*.mp4"):
        path.write_text("no video")
    with pytest.raises(ItemError, match=r"none of 10 videos gave a clip; .*dropped\.csv says why"):
        run(root, out)
    assert not (out / "clips.csv").exists()
    assert not (out / "sad").exists()


def test_ravdess_is_split_by_actor(tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for actor in range(1, 6):
        for name in ("01-01-03-01-01-01", "02-01-03-01-01-01", "01-01-04-01-01-01"):
            write(tmp_path / f"root/Actor_{actor:02d}/{name}-{actor:02d}.mp4", 40 * actor)
    assert run(tmp_path / "root", out) == 0
    assert "layout ravdess, 10 videos of 5 actors, 2 labels: happy, sad" in capsys.readouterr().err
    listed = rows(out / "clips.csv")
    assert [row["label"] for row in listed if row["subject"] == "02"] == ["sad", "happy"]
    assert len({row["subject"] for row in listed if row["split"] == "test"}) == 1
    assert {row["reason"] for row in rows(out / "dropped.csv")} == {"left out"}
    assert check("csv", out / "clips.csv") == 0
    groups = CSVClips(out / "clips.csv", "train").groups()
    assert groups is not None
    assert len(set(groups)) == 4


def test_crema_d_names_what_it_leaves_out(tmp_path: Path, out: Path) -> None:
    for name in ("1001_DFA_ANG_XX", "1002_DFA_HAP_XX", "1076_MTI_SAD_XX"):
        write(tmp_path / f"{name}.mp4").rename(tmp_path / f"{name}.flv")
    (tmp_path / "root").mkdir()
    for path in tmp_path.glob("*.flv"):
        path.rename(tmp_path / "root" / path.name)
    assert run(tmp_path / "root", out) == 0
    assert rows(out / "dropped.csv") == [
        {"video": "1076_MTI_SAD_XX.flv", "reason": "left out", "detail": "known to be bad"}
    ]
    assert sorted(row["split"] for row in rows(out / "clips.csv")) == ["test", "train"]


@pytest.mark.parametrize("place", ["root", "root/sub", "root/sad/clips"])
def test_clips_never_go_among_the_videos(place: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lies within the videos .*root; name a folder elsewhere"):
        run(root, tmp_path / place)


def test_a_folder_with_something_else_is_left_alone(root: Path, out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"is not empty \(thesis.txt\) and not of this command"):
            run(root, out, overwrite=overwrite)
    with pytest.raises(InputError, match=r"thesis.txt is a file; name a new folder"):
        run(root, out / "thesis.txt")
    with pytest.raises(InputError, match=r"does not exist; give the folder"):
        faces(root / "nowhere", out)
    with pytest.raises(InputError, match="size 0: a crop has at least 1 pixel"):
        faces(root, out.with_name("new"), size=0)
    with pytest.raises(InputError, match="workers -1: give 0 or more"):
        make_faces(root, out.with_name("new"), WholeFrame(), SETTINGS, workers=-1)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_other_videos_are_not_mixed_in(root: Path, out: Path, tmp_path: Path) -> None:
    run(root, out)
    write(tmp_path / "others/a.mp4")
    write(tmp_path / "others/b/c.mp4")
    with pytest.raises(InputError, match=r"holds the clips of other videos \(happy/1\.mp4, for one\) than .*others"):
        run(tmp_path / "others", out)
    assert (out / "sad/1").is_dir()
    assert run(tmp_path / "others", out, overwrite=True) == 0
    assert not (out / "sad").exists()


class Stopping:
    """Finds the same face in every frame; is stopped by hand at one of them."""

    name = "stopping"

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: np.ndarray) -> list[Face]:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return [Face(Box(0, 0, 32, 32), 0.9, np.array([[10.0, 14.0], [22.0, 14.0]]))]


def test_stopped_by_hand_it_goes_on_later(root: Path, out: Path) -> None:
    settings = CutSettings(FaceGeometry(size=32), min_face=0, min_seconds=0.1)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted after 3 of 10 videos .*; the same command goes on"):
        make_faces(root, out, Stopping(at=20), settings, workers=0)
    assert sorted(path.name for path in (out / "happy").iterdir()) == ["1", "2", "3"]
    assert [path.name for path in (out / ".dfer").iterdir() if path.is_dir()] == []
    assert not (out / "clips.csv").exists()
    with pytest.raises(KeyboardInterrupt, match=r"interrupted after 5 of 10 videos \(3 of them done before\)"):
        make_faces(root, out, Stopping(at=15), settings, workers=0)
    stamp = (out / "happy/1").stat().st_mtime_ns
    assert make_faces(root, out, Stopping(at=0), settings, workers=0) == 0
    assert (out / "happy/1").stat().st_mtime_ns == stamp
    assert len(rows(out / "clips.csv")) == 10


COMMAND = [sys.executable, "-m", "dfer.cli", "data", "faces"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_killed_midway_leaves_whole_clips_and_no_process(
    number: signal.Signals, tmp_path: Path, out: Path
) -> None:
    for place in range(4):
        write(tmp_path / f"root/{('sad', 'fear')[place % 2]}/{place}.mp4", 40 * place, frames=6 if place == 0 else 2000)
    command = [*COMMAND, str(tmp_path / "root"), str(out), "--detector", "whole_frame", "--min-seconds", "0.1"]
    running = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits none
    )
    until = time.monotonic() + 120
    while not (out / ".dfer/faces.jsonl").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
    _, said = running.communicate(timeout=60)
    if number == signal.SIGINT:
        assert running.returncode == 130
        assert [line for line in said.splitlines() if "of 4 videos" in line] == [said.splitlines()[-1]]
        assert not (out / ".dfer/cutting").exists()
    until = time.monotonic() + 30
    while True:  # its processes end with it
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until
        time.sleep(0.05)
    for clip in [*out.glob("sad/*"), *out.glob("fear/*")]:
        assert len(list(clip.iterdir())) in (6, 2000)
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert sorted(row["frames"] for row in rows(out / "clips.csv")) == ["2000", "2000", "2000", "6"]
    assert not (out / ".dfer/cutting").exists()


def test_a_model_knows_how_its_faces_were_cut(root: Path, out: Path, tmp_path: Path, options: list[str]) -> None:
    make_faces(root, out, Stopping(at=0), CutSettings(FaceGeometry(size=48), min_face=0, min_seconds=0.1), workers=0)
    for recipe, data in (("csv/baseline", out / "clips.csv"), ("folder/baseline", out)):
        place = tmp_path / "runs" / recipe
        more = ["--trainer.max_epochs", "1", "--data.root", str(data), "--data.protocol", "paper"]
        folder = fit([recipe, *options[1:], *more], out=place)
        known = checkpoint.load(folder.checkpoint()).about["data"]["faces"]
        assert known == read_faces(out) == folder.read_manifest()["data"]["faces"]
        assert known["geometry"] == FaceGeometry(size=48).to_dict()
        assert known["detector"] == "stopping"


def test_faces_are_cut_as_prediction_cuts_them_unless_told_otherwise() -> None:
    parameters = inspect.signature(faces).parameters
    assert {name: parameters[name].default for name in FaceGeometry().to_dict()} == FaceGeometry().to_dict()


def test_clips_of_drawn_videos_are_drawn(root: Path, out: Path) -> None:
    mark_drawn(root, preset="wild")
    assert run(root, out) == 0
    assert is_drawn(out / "clips.csv")
    assert check("folder", out) == check("csv", out / "clips.csv") == 0
    other = root.with_name("other")
    for name in ("happy", "sad"):
        write(other / name / "1.mp4")
        write(other / name / "2.mp4")
    assert run(other, out, overwrite=True) == 0
    assert not is_drawn(out)


def test_of_other_data_nothing_is_known(finished: RunFolder) -> None:
    assert checkpoint.load(finished.checkpoint()).about["data"]["faces"] is None


def test_real_faces(test_data: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label, name in (("happy", "single_face"), ("sad", "WolfgangLanger_Pexels"), ("neutral", "no_face")):
        (tmp_path / "root" / label).mkdir(parents=True)
        (tmp_path / "root" / label / f"{name}.mp4").symlink_to(test_data / "videos" / f"{name}.mp4")
    model = test_data / "models/blaze_face_short_range.tflite"
    assert faces(tmp_path / "root", out, detector_model=model, size=112, workers=0) == 3
    counts = {row["clip"]: int(row["frames"]) for row in rows(out / "clips.csv")}
    assert counts["happy/single_face"] >= 0.95 * 72
    assert counts["sad/WolfgangLanger_Pexels"] >= 0.95 * 472
    assert rows(out / "dropped.csv") == [{"video": "neutral/no_face.mp4", "reason": "no face", "detail": ""}]
    names = sorted(path.name for path in (out / "sad/WolfgangLanger_Pexels").iterdir())
    assert names == [f"{number:05d}.jpg" for number in range(1, len(names) + 1)]
    eyes = find_eyes(model, out / "happy/single_face")
    half, height = FaceGeometry.eye_distance / 2, FaceGeometry.eye_height
    assert np.abs(eyes / 112 - [[0.5 - half, height], [0.5 + half, height]]).max() < 0.04
    with pytest.raises(InputError, match=r"other settings \(size 112, now 224\)"):
        faces(tmp_path / "root", out, detector_model=model, workers=0)


def find_eyes(model: Path, clip: Path) -> np.ndarray:
    """Look for the eyes again, in the middle frame of a clip."""
    frames = sorted(clip.iterdir())
    picture = np.pad(read_image(frames[len(frames) // 2]), ((56, 56), (56, 56), (0, 0)))
    with BlazeFace(model) as detector:
        return detector(picture)[0].eyes - 56
