from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.backbones import r3d_18
from dfer.experiments.budget import BUDGETS
from dfer.experiments.declaration import Grid, parse_grid
from dfer.experiments.execute import execute
from dfer.experiments.plan import Plan, plan
from dfer.experiments.results import Line, collect
from dfer.experiments.tables import footnotes
from dfer.metrics import evaluate
from dfer.models import Recognizer, checkpoint


def made(grid: Grid, store: Path, runner: Any, resolver: Any, **options: Any) -> tuple[Plan, dict[Path, str]]:
    planned = plan(grid, BUDGETS["paper"], store, resolve=resolver, **options)
    failures: dict[Path, str] = {}
    execute(planned.runs, runner(), failures)
    return planned, failures


def by_name(lines: tuple[Line, ...]) -> dict[str, Line]:
    return {line.row.name: line for line in lines}


def test_rows_hold_what_their_runs_say(
    grid: Grid, tmp_path: Path, runner: Any, resolver: Any, predictions: Any
) -> None:
    results = collect(grid, *made(grid, tmp_path, runner, resolver))
    lines = by_name(results.lines)
    wars = [evaluate((p := predictions(s, 2.0)).probabilities(1.0), p.label)["war"] for s in range(3)]
    assert lines["full"].values["war"].mean == pytest.approx(np.mean(wars))
    assert lines["full"].values["war"].deviation == pytest.approx(np.std(wars, ddof=1))
    assert lines["strong"].values["war"].deviation is None
    assert list(lines["plain"].values)[-4:] == ["recall happy", "recall sad", "recall neutral", "seconds"]
    assert (lines["full"].n, lines["strong"].n, lines["theirs"].n) == (3, 1, 0)
    assert results.protocols == ("held-out",)
    assert results.commits == ("0123456789",)
    assert results.data == ("SyntheticFaces (drawn faces)",)
    assert results.clips == (40,)


def test_a_row_is_compared_on_the_seeds_it_shares(grid: Grid, tmp_path: Path, runner: Any, resolver: Any) -> None:
    lines = by_name(collect(grid, *made(grid, tmp_path, runner, resolver)).lines)
    assert not lines["plain"].differences
    assert not lines["theirs"].differences
    strong, full = lines["strong"].differences["war"], lines["full"].differences["war"]
    assert strong is not None
    assert full is not None
    assert (strong.n, full.n) == (1, 3)


def test_uar_reads_the_epoch_chosen_by_uar(
    grid: Grid, tmp_path: Path, runner: Any, resolver: Any, predictions: Any
) -> None:
    planned, failures = made(grid, tmp_path, runner, resolver, seeds=1)
    before = by_name(collect(grid, planned, failures).lines)["plain"].values
    run = next(run for run in planned.runs if run.row == "plain")
    predictions(0, 5.0).save(run.folder.predictions("test-uar"))
    after = by_name(collect(grid, planned, failures).lines)["plain"].values
    assert after["war"] == before["war"]
    assert after["uar"].mean > before["uar"].mean


def test_rows_may_read_other_predictions_of_the_same_run(
    content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any, predictions: Any
) -> None:
    content["rows"] = [
        {"name": "plain"},
        {"name": "noisy", "predictions": "test-gaussian_noise-3"},
        {"name": "dropped", "predictions": "test-frame_drop-3"},
    ]
    noisy = parse_grid(content, "g", where="f")
    planned, failures = made(noisy, tmp_path, runner, resolver)
    assert len({run.folder.path for run in planned.runs}) == 1
    predictions(0, 0.0).save(planned.runs[0].folder.predictions("test-gaussian_noise-3"))
    lines = by_name(collect(noisy, planned, failures).lines)
    assert lines["noisy"].values["war"].mean < lines["plain"].values["war"].mean
    assert "no predictions 'test-frame_drop-3'" in lines["dropped"].failures[0]


