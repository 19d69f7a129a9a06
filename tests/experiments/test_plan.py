from pathlib import Path
from typing import Any

import pytest

from dfer.errors import InputError
from dfer.experiments.budget import BUDGETS
from dfer.experiments.declaration import Grid, parse_grid
from dfer.experiments.plan import configuration_key, plan, resolve

SMALL, PAPER, QUICK = BUDGETS["small"], BUDGETS["paper"], BUDGETS["quick"]


def test_seeds_are_outermost(grid: Grid, resolver: Any, tmp_path: Path) -> None:
    runs = plan(grid, SMALL, tmp_path, resolve=resolver).runs
    assert [(run.seed, run.row) for run in runs] == [
        (0, "plain"), (0, "strong"), (0, "full"), (1, "plain"), (1, "full"), (2, "plain"), (2, "full"),
    ]  # fmt: skip


def test_folds_lie_between_seeds_and_rows(content: dict[str, Any], resolver: Any, tmp_path: Path) -> None:
    grid = parse_grid({**content, "recipe": "folds"}, "g", where="f")
    runs = plan(grid, SMALL, tmp_path, seeds=1, folds=[4, 5], resolve=resolver).runs
    assert [(run.fold, run.row) for run in runs] == [(f, r) for f in (4, 5) for r in ("plain", "strong", "full")]
    assert runs[0].arguments[-2:] == ("--seed_everything=0", "--data.dataset.fold=4")
    assert len({run.folder.path for run in runs}) == 6


def test_seeds_of_the_command_line_and_of_the_budget_win(grid: Grid, resolver: Any, tmp_path: Path) -> None:
    assert len(plan(grid, SMALL, tmp_path, seeds=2, resolve=resolver).runs) == 6
    assert len(plan(grid, QUICK, tmp_path, resolve=resolver).runs) == 3
    assert len(plan(grid, QUICK, tmp_path, seeds=2, resolve=resolver).runs) == 6


def test_later_settings_win(content: dict[str, Any], resolver: Any, tmp_path: Path) -> None:
    content["budgets"] = {"small": {"z": "grid's budget"}}
    content["overrides"] = {"z": "grid"}
    content["rows"][0]["overrides"] = {"z": "row"}
    runs = plan(parse_grid(content, "g", where="f"), SMALL, tmp_path, extra=["--z=mine"], resolve=resolver).runs
    options = [option for option in runs[0].arguments if "clips" in option or option.startswith("--z")]
    assert options == ["--data.dataset.clips=800", "--z=grid's budget", "--z=grid", "--z=row", "--z=mine"]


def test_the_folder_follows_the_configuration_alone(content: dict[str, Any], resolver: Any, tmp_path: Path) -> None:
    same = {
        **content,
        "title": "Another",
        "rows": [{"name": "other name", "overrides": ["--skill=3.0", "--data.workers=0"]}],
    }
    one = plan(parse_grid(content, "g", where="f"), SMALL, tmp_path, resolve=resolver).runs
    other = plan(parse_grid({**same, "baseline": "other name"}, "h", where="f"), SMALL, tmp_path, resolve=resolver).runs
    assert other[0].folder == next(run for run in one if run.row == "strong").folder
    bigger = plan(
        parse_grid(content, "g", where="f"), SMALL, tmp_path, extra=["--data.dataset.clips=900"], resolve=resolver
    )
    assert not {run.folder.path for run in bigger.runs} & {run.folder.path for run in one}


def test_what_a_budget_cannot_shrink_is_said(grid: Grid, resolver: Any, tmp_path: Path) -> None:
    remarks = plan(grid, SMALL, tmp_path, resolve=resolver).remarks
    assert len(remarks) == 3
    assert remarks[0].startswith("row 'plain': budget small leaves model.model.size, model.model.backbone.width")
    assert not [remark for remark in remarks if "clips" in remark]


def test_an_unknown_recipe_is_refused_with_its_row(content: dict[str, Any], resolver: Any, tmp_path: Path) -> None:
    content["rows"][1]["recipe"] = "unknown"
    with pytest.raises(InputError, match="row 'strong': there is no recipe"):
        plan(parse_grid(content, "g", where="f"), PAPER, tmp_path, resolve=resolver)


def test_folds_are_refused_where_there_are_none(grid: Grid, resolver: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 'plain': base trains on data without folds"):
        plan(grid, PAPER, tmp_path, folds=[1], resolve=resolver)


def test_a_real_recipe_is_resolved_with_its_defaults() -> None:
    config = resolve(["synthetic/baseline", "--trainer.max_epochs=3"])
    assert config["trainer"]["max_epochs"] == 3
    assert config["data"]["dataset"]["init_args"]["clips"] == 800
    with pytest.raises(InputError, match="did you mean synthetic/baseline"):
        resolve(["synthetic/basline"])


def test_faces_of_another_generator_are_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = configuration_key({"data": {}})
    monkeypatch.setattr("dfer.experiments.plan.GENERATOR_VERSION", 10**6)
    assert configuration_key({"data": {}}) != before
