import numpy as np
import pytest
import torch

from dfer.transforms import ClipTransform, EvalTransform, TrainTransform
from dfer.transforms.sample import M3DFELFrames, RandomInSegments, SegmentCentres


class Film:
    """A clip whose frame i is all of grey value i, and what was asked of it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

    def read(self, wanted: np.ndarray) -> list[np.ndarray]:
        self.asked = wanted.tolist()
        return [np.full((20, 24, 3), index, np.uint8) for index in wanted]


@pytest.mark.parametrize("count", [1, 5, 16, 100])
@pytest.mark.parametrize("transform", [TrainTransform(8, 32), EvalTransform(8, 32)])
def test_shape_and_type(transform: ClipTransform, count: int) -> None:
    film = Film(count)
    clip = transform(count, film.read, np.random.default_rng(0))
    assert clip.shape == (8, 3, 32, 32)
    assert clip.dtype == torch.uint8
    assert len(film.asked) == 8


def test_evaluation_takes_the_centres_and_no_draw() -> None:
    film = Film(70)
    clip = EvalTransform(16, 24)(70, film.read, np.random.default_rng(0))
    assert film.asked == [int(70 * (i + 0.5) / 16) for i in range(16)]
    assert clip[:, 0, 0, 0].tolist() == film.asked
    assert torch.equal(clip, EvalTransform(16, 24)(70, film.read, np.random.default_rng(1)))


def test_sampling_is_an_option_of_both() -> None:
    assert isinstance(TrainTransform().sample, RandomInSegments)
    assert isinstance(EvalTransform().sample, SegmentCentres)
    assert isinstance(TrainTransform(sampling="m3dfel").sample, M3DFELFrames)
    assert isinstance(EvalTransform(sampling="m3dfel").sample, M3DFELFrames)
    assert isinstance(EvalTransform(sampling="random").sample, RandomInSegments)
    for preset in (TrainTransform, EvalTransform):
        with pytest.raises(ValueError, match="one of segments, m3dfel, random, got 'windows'"):
            preset(sampling="windows")
