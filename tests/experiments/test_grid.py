import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfer.cli import main
from dfer.errors import InputError
from dfer.experiments.budget import BUDGETS
from dfer.experiments.declaration import Grid, parse_grid
from dfer.experiments.grid import duration, list_runs, make_table, table
from dfer.experiments.plan import Plan, plan
from dfer.predictions import Predictions
from dfer.runs import RunFolder
from dfer.transforms.corrupt import Corruption


@pytest.fixture
def planned(grid: Grid, resolver: Any, tmp_path: Path) -> Plan:
    return plan(grid, BUDGETS["small"], tmp_path / "runs", resolve=resolver)


def written(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(tmp_path.glob("t.small.*"))}


@pytest.mark.parametrize("stop_at", range(7))
def test_a_table_killed_anywhere_ends_the_same(
    stop_at: int, grid: Grid, planned: Plan, resolver: Any, runner: Any, tmp_path: Path
) -> None:
    straight = plan(grid, BUDGETS["small"], tmp_path / "straight" / "runs", resolve=resolver)
    make_table(grid, straight, tmp_path / "straight" / "t.small", "c", runner())
    first, second = runner(stop_at), runner()
    with pytest.raises(KeyboardInterrupt):
        make_table(grid, planned, tmp_path / "t.small", "c", first)
    finished = first.made[:-1]
    assert written(tmp_path), "a stopped table is written too"
    assert make_table(grid, planned, tmp_path / "t.small", "c", second) == 0
    assert not set(finished) & set(second.made)
    assert len(finished) == stop_at
    assert len(finished) + len(second.made) == 7
    assert second.resumed == [True] + [False] * (6 - stop_at)
    assert written(tmp_path) == written(tmp_path / "straight")
    assert len(written(tmp_path)) == 3


def test_a_stopped_table_shows_its_n(
    grid: Grid, planned: Plan, runner: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_table(grid, planned, tmp_path / "t.small", "c", runner(stop_at=4), format="csv")
    rows = capsys.readouterr().out.splitlines()
    assert any(line.startswith("plain,2,3,war") for line in rows)
    assert any(line.startswith("full,1,3,war") for line in rows)


def test_again_nothing_is_run(grid: Grid, planned: Plan, runner: Any, tmp_path: Path) -> None:
    make_table(grid, planned, tmp_path / "t.small", "c", runner())
    before, again = written(tmp_path), runner()
    make_table(grid, planned, tmp_path / "t.small", "c", again)
    assert again.made == []
    assert written(tmp_path) == before


def test_two_grids_share_a_run(
    content: dict[str, Any], grid: Grid, planned: Plan, resolver: Any, runner: Any, tmp_path: Path
) -> None:
    make_table(grid, planned, tmp_path / "t.small", "c", runner())
    content["rows"] = [{"name": "III-a", "overrides": {"skill": 2.0}}, {"name": "III-b", "overrides": {"skill": 2.5}}]
    other = parse_grid({**content, "baseline": "III-a"}, "other", where="f")
    fake = runner()
    make_table(other, plan(other, BUDGETS["small"], tmp_path / "runs", resolve=resolver), tmp_path / "o", "c", fake)
    assert [arguments for arguments in fake.made if "--skill=2.0" in arguments] == []
    assert len(fake.made) == 1


def test_failures_end_in_status_3_and_are_tried_again(
    content: dict[str, Any], resolver: Any, runner: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content["rows"][1]["overrides"]["fail"] = "plainly"
    broken = parse_grid(content, "g", where="f")
    planned = plan(broken, BUDGETS["small"], tmp_path / "runs", resolve=resolver)
    fake = runner()
    assert make_table(broken, planned, tmp_path / "t.small", "c", fake, format="markdown") == 3
    assert len(fake.made) == 7
    assert "Failed: strong, seed 0: the data are no good; mend them" in capsys.readouterr().out
    again = runner()
    make_table(broken, planned, tmp_path / "t.small", "c", again)
    assert len(again.made) == 1


def test_a_table_without_data_is_refused_in_one_line(tmp_path: Path) -> None:
    rows = [{"name": "a"}, {"name": "b", "overrides": {"model.loss.label_smoothing": 0.1}}]
    weights = {"model.model.backbone.weights": None}
    grid = {"title": "No data", "recipe": "folder/baseline", "baseline": "a", "overrides": weights, "rows": rows}
    (tmp_path / "g.yaml").write_text(yaml.safe_dump(grid))
    for dry_run in (True, False):
        with pytest.raises(InputError, match=r"nowhere") as refusal:
            table(str(tmp_path / "g.yaml"), f"--data.root={tmp_path / 'nowhere'}", out=tmp_path / "o", dry_run=dry_run)
        assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "o").glob("*.md"))


