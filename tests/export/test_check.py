"""Whether an exported model gives what the model gives, and how fast."""

import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dfer.backbones import r3d_18
from dfer.export.check import clips, difference, in_torch, speeds
from dfer.models import Recognizer
from dfer.types import InputSpec

SPEC = InputSpec(4, 16, ("happy", "sad"))


def mean(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.repeat(clip.mean(axis=(1, 2, 3, 4))[:, None], 2, axis=1).astype(np.float32)


def test_noise_is_the_same_each_time_and_of_every_brightness() -> None:
    np.testing.assert_array_equal(clips(2, SPEC), clips(2, SPEC))
    assert (clips(1, SPEC, seed=1) != clips(1, SPEC, seed=2)).any()
    assert clips(2, SPEC).dtype == np.uint8
    brightest = clips(200, SPEC).max(axis=(2, 3, 4))  # (200, 3)
    assert brightest.min() < 10
    assert brightest.max() > 245
    assert (np.ptp(brightest, axis=1) > 100).any()


def test_the_same_function_does_not_differ() -> None:
    assert difference(mean, mean, SPEC) == 0


@pytest.mark.parametrize("where", ["one clip", "the second of three", "a black clip"])
def test_a_difference_anywhere_is_found(where: str) -> None:
    def other(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = mean(clip)
        if where == "the second of three" and len(clip) == 3:
            found[1, 1] -= 0.25
        if len(clip) == 1 and (where == "a black clip") != clip.any():
            found += 0.25 * (where != "the second of three")
        return found

    assert difference(other, mean, SPEC) == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_infinitely_far(value: float) -> None:
    def broken(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(clip), 2), value, np.float32)

    with np.errstate(invalid="ignore"):
        assert difference(broken, mean, SPEC) == np.inf
        assert difference(broken, broken, SPEC) == np.inf


def test_speed_is_in_clips_per_second_of_interleaved_turns() -> None:
    turns = []

    def slow(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        turns.append("slow")
        time.sleep(0.02)
        return mean(clip)

    def quick(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        turns.append("quick")
        time.sleep(0.001)
        return mean(clip)

    found = speeds({"slow": slow, "quick": quick}, clips(2, SPEC), seconds=0.1)
    assert turns[:4] == ["slow", "quick", "slow", "quick"]
    assert 8 <= len(turns) <= 62
    assert 20 < found["slow"] <= 100
    assert found["quick"] > 2 * found["slow"]


def test_speed_forgets_the_first_turn() -> None:
    waits = iter([1.0] + [0.0] * 100)

    def warming(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(next(waits))
        return mean(clip)

    assert speeds({"it": warming}, clips(1, SPEC), seconds=0)["it"] > 5


def test_in_torch_runs_in_evaluation_and_in_the_precision_asked_for() -> None:
    torch.manual_seed(0)
    model = Recognizer(r3d_18(width=0.125), frames=4, size=16, num_classes=2, dropout=0.5).train()
    whole, half = in_torch(model), in_torch(model, torch.bfloat16)
    some = clips(2, SPEC)
    np.testing.assert_array_equal(whole(some), whole(some))
    assert whole(some).dtype == half(some).dtype == np.float32
    assert 0 < np.abs(whole(some) - half(some)).max() < 0.2
