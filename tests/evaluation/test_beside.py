"""Runs beside each other."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import InputError
from dfer.evaluation.beside import names_of, predictions_of
from dfer.predictions import Predictions
from dfer.runs import RunFolder


def test_titles_come_before_folders() -> None:
    runs = [RunFolder(Path("a")), RunFolder(Path("b"))]
    assert names_of(runs, ["AdamW", "DSM"]) == ["AdamW", "DSM"]


@pytest.mark.parametrize(
    ("paths", "titles", "message"),
    [
        (["a", "b"], ["one"], "1 titles for 2 runs"),
        (["a", "b"], ["one", "one"], r"called the same \(one, one\); give each its --title"),
        (["x/a", "x/a"], [], "called the same"),
    ],
)
def test_names_are_refused(paths: list[str], titles: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        names_of([RunFolder(Path(path)) for path in paths], titles)


def test_runs_of_the_same_clips_go_together(finished: RunFolder, own_run: RunFolder) -> None:
    first, second = predictions_of([finished, own_run])
    np.testing.assert_array_equal(first.clip_id, second.clip_id)


def test_moved_data_are_the_same_data(finished: RunFolder, own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    manifest["data"]["description"]["args"]["root"] = "/moved"
    own_run.write_manifest(manifest)
    assert len(predictions_of([finished, own_run])) == 2


def test_other_labels_are_refused(finished: RunFolder, own_run: RunFolder) -> None:
    one = Predictions.load(own_run.predictions())
    replace(one, labels=("angry", "happy", "bored")).save(own_run.predictions())
    with pytest.raises(InputError, match="knows the labels angry, happy, bored"):
        predictions_of([finished, own_run])


def test_other_clips_are_refused(finished: RunFolder, own_run: RunFolder) -> None:
    one = Predictions.load(own_run.predictions())
    ids = one.clip_id.copy()
    ids[0] = "x"
    replace(one, clip_id=ids).save(own_run.predictions())
    with pytest.raises(InputError, match="was tested on other clips"):
        predictions_of([finished, own_run])


def test_other_settings_of_the_data_are_refused(finished: RunFolder, own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    manifest["data"]["description"]["args"]["seed"] = 3  # drawn clips are called the same whatever they show
    own_run.write_manifest(manifest)
    with pytest.raises(InputError, match="was tested on other clips"):
        predictions_of([finished, own_run])


def test_no_predictions_say_what_to_run(own_run: RunFolder, finished: RunFolder) -> None:
    shutil.rmtree(own_run.path / "predictions")
    with pytest.raises(InputError, match="run `dfer evaluate`"):
        predictions_of([finished, own_run])
