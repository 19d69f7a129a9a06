"""``dfer train`` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.cli import main
from dfer.errors import InputError
from dfer.experiments.train import parse_folds


@pytest.mark.parametrize(("text", "folds"), [("3", [3]), ("1-5", [1, 2, 3, 4, 5]), ("1,3-4", [1, 3, 4])])
def test_folds(text: str, folds: list[int]) -> None:
    assert parse_folds(text) == folds


@pytest.mark.parametrize("text", ["", "a", "0", "5-1", "1,1", "1-2-3", "-1"])
def test_bad_folds_are_refused_with_their_value(text: str) -> None:
    with pytest.raises(InputError, match=text or "''"):
        parse_folds(text)


def test_train_says_where_the_report_is(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "with space"
    assert main(["train", *options, "--trainer.max_epochs", "1", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert str(out / "report.html") in shown
    assert "WAR" in shown
    assert (out / "report.html").is_file()


def test_folds_are_trained_one_by_one_and_pooled(
    drawn_tree: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = str(drawn_tree("dfew"))
    capsys.readouterr()
    arguments = ["train", "dfew/baseline", "--data.root", tree, "--folds", "1-2", "--out", str(tmp_path / "run")]
    arguments += ["--model.model.backbone.weights", "none", "--model.model.backbone.width", "0.125"]
    arguments += ["--model.model.size", "32", "--model.model.frames", "4", "--data.workers", "0"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dfer.evaluation.evaluate.write_report", lambda *_: None)  # written below, once more
        assert main([*arguments, "--trainer.max_epochs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "std over 2 runs" in shown
    folds = [json.loads((tmp_path / "run" / f"fold-{k}" / "run.json").read_text())["data"]["fold"] for k in (1, 2)]
    assert folds == [1, 2]
    arguments[arguments.index("1-2")] = "1-3"
    assert main([*arguments, "--trainer.max_epochs", "1", "--resume"]) == 0  # fold 3 was never begun
    assert "std over 3 runs" in capsys.readouterr().out
    for k in (1, 2):
        assert f"fold {k}" in (tmp_path / "run" / f"fold-{k}" / "report.html").read_text()


def test_a_fold_that_does_not_exist_is_refused_before_any_is_trained(
    drawn_tree: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "dfew/baseline", "--data.root", str(drawn_tree("dfew")), "--folds", "1-6"]
    arguments += ["--model.model.backbone.weights", "none", "--model.model.backbone.width", "0.125"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.strip().endswith("DFEW has no fold 6; choose 1 to 5")
    assert not (tmp_path / "run").exists()


def test_a_fold_that_does_not_exist_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert main(["train", "dfew/baseline", "--data.root", str(tmp_path), "--folds", "6", "--out", out]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
