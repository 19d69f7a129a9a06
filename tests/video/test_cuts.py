"""A cut is found at its frame; pans, light, flashes and black pictures are none."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dfer.video.cuts import CutFinder

Picture = NDArray[np.uint8]
BLACK, WHITE = np.zeros((180, 320, 3), np.uint8), np.full((180, 320, 3), 255, np.uint8)


def scene(seed: int, height: int = 180, width: int = 320) -> Picture:
    """Soft blobs of colour, as different scenes have them."""
    blobs = np.random.default_rng(seed).integers(0, 200, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC))


def cuts(frames: list[Picture]) -> list[int]:
    finder = CutFinder()
    return [index for index, frame in enumerate(frames) if finder(frame)]


def lit(frame: Picture, gain: float, offset: float = 0.0) -> Picture:
    return (frame * gain + offset).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(180, 320), (1080, 1920), (240, 135), (17, 23)])
def test_a_cut_is_found_at_its_frame(size: tuple[int, int]) -> None:
    shots = [scene(seed, *size) for seed in (0, 0, 0, 1, 1, 2, 0, 0)]
    assert cuts(shots) == [3, 5, 6]


def test_the_first_frame_is_no_cut_and_noise_neither() -> None:
    rng = np.random.default_rng(0)
    noisy = [lit(scene(0) + rng.normal(0, 20, (180, 320, 3)), 1) for _ in range(20)]
    assert cuts(noisy) == []


@pytest.mark.parametrize(("gain", "offset"), [(0.2, 0), (0.5, 40), (1.5, 0), (2.0, 0), (1.0, 80), (1.5, 60)])
def test_light_is_no_cut(gain: float, offset: float) -> None:
    assert cuts([scene(0), lit(scene(0), gain, offset), scene(0)]) == []


@pytest.mark.parametrize("speed", [5, 20, 60])
def test_a_pan_is_no_cut(speed: int) -> None:
    wide = scene(3, 360, 1600)
    frames = [wide[90:270, at : at + 320] for at in range(0, 1280, speed)]
    assert cuts(frames) == []
    assert cuts([wide[at : at + 180, 0:320] for at in range(0, 180, max(1, speed // 2))]) == []


@pytest.mark.parametrize("between", [[WHITE], [BLACK] * 30, [WHITE, BLACK]])
def test_flat_pictures_are_skipped(between: list[Picture]) -> None:
    assert cuts([scene(0), *between, scene(0)]) == []
    assert cuts([scene(0), *between, scene(1)]) == [1 + len(between)]
    assert cuts([*between, scene(0)]) == []
    assert cuts(between * 3) == []


def test_another_size_of_the_frames_is_a_cut() -> None:
    assert cuts([scene(0), scene(0, 360, 640), scene(0, 360, 640), BLACK]) == [1, 3]


def test_a_frame_of_one_pixel_is_no_reason_to_stop() -> None:
    assert cuts([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)]) == []


def _frames(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(width=320, height=180, format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def real(test_data: Path) -> list[list[Picture]]:
    names = ("single_face", "WolfgangLanger_Pexels", "no_face")
    return [_frames(test_data / "videos" / f"{name}.mp4") for name in names]


def test_cuts_between_real_videos_are_found_and_no_others(real: list[list[Picture]]) -> None:
    one, two, three = real
    assert cuts(one + two + three + one) == [len(one), len(one + two), len(one + two + three)]


def test_every_cut_between_real_videos_is_found_wherever_it_falls(real: list[list[Picture]]) -> None:
    one, two, three = (video[::7] for video in real)
    for before, after in ((one, two), (two, three), (three, one)):
        for first, second in zip(before * 3, after, strict=False):
            assert cuts([first, second, second]) == [1]


def test_fast_movement_light_and_pans_in_real_videos_are_no_cuts(real: list[list[Picture]]) -> None:
    for video in real:
        assert cuts(video[::5]) == []  # at a fifth of the frame rate
        for frame in video[::40]:
            assert cuts([frame, lit(frame, 2.5), frame, lit(frame, 0.3), frame]) == []
            assert all(cuts([a, b]) == [] for a, b in pairwise([frame[:, at : at + 160] for at in range(0, 160, 30)]))