def test_a_row_may_be_compared_with_another_than_the_grids_baseline(
    content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any, predictions: Any
) -> None:
    noisy = {"predictions": "test-gaussian_noise-3"}
    content["rows"] = [
        {"name": "plain"},
        {"name": "full", "overrides": {"skill": 2.0}},
        {"name": "plain, noisy", **noisy},
        {"name": "full, noisy", "overrides": {"skill": 2.0}, "baseline": "plain, noisy", **noisy},
    ]
    grid = parse_grid(content, "g", where="f")
    planned, failures = made(grid, tmp_path, runner, resolver)
    for run in planned.runs:
        predictions(run.seed, 1.0 if "full" in run.row else 0.9).save(run.folder.predictions("test-gaussian_noise-3"))
    results = collect(grid, planned, failures)
    lines = by_name(results.lines)

    def mean(row: str) -> float:
        return lines[row].values["war"].mean

    for row, against in (("full, noisy", "plain, noisy"), ("plain, noisy", "plain")):
        difference = lines[row].differences["war"]
        assert difference is not None
        assert difference.value == pytest.approx(mean(row) - mean(against))
    assert any("full, noisy with plain, noisy" in note for note in footnotes(results))


def test_under_the_papers_protocol_uar_on_damaged_clips_is_of_its_own_epoch(
    content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any, predictions: Any
) -> None:
    content["rows"] = [{"name": "plain"}, {"name": "noisy", "predictions": "test-gaussian_noise-3"}]
    grid = parse_grid(content, "g", where="f")
    planned, failures = made(grid, tmp_path, runner, resolver)
    folder = planned.runs[0].folder
    predictions(0, 0.5).save(folder.predictions("test-gaussian_noise-3"))
    predictions(0, 4.0).save(folder.predictions("test-uar-gaussian_noise-3"))
    values = by_name(collect(grid, planned, failures).lines)["noisy"].values
    low, high = (evaluate((p := predictions(0, skill)).probabilities(1.0), p.label) for skill in (0.5, 4.0))
    assert (values["war"].mean, values["uar"].mean) == (low["war"], high["uar"])
    assert low["uar"] != high["uar"]


def test_damaged_clips_that_could_not_be_predicted_are_told_with_the_reason(
    content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any, predictions: Any
) -> None:
    content["rows"] = [{"name": "plain"}, {"name": "noisy", "predictions": "test-gaussian_noise-3"}]
    grid = parse_grid(content, "g", where="f")
    planned, failures = made(grid, tmp_path, runner, resolver)
    file = planned.runs[0].folder.predictions("test-gaussian_noise-3")
    replace(predictions(0, 0.5), about={"weights": "of an earlier epoch"}).save(file)
    failures[file] = "test-gaussian_noise-3: the data are gone"
    lines = by_name(collect(grid, planned, failures).lines)
    assert lines["noisy"].n == 0
    assert lines["noisy"].failures == ("noisy, seed 0: test-gaussian_noise-3: the data are gone",)
    assert lines["plain"].n == 1


def test_a_failed_run_is_told_in_every_row_that_needs_it(
    content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any
) -> None:
    bad = {"overrides": {"fail": "plainly"}}
    content["rows"] += [{"name": "one", **bad}, {"name": "two", **bad}]
    broken = parse_grid(content, "g", where="f")
    lines = by_name(collect(broken, *made(broken, tmp_path, runner, resolver)).lines)
    assert lines["one"].failures == ("one, seed 0: the data are no good; mend them",)
    assert lines["two"].failures == ("two, seed 0: the data are no good; mend them",)
    assert lines["one"].differences == {"war": None, "nll": None}
    assert lines["plain"].n == 3


def test_costs_come_from_the_checkpoint(content: dict[str, Any], tmp_path: Path, runner: Any, resolver: Any) -> None:
    content["columns"] = ["war", "parameters", "gmac"]
    costly = parse_grid(content, "g", where="f")
    planned, failures = made(costly, tmp_path, runner, resolver, seeds=1)
    model = Recognizer(r3d_18(width=0.125), frames=4, size=16)
    arguments = {"backbone": {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.125}}}
    config = {"class_path": "dfer.models.Recognizer", "init_args": {**arguments, "frames": 4, "size": 16}}
    checkpoint.save(model, planned.runs[0].folder.checkpoint(), config=config, about={})
    values = by_name(collect(costly, planned, failures).lines)["plain"].values
    assert values["parameters"].mean == sum(p.numel() for p in model.parameters())
    assert values["gmac"].mean > 0
