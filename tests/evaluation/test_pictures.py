"""``dfer figures``."""

from pathlib import Path

import pytest

from dfer.cli import main
from dfer.runs import RunFolder


def test_draws_all_figures_of_a_run(finished: RunFolder, tmp_path: Path) -> None:
    assert main(["figures", str(finished.path), "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"{name}.{kind}" for name in ("confusion", "reliability", "curves", "loss") for kind in ("svg", "pdf")
    }


def test_draws_one(finished: RunFolder, tmp_path: Path) -> None:
    assert main(["figures", str(finished.path), "--name", "confusion", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_an_unknown_figure_lists_the_known(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", str(finished.path), "--name", "confusoin"]) == 2
    assert "confusion, reliability, curves, loss" in capsys.readouterr().err


def test_a_sheet_of_drawn_faces(tmp_path: Path) -> None:
    assert main(["figures", "synthetic/easy", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "mix.jpg").read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize("source", ["synthetic/hard", "nowhere"])
def test_an_unknown_source_is_one_line(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", source]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
