"""What several tests of this room share."""

import shutil
from pathlib import Path

import pytest

from dfer.runs import RunFolder


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure runs without drawing their figures, which takes most of the time; other tests look at those."""
    monkeypatch.setattr("dfer.evaluation.evaluate.write_report", lambda *_: None)


@pytest.fixture(scope="session")
def parted(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run on the same clips, of a model that predicts three windows of each; look, do not touch."""
    from dfer.experiments.run import run

    windows = ["--model.model.window", "2", "--model.model.stride", "1", "--trainer.max_epochs", "1"]
    return run([str(finished.config), *windows], tmp_path_factory.mktemp("parted") / "run")


@pytest.fixture
def own_parted(parted: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of that run, to change."""
    return RunFolder(Path(shutil.copytree(parted.path, tmp_path / "parted")))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A trained run on drawn faces, of a model that predicts three windows of each; look, do not touch."""
    from dfer.training.fit import fit

    options = [
        "synthetic/baseline",
        *("--data.dataset.clips", "60"),
        *("--data.dataset.cache", "false"),
        *("--data.workers", "0"),
        *("--model.model.backbone.width", "0.125"),
        *("--model.model.frames", "4"),
        *("--model.model.size", "32"),
        *("--model.model.window", "2"),
        *("--model.model.stride", "1"),
        *("--model.warmup_epochs", "0"),
        *("--trainer.max_epochs", "1"),
    ]
    return fit(options, out=tmp_path_factory.mktemp("drawn") / "run")


@pytest.fixture
def own_drawn(drawn: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of that run, to change."""
    return RunFolder(Path(shutil.copytree(drawn.path, tmp_path / "drawn")))
