from pathlib import Path
from typing import Any

import pytest

from dfer.errors import InputError
from dfer.experiments.estimate import estimate, recorded, timed_steps
from dfer.experiments.execute import make
from dfer.experiments.plan import Planned


def planned(store: Path, seed: int) -> Planned:
    return Planned("r", seed, None, ("base", f"--seed_everything={seed}"), "k", store)


def test_a_finished_run_of_another_seed_is_the_measure(tmp_path: Path, runner: Any) -> None:
    make(planned(tmp_path, 0), runner())
    assert recorded(planned(tmp_path, 1)) == [60.0]

    def never(arguments: Any) -> float:
        raise AssertionError

    found = estimate(planned(tmp_path, 1), never)
    assert (found.seconds, found.how) == (60.0, "1 finished")


def test_without_one_steps_are_timed(tmp_path: Path) -> None:
    found = estimate(planned(tmp_path, 0), lambda arguments: 5.0)
    assert (found.seconds, found.how) == (5.0, "3 steps timed")


def test_a_stopped_run_is_no_measure(tmp_path: Path) -> None:
    planned(tmp_path, 0).folder.write_manifest({"state": "interrupted", "seconds": 3.0})
    assert recorded(planned(tmp_path, 1)) == []


SMOKE = [
    "--data.dataset.clips=28",
    "--model.model.size=24",
    "--model.model.frames=4",
    "--model.model.backbone.width=0.125",
]


def test_timed_steps_grow_with_the_epochs() -> None:
    short = timed_steps(["synthetic/baseline", *SMOKE, "--trainer.max_epochs=1"])
    long = timed_steps(["synthetic/baseline", *SMOKE, "--trainer.max_epochs=50"])
    assert 0 < short < 60
    assert long > 5 * short


def test_steps_of_two_passes_are_timed() -> None:
    assert timed_steps(["synthetic/hdf", *SMOKE, "--model.model.backbone.weights=none"]) > 0


def test_timed_steps_refuse_missing_data() -> None:
    with pytest.raises(InputError, match=r"--data\.root"):
        timed_steps(["folder/baseline", "--model.model.backbone.weights=null"])
