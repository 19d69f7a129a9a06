import os
import signal
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfer.errors import InputError
from dfer.experiments.execute import damage, execute, make, state, unique
from dfer.experiments.plan import Planned
from dfer.runs import RunFolder
from dfer.transforms.corrupt import Corruption


def planned(store: Path, *arguments: str, key: str = "k", seed: int = 0, row: str = "r") -> Planned:
    return Planned(row, seed, None, ("base", *arguments, f"--seed_everything={seed}"), key, store)


def test_a_finished_run_is_kept(tmp_path: Path, runner: Any) -> None:
    run = planned(tmp_path)
    first, second = runner(), runner()
    assert make(run, first) is None
    assert state(run.folder) == "done"
    assert make(run, second) is None
    assert (len(first.made), len(second.made)) == (1, 0)


def test_a_shared_run_is_made_once(tmp_path: Path, runner: Any) -> None:
    runs = [planned(tmp_path, row="a"), planned(tmp_path, row="b"), planned(tmp_path, key="l")]
    assert [run.row for run in unique(runs)] == ["a", "r"]
    fake = runner()
    execute(runs, fake, {})
    assert len(fake.made) == 2


def test_an_interrupted_run_goes_on(tmp_path: Path, runner: Any) -> None:
    run = planned(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        make(run, runner(stop_at=0))
    assert state(run.folder) == "interrupted"
    again = runner()
    make(run, again)
    assert again.resumed == [True]


def test_a_run_killed_before_its_first_epoch_starts_afresh(tmp_path: Path, runner: Any) -> None:
    run = planned(tmp_path)
    run.folder.write_manifest({"state": "running"})
    (run.folder.path / "rubbish").touch()
    fake = runner()
    make(run, fake)
    assert fake.resumed == [False]
    assert not (run.folder.path / "rubbish").exists()


def test_a_run_without_predictions_is_only_evaluated(tmp_path: Path, runner: Any) -> None:
    run = planned(tmp_path)
    run.folder.write_manifest({"state": "finished"})
    assert state(run.folder) == "to evaluate"
    fake = runner()
    make(run, fake)
    assert fake.resumed == [True]


@pytest.mark.parametrize("written", ["[]", "{", ""])
def test_a_damaged_manifest_is_a_failed_run(tmp_path: Path, written: str) -> None:
    run = planned(tmp_path)
    run.folder.path.mkdir()
    run.folder.manifest.write_text(written)
    assert state(run.folder) == "failed"


def test_a_failed_run_does_not_stop_the_others(tmp_path: Path, runner: Any) -> None:
    runs = [planned(tmp_path, "--fail=plainly", key="a"), planned(tmp_path, "--fail=badly", key="b"), planned(tmp_path)]
    failures: dict[Path, str] = {}
    execute(runs, runner(), failures)
    plain, bad = failures[runs[0].folder.path], failures[runs[1].folder.path]
    assert plain == "the data are no good; mend them"
    assert bad.startswith("RuntimeError: out of memory")
    assert "Traceback" in (runs[1].folder.path / "error.txt").read_text()
    assert state(runs[2].folder) == "done"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, runner: Any) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file"):
        make(planned(tmp_path / "file" / "runs"), runner())


RUNNER = """
    import json, os, time
    import numpy as np
    from dfer.errors import InputError
    from dfer.predictions import Predictions
    from dfer.runs import RunFolder

    def run(arguments, out, *, resume=False):
        print("noise")
        if "--fail" in arguments:
            raise InputError("no good")
        if "--die" in arguments:
            os._exit(7)
        if "--stop" in arguments:
            raise KeyboardInterrupt
        folder = RunFolder(out)
        one = np.zeros(1, np.int64)
        Predictions(np.zeros((1, 1), np.float32), one, one, np.array(["a"]), np.zeros((1, 1), np.float32), ("x",)).save(
            folder.predictions()
        )
        folder.write_manifest({"state": "finished", "process": os.getpid()})
        return folder
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A runner that another process can import."""
    (tmp_path / "runner_elsewhere.py").write_text(textwrap.dedent(RUNNER))
    monkeypatch.syspath_prepend(str(tmp_path))
    import runner_elsewhere  # type: ignore[import-not-found]

    yield runner_elsewhere.run
    del sys.modules["runner_elsewhere"]


