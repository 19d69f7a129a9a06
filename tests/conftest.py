"""What several tests share."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from dfer.runs import RunFolder

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # tests that take ONNX Runtime by itself leave nothing behind


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real face videos; tests that need it skip without it."""
    folder = os.environ.get("DFER_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("DFER_TEST_DATA names no folder of test videos")
    return Path(folder)


def beside(name: str) -> ModuleType:
    """Import a module that lies here; tests have no path of their own."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


ODD = beside("odd_videos").ODD


class OddCase(NamedTuple):
    """An odd video: its name, its file, the words of its refusal (empty: it works), and of its damage."""

    name: str
    path: Path
    refused: str
    damage: str


@pytest.fixture(scope="session")
def odd_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make one of the odd videos of odd_videos.py, once; look, do not touch."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = ODD[name].make(tmp_path_factory.mktemp("odd"))
        return made[name]

    return make


@pytest.fixture(params=sorted(ODD))
def odd_case(request: pytest.FixtureRequest, odd_video: Callable[[str], Path]) -> OddCase:
    """Each odd video in turn, with what is expected of it."""
    name = request.param
    return OddCase(name, odd_video(name), ODD[name].refused, ODD[name].damage)


@pytest.fixture(scope="session")
def drawn_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Draw 70 clips of 16 frames in the layout of a data set, once; look, do not touch."""
    made: dict[str, Path] = {}

    def make(layout: str) -> Path:
        from dfer.datasets.synthetic import film_layouts, layouts, posed_layouts

        if layout not in made:
            made[layout] = tmp_path_factory.mktemp("drawn") / layout
            with pytest.MonkeyPatch.context() as patch:  # what takes time is to draw the frames
                for module in (film_layouts, posed_layouts):
                    patch.setattr(module, "spread", lambda deciles, clips, rng: np.full(clips, 16))
                short = replace(layouts.PRESETS["wild"], frames=(16, 16))
                patch.setattr(layouts, "PRESETS", {**layouts.PRESETS, "wild": short})
                assert layouts.synthesize(made[layout], layout=layout, clips=70, size=32) == 0  # type: ignore[arg-type]
        return made[layout]

    return make


COLOURS = {"happy": (200, 40, 40), "sad": (40, 200, 40), "angry": (40, 40, 200)}


def write_clips(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 3)):
        for name, colour in COLOURS.items():
            for number in range(count):
                folder = root / split / name / f"{name}-{number}"
                folder.mkdir(parents=True)
                for frame in range(6):
                    pixels = np.clip(rng.normal(colour, 25, (36, 36, 3)), 0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / f"{frame + 1}.jpg")
    return root


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder per class: ten training and three test clips of six frames, told apart by their colour."""
    return write_clips(tmp_path / "clips")


def tiny(clips: Path) -> list[str]:
    return [
        "folder/baseline",
        *("--data.root", str(clips)),
        *("--data.workers", "0"),
        *("--data.batch_size", "8"),
        *("--model.model.backbone.weights", "none"),
        *("--model.model.backbone.width", "0.125"),
        *("--model.model.frames", "4"),
        *("--model.model.size", "32"),
        *("--model.model.dropout", "0.3"),
        *("--model.warmup_epochs", "1"),
        *("--trainer.max_epochs", "3"),
    ]


@pytest.fixture
def options(clips: Path) -> list[str]:
    """A recipe and options: three epochs of a tiny model, with dropout so that random state matters."""
    return tiny(clips)


@pytest.fixture
def fit(tmp_path: Path, options: list[str]) -> Callable[..., RunFolder]:
    """Train with the tiny options; more may be added."""
    from dfer.training.fit import fit as real

    def run(name: str, *more: str, resume: bool = False, init: Path | None = None) -> RunFolder:
        return real([*options, *more], out=tmp_path / "runs" / name, resume=resume, init=init)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Train with the tiny options and more, once for the same; look, do not touch."""
    from dfer.training.fit import fit as real

    folder = tmp_path_factory.mktemp("trained")
    options = tiny(write_clips(folder / "clips"))
    made: dict[tuple[str, ...], RunFolder] = {}

    def run(*more: str) -> RunFolder:
        if more not in made:
            made[more] = real([*options, *more], out=folder / f"run-{len(made)}")
        return made[more]

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was trained, evaluated and reported; look, do not touch."""
    from dfer.experiments.run import run

    folder = tmp_path_factory.mktemp("finished")
    return run(tiny(write_clips(folder / "clips")), folder / "run")


@pytest.fixture(scope="session")
def exported(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write that run's model as ``dfer export`` does, ``onnx`` or ``openvino``, once; look, do not touch."""
    made: dict[str, Path] = {}

    def make(format: str) -> Path:
        from dfer.export.command import FORMATS, export

        if format not in made:
            path = (tmp_path_factory.mktemp("exported") / "mine").with_suffix(FORMATS[format].suffixes[-1])
            assert export(finished.path, format=format, out=path) == 0
            made[format] = path
        return made[format]

    return make


@pytest.fixture
def own_run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of that run, to damage."""
    return RunFolder(Path(shutil.copytree(finished.path, tmp_path / "run")))
