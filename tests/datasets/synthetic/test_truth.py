"""The table says what the knobs ask for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.datasets.synthetic.dynamics import envelope
from dfer.datasets.synthetic.knobs import DFEW_COUNTS, EASY, WILD
from dfer.datasets.synthetic.truth import CONFUSION, Role, cast, counts, make_truth


@given(st.integers(7, 5000), st.lists(st.floats(0.001, 1000), min_size=7, max_size=7))
def test_counts_share_out_everything(clips: int, proportions: list[float]) -> None:
    shared = counts(clips, tuple(proportions))
    assert shared.sum() == clips
    assert shared.min() >= 1


def test_counts_of_the_whole_data_set_are_its_own() -> None:
    assert counts(11697, DFEW_COUNTS).tolist() == list(DFEW_COUNTS)


def test_easy_is_balanced_and_clean() -> None:
    truth = make_truth("train", 140, EASY, 0)
    assert np.bincount(truth.true_label).tolist() == [20] * 7
    assert not truth.noisy.any()
    assert set(truth.occlusion) == set(truth.distractor) == {"none"}
    neutral = truth.true_label == 2
    assert truth.centre[neutral].isna().all()
    assert (truth.peak[neutral] == 0).all()
    shown = truth[~neutral]
    assert shown.peak.between(*EASY.intensity).all()
    assert (shown.width / shown.frames).between(*EASY.key_width).all()
    assert ((shown.centre - shown.width / 2 >= 0) & (shown.centre + shown.width / 2 <= shown.frames - 1)).all()


def test_noise_has_its_rate_and_follows_confusions() -> None:
    truth = make_truth("train", 4000, replace(WILD, label_noise=0.3), 0)
    assert truth.noisy.sum() == 1200
    assert (truth.noisy == (truth.label != truth.true_label)).all()
    happy = truth[truth.noisy & (truth.true_label == 0)]
    seen = np.bincount(happy.label, minlength=7) / len(happy)
    assert np.abs(seen - CONFUSION[0]).max() < 0.1
    even = make_truth("train", 4000, replace(WILD, label_noise=0.3, noise="symmetric"), 0)
    happy = even[even.noisy & (even.true_label == 0)]
    assert np.abs(np.bincount(happy.label, minlength=7)[1:] / len(happy) - 1 / 6).max() < 0.06


def test_confusions_are_probabilities() -> None:
    assert np.allclose(CONFUSION.sum(axis=1), 1)
    assert not np.diag(CONFUSION).any()


def test_test_labels_are_right_unless_asked() -> None:
    assert not make_truth("test", 300, WILD, 0).noisy.any()
    assert make_truth("test", 300, replace(WILD, test_noise=0.2), 0).noisy.sum() == 60


def test_splits_share_no_face_and_some_sources_are_for_testing() -> None:
    train, test = make_truth("train", 700, WILD, 0), make_truth("test", 700, WILD, 0)
    assert not set(train.identity) & set(test.identity)
    assert set(train["style"]) < set(test["style"])
    assert not train.test_style.any()
    assert set(test["style"][test.test_style]) == set(test["style"]) - set(train["style"])
    assert 0.2 < (train.occlusion != "none").mean() < 0.4
    assert 0.1 < (train.distractor != "none").mean() < 0.4


def test_a_distractor_is_another_weaker_expression_apart_from_the_key() -> None:
    truth = make_truth("train", 700, replace(WILD, label_noise=0.0), 0)
    other = truth[truth.distractor != "none"]
    assert len(other) > 50
    names = np.array(["happy", "sad", "neutral", "angry", "surprise", "disgust", "fear"])
    assert (names[other.true_label] != other.distractor).all()
    assert (other.distractor_peak < 0.61 * other.peak).all()
    apart = (other.distractor_centre - other.centre).abs()
    assert (apart > (other.width + other.distractor_width) / 2).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_deterministic(seed: int) -> None:
    again = make_truth("train", 50, WILD, seed)
    assert make_truth("train", 50, WILD, seed).equals(again)
    assert not make_truth("train", 50, WILD, seed + 1).equals(again)


def test_one_random_frame_cannot_be_enough() -> None:
    """Even a judge who never errs on a frame that shows a tenth of the expression loses 15 points to 100 % on clips."""
    truth = make_truth("test", 700, EASY, 0)
    shown = []
    for row in truth[truth.true_label != 2].itertuples():
        curve = envelope(row.frames, row.centre, row.width, row.onset, row.offset)  # type: ignore[arg-type]
        shown.append((curve > 0.1).mean())
    hidden = 1 - np.mean(shown)  # taken for neutral, and wrong
    assert 6 / 7 * hidden > 0.3


def test_roles_are_played_as_asked() -> None:
    roles = [Role("contempt", 3, 20), Role("neutral", 4, 9), Role("calm", 4, 31, (0.5, 1.0)), Role("happy", 5, 6)]
    clips = cast(roles, replace(WILD, intensity=(0.2, 0.8)), 0)
    assert [clip["frames"] for clip in clips] == [20, 9, 31, 6]
    assert [clip["identity"][-1] for clip in clips] == ["3", "4", "4", "5"]
    assert [clip["label"] for clip in clips] == [clip["true_label"] for clip in clips] == [7, 2, 11, 0]
    assert clips[1]["peak"] == 0
    assert 0.5 <= clips[2]["peak"] <= 0.8
    assert set(clips[0]) == set(make_truth("train", 7, WILD, 0).columns)
    assert cast(roles[:2], WILD, 1) == cast(roles, WILD, 1)[:2]


@pytest.mark.parametrize("frames", [4, 17, 60])
def test_from_rest_to_the_peak(frames: int) -> None:
    for seed in range(20):
        clip = cast([Role("fear", 0, frames, to_apex=True)], EASY, seed)[0]
        curve = envelope(frames, clip["centre"], clip["width"], clip["onset"], clip["offset"])
        assert curve[0] == 0
        assert curve[-1] == 1
        assert (np.diff(curve) >= 0).all()