def test_progress_says_how_long(
    grid: Grid, planned: Plan, runner: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_table(grid, planned, tmp_path / "t.small", "c", runner())
    said = capsys.readouterr().err
    assert "run 1 of 7: plain, seed 0\n" in said
    assert "run 7 of 7: full, seed 2; about 60 s left" in said


def test_json_is_all_that_is_printed(
    grid: Grid, planned: Plan, runner: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_table(grid, planned, tmp_path / "t.small", "c", runner(), json=True)
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "t.small.json").read_text())


def test_a_dry_run_makes_nothing(
    content: dict[str, Any], resolver: Any, runner: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content["rows"].append({"name": "full again", "overrides": {"skill": 2.0}})
    grid = parse_grid(content, "g", where="f")
    planned = plan(grid, BUDGETS["small"], tmp_path / "runs", resolve=resolver)
    asked = []

    def measure(arguments: Any) -> float:
        asked.append(arguments)
        return 10.0

    list_runs(planned, measure, as_json=True)
    assert not list(tmp_path.iterdir())
    listed = json.loads(capsys.readouterr().out)
    assert len(asked) == 3, "one configuration is timed once"
    assert listed["seconds"] == 70.0
    assert [run["state"] for run in listed["runs"]].count("shared with full") == 1
    make_table(grid, planned, tmp_path / "t", "c", runner())
    capsys.readouterr()
    list_runs(planned, measure)
    assert "about 0 s in all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "huge"}, "no budget 'huge'"),
        ({"jobs": 0}, "--jobs 0"),
        ({"seeds": 0}, "--seeds 0"),
        ({"folds": "a"}, "no list of folds"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        table("synthetic/dynamic", out=tmp_path, **options)


@pytest.mark.parametrize(("seconds", "text"), [(99.4, "99 s"), (120, "2 min"), (7200, "2.0 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("dataset", [None, "dfew"])
def test_a_grid_for_several_data_sets_is_written_under_the_name_of_one(
    dataset: str | None, tmp_path: Path, runner: Any, resolver: Any, predictions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"name": "clean"},
        {"name": "noisy", "predictions": "test-gaussian_noise-3"},
        {"name": "noisy again", "predictions": "test-gaussian_noise-3", "baseline": "noisy"},
    ]
    grid = {"title": "Several", "recipe": "{dataset}/safe", "baseline": "clean", "rows": rows}
    grid["datasets"] = {"dfew": {"folds": "4-5"}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(grid))
    fake, asked = runner(), []

    def corrupted(run: RunFolder, corruption: Corruption) -> None:
        asked.append(corruption.name)
        predictions(0, 1.0).save(run.predictions(f"test-{corruption.name}-{corruption.severity}"))

    monkeypatch.setattr("dfer.experiments.grid.resolve", lambda arguments: resolver(["folds", *arguments[1:]]))
    monkeypatch.setattr("dfer.experiments.grid.run", fake)
    monkeypatch.setattr("dfer.experiments.grid.corrupted", corrupted)
    given = [] if dataset is None else ["--dataset", dataset]
    command = ["table", str(tmp_path / "s.yaml"), "--budget", "small", *given]
    assert main([*command, "--out", str(tmp_path / "o")]) == 0
    runs = 1 if dataset is None else 2  # folds 4 and 5
    assert {arguments[0] for arguments in fake.made} == {f"{dataset or 'synthetic'}/safe"}
    assert (len(fake.made), len(asked)) == (runs, runs), "rows that differ in predictions alone share runs"
    text = (tmp_path / "o" / f"s.{dataset or 'synthetic'}.small.md").read_text()
    assert text.startswith(f"## Several, {dataset or 'synthetic'}\n")
    assert f"\ndfer {' '.join(command)}\n" in text
    assert "noisy again with noisy" in text


def test_damaged_clips_that_cannot_be_predicted_are_a_failure_of_their_row(
    content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content["rows"] = [{"name": "plain"}, {"name": "noisy", "predictions": "test-gaussian_noise-3"}]
    grid = parse_grid(content, "g", where="f")
    planned = plan(grid, BUDGETS["small"], tmp_path / "runs", resolve=resolver)

    def corrupted(run: RunFolder, corruption: Corruption) -> None:
        raise InputError("the data are gone")

    monkeypatch.setattr("dfer.experiments.grid.corrupted", corrupted)
    assert make_table(grid, planned, tmp_path / "t.small", "c", runner()) == 3
    text = (tmp_path / "t.small.md").read_text()
    assert "Failed: noisy, seed 0: test-gaussian_noise-3: the data are gone" in text
    assert "| plain | 1 |" in text


@pytest.mark.slow
def test_a_real_run_is_measured_on_damaged_clips_too(tmp_path: Path) -> None:
    tiny = ["--data.dataset.clips=28", "--model.model.size=24", "--model.model.frames=4", "--data.workers=0"]
    rows = [{"name": "clean"}, {"name": "noisy", "predictions": "test-gaussian_noise-5"}]
    grid = {"title": "Tiny", "recipe": "{dataset}/baseline", "baseline": "clean", "overrides": tiny, "rows": rows}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(grid))
    out = tmp_path / "grid"
    for _ in range(2):  # the second time nothing is made
        assert table(str(tmp_path / "tiny.yaml"), budget="smoke", dataset="synthetic", out=out) == 0
        content = json.loads((out / "tiny.synthetic.smoke.json").read_text())
        assert [row["n"] for row in content["rows"]] == [1, 1]
        assert content["rows"][1]["differences"]["war"]["n"] == 1
    (run,) = (path.parent for path in (out / "runs").glob("*/run.json"))
    clean, noisy = (Predictions.load(run / "predictions" / f"{n}.npz") for n in ("test", "test-gaussian_noise-5"))
    assert clean.clip_id.tolist() == noisy.clip_id.tolist()
    assert clean.about["weights"] == noisy.about["weights"]
    assert (clean.logits != noisy.logits).any()


def small_grid(folder: Path) -> Path:
    tiny = ["--data.dataset.clips=28", "--model.model.size=24", "--model.model.frames=4", "--data.workers=0"]
    rows = [
        {"name": "plain", "seeds": 2},
        {"name": "smoothed", "overrides": {"model.loss.label_smoothing": 0.1}, "published": {"war": 70.0}},
    ]
    grid = {"title": "Tiny", "recipe": "synthetic/baseline", "baseline": "plain", "overrides": tiny, "rows": rows}
    grid["columns"] = ["war", "uar", "nll", "parameters", "gmac", "seconds"]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(grid))
    return folder / "tiny.yaml"


@pytest.mark.slow
def test_a_real_table_from_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], digest: Callable[[Path], dict[str, str]]
) -> None:
    file, out = small_grid(tmp_path), tmp_path / "grid"
    assert table(str(file), budget="smoke", seeds=2, out=out, dry_run=True, json=True) == 0
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [run["how"] for run in listed] == ["3 steps timed"] * 4
    assert not out.exists()
    assert table(str(file), budget="smoke", seeds=2, out=out) == 0
    content = json.loads((out / "tiny.smoke.json").read_text())
    assert [row["n"] for row in content["rows"]] == [2, 2]
    assert content["rows"][1]["differences"]["war"]["n"] == 2
    assert content["rows"][0]["values"]["gmac"]["mean"] > 0
    runs = sorted((out / "runs").glob("*/run.json"))
    assert len(runs) == 4
    before = digest(out)
    assert table(str(file), budget="smoke", seeds=2, out=out) == 0
    assert digest(out) == before


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_real_table_that_was_stopped_goes_on(tmp_path: Path, jobs: str) -> None:
    file, out = small_grid(tmp_path), tmp_path / "grid"
    arguments = ["table", str(file), "--trainer.max_epochs=3", "--budget", "smoke", "--out", str(out), "--jobs", jobs]
    stop_in_the_second_run = f"""
        import os, signal, sys, threading, time
        from pathlib import Path
        from dfer.cli import main

        def watch():
            while len(list(Path({str(out)!r}).glob("runs/*/checkpoints/resume.ckpt"))) < 2:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, daemon=True).start()
        sys.exit(main({arguments!r}))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(stop_in_the_second_run)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 130, done.stderr
    states = {json.loads(path.read_text())["state"] for path in (out / "runs").glob("*/run.json")}
    assert "interrupted" in states
    assert states <= {"finished", "interrupted"}
    assert table(str(file), "--trainer.max_epochs=3", budget="smoke", out=out) == 0
    rows = json.loads((out / "tiny.smoke.json").read_text())["rows"]
    assert [row["n"] for row in rows] == [1, 1]
