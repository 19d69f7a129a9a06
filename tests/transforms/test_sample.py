import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.transforms.sample import M3DFELFrames, RandomInSegments, SegmentCentres, segment_centres

counts = st.integers(1, 1000)
lengths = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


@given(counts, lengths, seeds)
def test_segments_are_in_order_and_in_range(count: int, frames: int, seed: int) -> None:
    for sampler in (RandomInSegments(frames), SegmentCentres(frames)):
        chosen = sampler(count, np.random.default_rng(seed))
        assert chosen.shape == (frames,)
        assert chosen.dtype == np.int64
        assert (np.diff(chosen) >= 0).all()
        assert chosen[0] >= 0
        assert chosen[-1] < count


@given(counts, lengths, seeds)
def test_one_frame_of_each_segment(count: int, frames: int, seed: int) -> None:
    chosen = RandomInSegments(frames)(count, np.random.default_rng(seed))
    if count >= frames:
        for i, frame in enumerate(chosen):
            assert i * count // frames <= frame < (i + 1) * count // frames


@given(counts, lengths)
def test_centres_follow_the_equation(count: int, frames: int) -> None:
    expected = [int(count * (i + 0.5) / frames + 1e-9) for i in range(frames)]
    assert segment_centres(count, frames).tolist() == expected


@given(st.integers(1, 15), seeds)
def test_a_short_clip_repeats_every_frame_about_equally(count: int, seed: int) -> None:
    visits = np.bincount(RandomInSegments(16)(count, np.random.default_rng(seed)), minlength=count)
    assert len(visits) == count
    assert visits.min() >= 1
    assert np.ptp(visits) <= 1


def test_every_frame_of_a_segment_comes_up() -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate([RandomInSegments(4)(10, rng) for _ in range(200)])
    assert set(drawn.tolist()) == set(range(10))


@given(counts, seeds)
def test_m3dfel_follows_its_formula(count: int, seed: int) -> None:
    chosen = M3DFELFrames(16)(count, np.random.default_rng(seed))
    draws = np.random.default_rng(seed).integers(0, 16, 16)
    assert chosen.tolist() == [min(int(count * i / 16) + int(draws[i]), count - 1) for i in range(16)]


@pytest.mark.parametrize(("count", "share"), [(70, 0.24), (28, 0.31)])
def test_m3dfel_scrambles_as_much_as_was_measured(count: int, share: float) -> None:
    rng = np.random.default_rng(0)
    backwards = np.mean([(np.diff(M3DFELFrames(16)(count, rng)) < 0).mean() for _ in range(2000)])
    assert backwards == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("sampler", [RandomInSegments, SegmentCentres, M3DFELFrames])
def test_bad_arguments(sampler: type[RandomInSegments]) -> None:
    with pytest.raises(ValueError, match="got 0"):
        sampler(0)
    with pytest.raises(ValueError, match="count=0"):
        sampler(16)(0, np.random.default_rng(0))
