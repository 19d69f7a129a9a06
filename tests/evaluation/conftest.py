"""What several tests of this room share."""

import shutil
from pathlib import Path

import pytest

from dfer.runs import RunFolder


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
