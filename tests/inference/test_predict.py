"""``dfer predict``, by its command line."""

import csv
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.cli import main
from dfer.datasets.index import VIDEOS
from dfer.inference import Pipeline
from dfer.inference.predict import ENDINGS, find_videos
from dfer.notices import DRAWN, NO_MODEL
from dfer.types import InputSpec
from dfer.video import write_video
from dfer.video.crop import FaceGeometry
from dfer.video.whole_frame import WholeFrame

Run = Callable[..., int]


class Brightness:
    """Says happy of bright clips, sad of dark ones."""

    name = "brightness"
    input_spec = InputSpec(4, 16, ("happy", "sad", "angry"))
    temperature = 1.0
    sampling = "segments"
    about: dict[str, Any] = {"data": {"drawn": True}}  # noqa: RUF012
    details: dict[str, Any] = {"runtime": "numpy"}  # noqa: RUF012
    calls = 0

    def logits(self, clip: np.ndarray) -> np.ndarray:
        type(self).calls += 1
        light = clip.mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([8 * light, 8 * (1 - light), np.zeros_like(light)], axis=1).astype(np.float32)


class Blind:
    """Finds no face."""

    name = "blind"

    def __call__(self, frame: np.ndarray) -> list[Any]:
        return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every frame is a face, and a model that needs no file; what the pipeline is asked for is noted."""
    noted: list[dict[str, Any]] = []

    def load(model: Path, *, detector: str, **settings: Any) -> Pipeline:
        noted.append({"model": model, "detector": detector, **settings})
        for name in ("detector_model", "device", "precision"):
            settings.pop(name)
        return Pipeline(Brightness(), Blind() if detector == "cascade" else WholeFrame(), **settings)

    monkeypatch.setattr(Pipeline, "load", load)
    monkeypatch.setattr(Brightness, "calls", 0)
    return noted


@pytest.fixture
def run(asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def predict(*arguments: str | Path) -> int:
        out = [] if "--out" in arguments else ["--out", "out"]
        return main(["predict", "--model", "mine", *out, *map(str, arguments)])

    return predict


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, light: int = 220, seconds: float = 2.0) -> Path:
        write_video(tmp_path / name, [np.full((64, 96, 3), light, np.uint8)] * round(10 * seconds), 10)
        return tmp_path / name

    return write


def outputs(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_video_becomes_json_and_csv(
    run: Run, film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(film("a.mp4")) == 0
    assert outputs(tmp_path / "out") == {"a.json", "a.csv", "summary.json", "summary.csv"}
    told = json.loads((tmp_path / "out/a.json").read_text())
    assert {moment["label"] for moment in told["faces"][0]["moments"]} == {"happy"}
    assert told["notes"][0] == DRAWN
    rows = list(csv.DictReader((tmp_path / "out/a.csv").read_text().splitlines()))
    assert {row["label"] for row in rows} == {"happy"}
    printed, errors = capsys.readouterr()
    assert printed.splitlines() == [
        "a.mp4: 2.0 s, 1 face, longest happy (100 %): out/a.json",
        *told["notes"],
        "1 of 1 videos done; all of them: out/summary.csv",
    ]
    assert errors == ""


def test_drawings_and_pages_on_demand(run: Run, film: Callable[..., Path], tmp_path: Path) -> None:
    assert run(film("a.mp4"), "--annotate", "--report") == 0
    assert {"a.html", "a.annotated.mp4", "a.json", "a.csv"} < outputs(tmp_path / "out")
    page = (tmp_path / "out/a.html").read_text()
    assert DRAWN in page
    assert "<code>a.csv</code>" in page


def test_settings_reach_the_pipeline(run: Run, film: Callable[..., Path], asked: list[dict[str, Any]]) -> None:
    film("a.mp4")
    assert run("a.mp4") == 0
    told = "--window whole --step 0.25 --min-face 30 --min-seconds 0.1 --unsure 0.2 --smoothing 0.5 --device cpu"
    told += " --eye-distance 0.35 --eye-height 0.4"
    assert (
        run("a.mp4", *told.split(), *(["--precision", "bfloat16", "--detector", "cascade", "--detector-model", "m"]))
        == 0
    )
    usual = {"window": 2.0, "step": 0.5, "min_face": 48, "min_seconds": 0.5, "unsure": 0.4, "smoothing": 0.0}
    assert asked[0] == {
        "model": Path("mine"), "detector": "auto", "detector_model": None, "device": None, "precision": "float32",
        "geometry": None, **usual,
    }  # fmt: skip
    assert asked[1] == {
        "model": Path("mine"), "detector": "cascade", "detector_model": Path("m"), "device": "cpu",
        "precision": "bfloat16", "window": None, "step": 0.25, "min_face": 30, "min_seconds": 0.1, "unsure": 0.2,
        "smoothing": 0.5, "geometry": FaceGeometry(eye_distance=0.35, eye_height=0.4),
    }  # fmt: skip


@pytest.mark.parametrize("share", ["0", "1.5", "nan"])
def test_eyes_outside_the_picture(
    run: Run, film: Callable[..., Path], share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(film("a.mp4"), "--eye-height", share, "--eye-distance", "0.3") == 2
    assert f"eye_height {float(share)}: a fraction of the crop's side" in capsys.readouterr().err


def test_half_a_place_of_the_eyes(run: Run, film: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(film("a.mp4"), "--eye-height", "0.4") == 2
    assert "give both" in capsys.readouterr().err


def test_no_face_is_no_guess(
    run: Run, film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(film("a.mp4"), "--detector", "cascade") == 0
    assert "a.mp4: 2.0 s, no face: out/a.json" in capsys.readouterr().out
    told = json.loads((tmp_path / "out/a.json").read_text())
    assert (told["faces"], told["no_face"]) == ([], [[0.0, 2.0]])


def test_nothing_said_of_a_face(run: Run, film: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(film("a.mp4"), "--unsure", "1") == 0
    assert "a.mp4: 2.0 s, 1 face, nothing said: out/a.json" in capsys.readouterr().out


def test_a_bad_file_does_not_stop_the_others(
    run: Run, film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.mp4").write_bytes(b"")
    assert run(film("a.mp4"), "b.mp4", "gone.mp4", film("c.mp4", 10)) == 3
    printed, errors = capsys.readouterr()
    assert [line.split(":")[0] for line in printed.splitlines()[:2]] == ["a.mp4", "c.mp4"]
    assert "longest sad (100 %)" in printed
    assert "2 of 4 videos done, 2 failed" in printed
    assert errors.splitlines() == [
        "dfer: b.mp4 is empty (0 bytes); copy it again, or leave the clip out",
        "dfer: cannot read gone.mp4: No such file or directory",
    ]
    rows = list(csv.DictReader((tmp_path / "out/summary.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["done", "failed", "failed", "done"]
    assert "is empty" in rows[1]["error"]


@pytest.mark.slow
def test_every_odd_video(run: Run, odd_case: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if odd_case.name == "unreadable" and os.geteuid() == 0 and not odd_case.refused:
        pytest.skip("root reads everything")
    refused = "no video in" if odd_case.name == "folder" else odd_case.refused
    status = run("--annotate", "--", odd_case.path)
    printed, errors = capsys.readouterr()
    assert status == (3 if refused or odd_case.damage else 0)
    assert len(errors.splitlines()) == bool(refused)
    assert re.search(refused, errors)
    assert "fault" not in errors
    made = {name for name in outputs(tmp_path / "out") if not name.startswith("summary.")}
    assert len(made) == (0 if refused else 3)
    assert all(re.fullmatch(r"\w[\w.-]*", name) for name in made)
    if odd_case.damage:
        assert re.search(odd_case.damage, printed)
        assert "1 read in part" in printed
        (told,) = (json.loads((tmp_path / "out" / name).read_text()) for name in made if name.endswith(".json"))
        assert any(re.search(odd_case.damage, note) for note in told["notes"])
    if not refused:
        assert len(printed.splitlines()) == 2 + len(DRAWN_NOTES)


DRAWN_NOTES = (DRAWN, "Every frame was taken for a face, whole: none was looked for.")


def test_folders_are_searched_in_natural_order(
    run: Run, film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("day/10.mp4", "day/9.MP4", "day/deep/1.mov", "day/._9.mp4", "day/old.annotated.mp4"):
        film("x.mp4").rename((tmp_path / name).parent.mkdir(parents=True, exist_ok=True) or tmp_path / name)
    (tmp_path / "day/notes.txt").write_text("no video")
    (tmp_path / "none").mkdir()
    assert run("day", "day/9.MP4", "none", "--out", "day/out") == 3
    assert run("day", "--out", "day/out", "--annotate") == 0
    printed, errors = capsys.readouterr()
    assert [line.split(":")[0] for line in printed.splitlines()[:3]] == ["9.MP4", "10.mp4", "1.mov"]
    assert "3 of 4 videos done, 1 failed" in printed
    assert "no video in none; a video ends in " in errors
    assert len([name for name in outputs(tmp_path / "day/out") if name.endswith("annotated.mp4")]) == 3


def test_equal_names_do_not_meet(run: Run, film: Callable[..., Path], tmp_path: Path) -> None:
    film("x/a.mp4", 220), film("y/a.mp4", 10)
    assert run("x", "y") == 0
    found = json.loads((tmp_path / "out/summary.json").read_text())["files"]
    labels = {}
    for one in found:
        told = json.loads((tmp_path / "out" / f"{one['name']}.json").read_text())
        labels[Path(one["video"]).parent.name] = told["faces"][0]["moments"][0]["label"]
    assert labels == {"x": "happy", "y": "sad"}
    assert run("y") == 0  # alone it keeps its name
    assert len([name for name in outputs(tmp_path / "out") if name.endswith(".json")]) == 3


def test_what_is_done_is_not_done_again(
    run: Run, film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(*arguments: str) -> bool:
        capsys.readouterr()
        calls = Brightness.calls
        assert run("a.mp4", *arguments) == 0
        done = Brightness.calls > calls
        assert ("1 before; --overwrite does them again" in capsys.readouterr().out) is not done
        return done

    film("a.mp4")
    assert again()
    assert not again()
    assert again("--overwrite")
    assert again("--step", "1")
    assert again()  # the step is another one again
    assert again("--report")
    assert not again()
    (tmp_path / "out/a.csv").unlink()
    assert again()
    film("a.mp4", 10, 2.5)
    assert again()
    assert not again()
    assert json.loads((tmp_path / "out/a.json").read_text())["faces"][0]["moments"][0]["label"] == "sad"


def test_other_weights_are_another_model(run: Run, film: Callable[..., Path], tmp_path: Path) -> None:
    weights = tmp_path / "mine/checkpoints/best.safetensors"
    weights.parent.mkdir(parents=True)
    film("a.mp4")
    calls = []
    for content in (b"one", b"one", b"two"):
        weights.write_bytes(content)
        assert run("a.mp4") == 0
        calls.append(Brightness.calls)
    assert calls[0] == calls[1] < calls[2]


def test_damaged_is_not_done_again_but_said_again(
    run: Run, odd_video: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = odd_video("cut_in_mdat")
    assert run(path) == 3
    calls = Brightness.calls
    assert run(path) == 3
    assert Brightness.calls == calls
    assert capsys.readouterr().out.count("The video is damaged: cut off after") == 2


def test_one_json_object(run: Run, film: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    film("a.mp4")
    assert run("a.mp4", "gone.mp4", "--json") == 3
    printed, errors = capsys.readouterr()
    told = json.loads(printed)
    assert (told["out"], told["done"], told["damaged"], told["failed"], told["done_before"]) == ("out", 1, 0, 1, 0)
    assert told["notes"] == list(DRAWN_NOTES)
    first, second = told["files"]
    assert (first["state"], first["label"], first["faces"], first["outputs"]) == (
        "done",
        "happy",
        1,
        ["a.json", "a.csv"],
    )
    assert (second["state"], second["error"]) == ("failed", "cannot read gone.mp4: No such file or directory")
    assert "gone.mp4" in errors


def test_no_model_says_how_to_come_by_one(film: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(film("a.mp4"))]) == 2
    assert capsys.readouterr().err.strip() == f"dfer: {NO_MODEL}"


def test_bad_usage_leaves_nothing_behind(
    film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film("a.mp4")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "others").mkdir()
    (tmp_path / "others/thesis.json").write_text("precious")
    video, out = str(tmp_path / "a.mp4"), ["--out", str(tmp_path / "new")]
    for arguments, words in (
        ([video, "--model", str(tmp_path / "gone"), *out], "gone"),
        ([video, "--model", "m", "--out", str(tmp_path / "file")], "is a file; give a folder"),
        ([video, "--model", "m", "--out", str(tmp_path / "others")], "holds other files"),
        ([video, "--model", "m", "--window", "nan", *out], ""),
        ([video, "--model", "m", "--window", "some", *out], "some"),
        ([video, "--model", "m", "--detector", "eyes", *out], "eyes"),
        (["--model", "m"], "requires an argument"),
        (["-a.mp4", "--model", "m"], "-a.mp4"),
    ):
        assert main(["predict", *arguments]) == 2
        printed, errors = capsys.readouterr()
        assert printed == ""
        assert len(errors.splitlines()) == 1
        assert words in errors
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "others/thesis.json").read_text() == "precious"


def test_a_full_disk_stops_and_keeps_what_is_done(
    run: Run,
    film: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import dfer.runs

    film("a.mp4"), film("b.mp4"), film("c.mp4")
    real = os.fdopen

    def full(handle: int, mode: str, **more: Any) -> Any:
        if mode == "wb" and (tmp_path / "out/a.json").exists():
            os.close(handle)
            raise OSError(28, "No space left on device")
        return real(handle, mode, **more)

    monkeypatch.setattr(dfer.runs.os, "fdopen", full)
    assert run("a.mp4", "b.mp4", "c.mp4") == 2
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    assert "No space left on device" in errors
    assert "of 3 videos are done, the same command goes on" in errors
    assert "a.json" in outputs(tmp_path / "out")
    assert not [name for name in outputs(tmp_path / "out") if name.startswith(".")]
    monkeypatch.setattr(dfer.runs.os, "fdopen", real)
    assert run("a.mp4", "b.mp4", "c.mp4") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(
    run: Run, film: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film("a.mp4")
    (tmp_path / "shut").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    assert run("a.mp4", "--out", "shut/out") == 2
    assert "cannot write shut/out/summary.json: Permission denied" in capsys.readouterr().err


def test_interrupted_it_keeps_what_is_done(
    run: Run,
    film: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film("a.mp4"), film("b.mp4")
    real = Pipeline.__call__

    def interrupted(self: Pipeline, video: Path, **more: Any) -> Any:
        if Path(video).name == "b.mp4":
            raise KeyboardInterrupt
        return real(self, video, **more)

    monkeypatch.setattr(Pipeline, "__call__", interrupted)
    assert run("a.mp4", "b.mp4") == 130
    assert "interrupted; 1 of 2 videos are done, the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(Pipeline, "__call__", real)
    assert run("a.mp4", "b.mp4") == 0
    assert "2 of 2 videos done (1 before" in capsys.readouterr().out


def test_a_fault_of_ours_is_one_line_and_the_rest_goes_on(
    run: Run, film: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    film("a.mp4"), film("b.mp4")
    real = Pipeline.__call__

    def faulty(self: Pipeline, video: Path, **more: Any) -> Any:
        if Path(video).name == "a.mp4":
            raise ZeroDivisionError("division\nby zero")
        return real(self, video, **more)

    monkeypatch.setattr(Pipeline, "__call__", faulty)
    assert run("a.mp4", "b.mp4") == 3
    printed, errors = capsys.readouterr()
    assert errors.startswith("dfer: a.mp4: a fault in dfer (ZeroDivisionError: division by zero); DFER_DEBUG=1 shows")
    assert "b.mp4: 2.0 s" in printed
    monkeypatch.setenv("DFER_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("a.mp4")


def test_a_model_without_numbers_stops_all(
    run: Run, film: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    film("a.mp4"), film("b.mp4")
    monkeypatch.setattr(Brightness, "logits", lambda self, clip: np.full((len(clip), 3), np.nan, np.float32))
    assert run("a.mp4", "b.mp4") == 2
    assert "gives no numbers (NaN or infinite)" in capsys.readouterr().err


def test_the_same_file_twice_is_one(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film("a.mp4")
    (tmp_path / "b.mp4").symlink_to(path)
    found = find_videos([path, tmp_path / "b.mp4", tmp_path, tmp_path / "." / "a.mp4"], tmp_path / "out")
    assert [video.name for video, _ in found] == ["a.mp4"]


def test_help_and_usage_come_without_torch() -> None:
    code = "import sys, dfer.inference.predict; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_whatever_is_a_video_in_a_data_set_is_one_here() -> None:
    assert set(VIDEOS) <= ENDINGS


def test_progress_is_shown_on_a_terminal_alone(
    run: Run, film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda self: True))
    monkeypatch.setenv("TERM", "xterm")
    assert run(film("[red]a.mp4")) == 0
    printed, errors = capsys.readouterr()
    assert "looking at 1 of 1: [red]a.mp4" in errors
    assert printed.startswith("[red]a.mp4: 2.0 s, 1 face")
    assert "━" not in printed


def test_real_videos(test_data: Path, finished: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector = test_data / "models/blaze_face_short_range.tflite"
    videos = [test_data / "videos" / name for name in ("single_face.mp4", "no_face.mp4")]
    out = ["--out", str(tmp_path / "out"), "--detector-model", str(detector), "--annotate", "--report", "--unsure", "0"]
    assert main(["predict", *map(str, videos), "--model", str(finished.path), *out]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert re.match(r"single_face\.mp4: 2\.4 s, 1 face, longest (happy|sad|angry) \(\d+ %\): ", printed[0])
    assert printed[1].startswith("no_face.mp4: 4.0 s, no face: ")
    assert len(outputs(tmp_path / "out")) == 10
