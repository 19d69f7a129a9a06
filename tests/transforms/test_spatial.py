import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dfer.transforms.spatial import Box, EvalPixels, TrainPixels, crop, draw_box, resize


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 300))
def test_a_crop_lies_in_the_frame(seed: int, height: int, width: int) -> None:
    box = draw_box((0.08, 1.0), np.random.default_rng(seed))
    part = crop(np.zeros((height, width, 3), np.uint8), box)
    assert 1 <= part.shape[0] <= height
    assert 1 <= part.shape[1] <= width
    assert part.shape[0] == pytest.approx(box.height * height, abs=1)


def test_crops_keep_the_asked_share_and_move() -> None:
    boxes = np.array([draw_box((0.5, 0.8), np.random.default_rng(seed)) for seed in range(500)])
    area = boxes[:, 2] * boxes[:, 3]
    assert 0.5 <= area.min() < 0.52
    assert 0.78 < area.max() <= 0.8
    ratio = boxes[:, 3] / boxes[:, 2]
    assert 3 / 4 - 1e-9 <= ratio.min() < 0.78
    assert 1.3 < ratio.max() <= 4 / 3 + 1e-9
    assert boxes[:, 0].std() > 0.04
    assert boxes[:, 1].std() > 0.04


def test_a_draw_that_never_fits_takes_the_whole_frame() -> None:
    assert draw_box((1.0, 1.0), np.random.default_rng(0), ratio=(2.0, 3.0)) == Box(0, 0, 1, 1)


@pytest.mark.parametrize("side", [20, 61, 112, 224])
def test_resize_is_pillow_s_antialiased_bilinear(side: int) -> None:
    frame = noise(90, 77)
    expected = np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR))
    found = resize([frame, frame], side)[1].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_frames_of_different_sizes_in_one_clip() -> None:
    frames = [noise(40, 30), noise(64, 64, 1), noise(40, 30, 2)]
    clip = resize(frames, 32)
    assert clip.shape == (3, 3, 32, 32)
    for frame, found in zip(frames, clip):
        assert torch.equal(resize([frame], 32)[0], found)
    assert TrainPixels(32)(frames, np.random.default_rng(0)).shape == (3, 3, 32, 32)


def by_planes(frame: np.ndarray) -> np.ndarray:
    """The same frame, one plane after the other in memory, as a packed copy of raw pixels gives it."""
    return np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0)


@pytest.mark.parametrize("size", [24, 32, 40])
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(0.1, 0.2, 0.7, 0.75)])
def test_frames_that_lie_plane_by_plane(size: int, box: Box) -> None:
    frames = [crop(noise(32, 32, seed), box) for seed in range(3)]
    expected = resize(frames, size)
    for some in ([by_planes(frame) for frame in frames], [frames[0], by_planes(frames[1]), frames[2]]):
        clip = resize(some, size)
        assert clip.is_contiguous()
        assert torch.equal(clip, expected)


def test_a_frame_of_the_asked_size_is_copied_as_it_is() -> None:
    frames = [noise(32, 32), by_planes(noise(32, 32, 1))]
    clip = resize(frames, 32)
    for frame, found in zip(frames, clip):
        assert np.array_equal(found.permute(1, 2, 0).numpy(), frame)
    before = frames[1].copy()
    clip.fill_(7)
    assert np.array_equal(frames[1], before)


def test_one_draw_per_clip() -> None:
    frame = noise(64, 48)
    for seed in range(8):
        clip = TrainPixels(32)([frame] * 5, np.random.default_rng(seed))
        assert clip.dtype == torch.uint8
        assert clip.is_contiguous()
        assert (clip == clip[:1]).all()


def test_draws_differ_between_clips_and_repeat_with_the_generator() -> None:
    frame, pixels = noise(64, 64), TrainPixels(32)
    first, again, other = (pixels([frame], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_flip() -> None:
    frame = noise(32, 32)
    plain, mirrored = (TrainPixels(32, crop_scale=(1, 1), flip=flip, jitter=0) for flip in (0, 1))
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    assert torch.equal(plain([frame], rngs[0]).flip(-1), mirrored([frame], rngs[1]))


def test_read_only_frames_are_left_alone() -> None:
    frame = noise(32, 32)
    frame.setflags(write=False)
    before = frame.copy()
    for pixels in (TrainPixels(32), EvalPixels(32), EvalPixels(16)):
        pixels([frame], np.random.default_rng(0)).fill_(7)
    assert np.array_equal(frame, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "got 0"),
        ({"crop_scale": (0.0, 1.0)}, r"\(0.0, 1.0\)"),
        ({"crop_scale": (0.9, 0.8)}, "0.9"),
        ({"flip": 1.5}, "1.5"),
        ({"jitter": -0.1}, "-0.1"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainPixels(**arguments)