@pytest.mark.slow
def test_two_jobs_are_two_processes(tmp_path: Path, elsewhere: Any, capfd: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "runs"
    runs = [
        planned(store, key="a"),
        planned(store, "--fail", key="b"),
        planned(store, "--die", key="c"),
        planned(store),
    ]
    failures: dict[Path, str] = {}
    execute(runs, elsewhere, failures, jobs=2)
    processes = {run.folder.read_manifest()["process"] for run in (runs[0], runs[3])}
    assert len(processes) == 2
    assert failures[runs[1].folder.path] == "no good"
    assert "status 7" in failures[runs[2].folder.path]
    assert (store / "a-seed0.log").read_text().strip() == "noise"
    assert "noise" not in capfd.readouterr().out


@pytest.mark.slow
def test_ctrl_c_in_a_job_stops_the_table(tmp_path: Path, elsewhere: Any) -> None:
    runs = [planned(tmp_path / "runs", "--stop", key=str(i)) for i in range(3)]
    with pytest.raises(KeyboardInterrupt):
        execute(runs, elsewhere, {}, jobs=2)


def test_missing_predictions_on_damaged_clips_are_made_once(tmp_path: Path, runner: Any, predictions: Any) -> None:
    wanted = ["test", "test-gaussian_noise-3", "test-gaussian_noise-3", "test-frame_drop-2"]
    runs = [replace(planned(tmp_path), predictions=name) for name in wanted]
    asked: list[tuple[str, int]] = []
    said: list[str] = []
    failures: dict[Path, str] = {}

    def predict(run: RunFolder, corruption: Corruption) -> None:
        asked.append((corruption.name, corruption.severity))
        if corruption.name == "frame_drop":
            raise InputError("the data are\ngone")
        predictions(0, 1.0).save(run.predictions("test-gaussian_noise-3"))

    damage(runs, predict, failures)
    assert asked == []  # nothing is finished yet
    execute(runs, runner(), {})
    damage(runs, predict, failures, started=lambda run: said.append(run.predictions))
    assert asked == [("gaussian_noise", 3), ("frame_drop", 2)]
    assert said == ["test-gaussian_noise-3", "test-frame_drop-2"]
    file = runs[0].folder.predictions("test-frame_drop-2")
    assert failures == {file: "test-frame_drop-2: the data are gone"}


def test_old_or_spoilt_predictions_on_damaged_clips_are_made_anew(
    tmp_path: Path, runner: Any, predictions: Any
) -> None:
    run = replace(planned(tmp_path), predictions="test-frame_drop-3")
    execute([run], runner(), {})
    file = run.folder.predictions(run.predictions)
    asked: list[str] = []

    def predict(folder: RunFolder, corruption: Corruption) -> None:
        asked.append(corruption.name)
        predictions(0, 1.0).save(file)

    replace(predictions(0, 1.0), about={"weights": "of an earlier epoch"}).save(file)
    damage([run], predict, {})
    assert asked == ["frame_drop"]
    damage([run], predict, {})
    assert asked == ["frame_drop"]
    file.write_bytes(b"spoilt")
    damage([run], predict, {})
    assert asked == ["frame_drop"] * 2


def test_damage_that_fails_does_not_stop_the_rest_and_sigterm_does(
    tmp_path: Path, runner: Any, predictions: Any
) -> None:
    runs = [replace(planned(tmp_path), predictions=f"test-frame_drop-{severity}") for severity in (1, 2, 3)]
    execute(runs, runner(), {})
    failures: dict[Path, str] = {}

    def predict(folder: RunFolder, corruption: Corruption) -> None:
        if corruption.severity == 1:
            raise RuntimeError("out of memory")
        predictions(0, 1.0).save(folder.predictions(f"test-frame_drop-{corruption.severity}"))
        if corruption.severity == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        damage(runs, predict, failures)
    (line,) = failures.values()
    assert line.startswith("test-frame_drop-1: RuntimeError: out of memory")
    assert "out of memory" in (runs[0].folder.path / "error.txt").read_text()
    assert [run.folder.predictions(run.predictions).is_file() for run in runs] == [False, True, False]
