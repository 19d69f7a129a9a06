import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from dfer.transforms.jitter import Jitter, jitter


def picture(rng: np.random.Generator, colourful: float) -> np.ndarray:
    """Smooth colours and noise, from nearly grey to saturated."""
    cells = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(cells).resize((48, 48), Image.Resampling.BICUBIC), dtype=np.float64)
    grey = smooth.mean(axis=2, keepdims=True)
    return (grey + colourful * (smooth - grey) + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)


def by_pillow(frame: np.ndarray, amount: Jitter) -> np.ndarray:
    """What torchvision does to a PIL image, in our order."""
    image = ImageEnhance.Brightness(Image.fromarray(frame)).enhance(amount.brightness)
    image = ImageEnhance.Contrast(image).enhance(amount.contrast)
    image = ImageEnhance.Color(image).enhance(amount.saturation)
    if not amount.hue:
        return np.asarray(image)
    hue, saturation, value = image.convert("HSV").split()
    turned = Image.fromarray(np.asarray(hue) + np.uint8(int(amount.hue * 255) % 256))
    return np.asarray(Image.merge("HSV", (turned, saturation, value)).convert("RGB"))


def ours(frames: list[np.ndarray], amount: Jitter) -> np.ndarray:
    return jitter(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), amount).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("strength", [0.2, 0.4, 0.8])
def test_within_one_level_of_pillow(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    frames = [picture(rng, colourful) for colourful in (0.1, 0.5, 1.0, 1.5, 0.0)]
    amount = Jitter.draw(strength, rng)
    expected = np.stack([by_pillow(frame, amount) for frame in frames]).astype(int)
    difference = np.abs(ours(frames, amount).astype(int) - expected)
    assert difference.mean(axis=(1, 2, 3)).max() < 1.0
    assert np.percentile(difference, 99) <= 5


@pytest.mark.parametrize(
    "amount",
    [Jitter(1.3, 1, 1, 0), Jitter(0.6, 1, 1, 0), Jitter(1, 1.4, 1, 0), Jitter(1, 0.6, 1, 0), Jitter(1, 1, 1.4, 0),
     Jitter(1, 1, 0.6, 0), Jitter(1, 1, 0, 0), Jitter(0, 1, 1, 0)],
)  # fmt: skip
def test_each_operation_by_itself(amount: Jitter) -> None:
    frame = picture(np.random.default_rng(0), 1.0)
    difference = np.abs(ours([frame], amount)[0].astype(int) - by_pillow(frame, amount).astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.2


@pytest.mark.parametrize("turn", [-0.5, -0.1, -1 / 255, 1 / 255, 0.1, 1 / 3, 0.5])
def test_hue_by_itself(turn: float) -> None:
    frame = picture(np.random.default_rng(1), 1.0)
    amount = Jitter(1, 1, 1, turn)
    difference = np.abs(ours([frame], amount)[0].astype(int) - by_pillow(frame, amount).astype(int))
    assert difference.mean() < 1.0


def test_nothing_drawn_changes_nothing() -> None:
    frame = picture(np.random.default_rng(0), 1.0)
    assert np.array_equal(ours([frame], Jitter(1, 1, 1, 0))[0], frame)


def test_contrast_is_a_frame_s_own() -> None:
    dark, bright = np.full((4, 4, 3), 40, np.uint8), np.full((4, 4, 3), 200, np.uint8)
    assert np.array_equal(ours([dark, bright], Jitter(1, 0.5, 1, 0)), np.stack([dark, bright]))


def test_grey_stays_grey() -> None:
    frame = picture(np.random.default_rng(0), 0.0)
    frame[:] = frame[:, :, :1]
    for amount in (Jitter(1, 1, 1.4, 0.3), Jitter(1.2, 0.7, 0.6, -0.1)):
        turned = ours([frame], amount)[0].astype(int)
        assert np.ptp(turned, axis=2).max() <= 1


def test_draws_stay_in_their_ranges() -> None:
    drawn = np.array([Jitter.draw(0.4, np.random.default_rng(seed)) for seed in range(300)])
    assert drawn[:, :3].min() >= 0.6
    assert drawn[:, :3].max() <= 1.4
    assert np.abs(drawn[:, 3]).max() <= 0.1
    assert drawn.std(axis=0).min() > 0.04
