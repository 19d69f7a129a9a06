"""Which clips are shown."""

from pathlib import Path

import numpy as np
import pytest

from dfer.datasets import FolderClips, SyntheticFaces
from dfer.errors import InputError
from dfer.evaluation.telling import brightness, hidden, rows_by_id, telling_clips, turns
from dfer.predictions import Predictions


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces("test", 32, preset="wild", clips=(20, 20), cache=False)


def predictions(targets: np.ndarray, ids: list[str], right: set[int], order: np.ndarray | None = None) -> Predictions:
    """Say the true class of some rows, surer and surer from row to row, and another of the rest."""
    count = len(targets)
    logits = np.zeros((count, 7), np.float32)
    for row, label in enumerate(targets):
        logits[row, label if row in right else (label + 1) % 7] = 2 + row
    order = np.arange(count) if order is None else order
    return Predictions(
        logits=logits[order],
        label=targets[order],
        row=order,
        clip_id=np.array(ids)[order],
        embedding=np.zeros((count, 2), np.float32),
        labels=tuple("abcdefg"),
    )


def of(faces: SyntheticFaces, right: set[int], order: np.ndarray | None = None) -> Predictions:
    return predictions(faces.targets, list(faces.clip_ids), right, order)


def test_measures_of_drawn_faces(faces: SyntheticFaces) -> None:
    rows = np.arange(20)
    covered = hidden(faces, rows)
    np.testing.assert_array_equal(covered > 0, faces.truth["occlusion"] != "none")
    assert covered.max() < 0.6
    assert (turns(faces, rows) > 0).all()
    assert brightness(faces, rows[:2]) == pytest.approx([faces[row].clip.double().mean().item() for row in (0, 1)])
    straight = SyntheticFaces("test", 32, preset="wild", clips=(20, 20), head_pose=0.0, cache=False)
    assert (turns(straight, rows[:3]) == 0).all()


def test_a_farther_turn_is_a_larger_one() -> None:
    near, far = (SyntheticFaces("test", 32, clips=(5, 5), head_pose=degrees, cache=False) for degrees in (3.0, 20.0))
    assert (turns(far, np.arange(5)) > turns(near, np.arange(5))).all()


def test_of_drawn_faces_the_extremes_among_those_that_all_recognise(faces: SyntheticFaces) -> None:
    order = np.random.default_rng(0).permutation(20)
    both = telling_clips(faces, [of(faces, set(range(16))), of(faces, set(range(4, 20)), order)])
    assert [what for what, _ in both] == ["dark", "occluded", "non-frontal"]
    pool = np.arange(4, 16)
    dark, occluded, turned = rows_by_id(faces, [clip for _, clip in both])
    assert dark == pool[brightness(faces, pool).argmin()]
    rest = pool[pool != dark]
    assert occluded == rest[hidden(faces, rest).argmax()]
    rest = rest[rest != occluded]
    assert turned == rest[turns(faces, rest).argmax()]


def test_where_none_is_occluded_none_is_shown() -> None:
    faces = SyntheticFaces("test", 32, clips=(7, 7), cache=False)
    assert [what for what, _ in telling_clips(faces, [of(faces, set(range(7)))])] == ["dark", "non-frontal"]


def test_one_run_is_enough_and_none_too(faces: SyntheticFaces) -> None:
    first = telling_clips(faces, [of(faces, {3}), of(faces, set())])
    assert first == [("dark", "test-00003")]
    assert len(telling_clips(faces, [of(faces, set())])) == 3


def test_of_other_data_those_least_sure_of_different_classes(clips: Path) -> None:
    test = FolderClips(clips, split="test")
    ids = [test.clip_id(row) for row in range(9)]
    found = telling_clips(test, [predictions(test.targets, ids, set(range(1, 9)))])
    assert found == [("unsure", ids[row]) for row in (1, 3, 6)]  # of each class the first that is right
    alone = telling_clips(test, [predictions(test.targets, ids, {0, 1})])
    assert alone == [("unsure", ids[0]), ("unsure", ids[1])]


def test_an_unknown_clip_is_refused(faces: SyntheticFaces) -> None:
    with pytest.raises(InputError, match="no test clip nobody; ids are such as test-00000"):
        rows_by_id(faces, ["test-00001", "nobody"])
