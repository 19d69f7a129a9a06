import colorsys
import itertools

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


def by_hand(pixel: np.ndarray, amount: Jitter) -> np.ndarray:
    """The four operations on a frame of one colour, in real numbers."""
    values = (pixel * amount.brightness).clip(0, 255)
    grey = values @ [0.299, 0.587, 0.114]
    values = (grey + (values - grey) * amount.contrast).clip(0, 255)
    grey = values @ [0.299, 0.587, 0.114]
    values = (grey + (values - grey) * amount.saturation).clip(0, 255)
    hue, saturation, value = colorsys.rgb_to_hsv(*values / 255)
    return np.array(colorsys.hsv_to_rgb((hue + int(amount.hue * 255) / 255) % 1, saturation, value)) * 255


COLOURS = np.array(list(itertools.product((0, 1, 63, 128, 191, 254, 255), repeat=3)), np.uint8)


def difference_by_hand(amount: Jitter) -> np.ndarray:
    expected = np.array([by_hand(colour.astype(float), amount) for colour in COLOURS])
    found = ours(list(COLOURS[:, None, None]), amount)[:, 0, 0]  # each a frame of its own
    return np.abs(found - expected)


@pytest.mark.parametrize("turn", np.linspace(-0.6, 0.6, 25))
def test_any_turn_of_any_colour(turn: float) -> None:
    difference = difference_by_hand(Jitter(1, 1, 1, turn))
    assert difference.max() < 1.25
    assert difference.mean() < 0.3


@pytest.mark.parametrize("factors", list(itertools.product((0, 0.4, 2), repeat=3)))
def test_the_strongest_jitter_on_any_colour(factors: tuple[float, float, float]) -> None:
    difference = difference_by_hand(Jitter(*factors, 0.25))
    assert difference.max() < 4  # what one operation cuts off, the next doubles
    assert difference.mean() < 1.3


@pytest.mark.parametrize(
    "amount",
    [Jitter(1e-6, 1 + 1e-6, 1 - 1e-6, 0), Jitter(9, 1, 1, 0.5), Jitter(1, 9, 1, 0), Jitter(1, 1, 9, -0.2)],
)
def test_amounts_that_no_draw_gives(amount: Jitter) -> None:
    assert difference_by_hand(amount).max() < 7  # the grey level in between is rounded, then multiplied by 8


@pytest.mark.parametrize("count", [1, 4, 7])
def test_a_frame_is_the_same_whichever_are_with_it(count: int) -> None:
    rng = np.random.default_rng(5)
    frames = [picture(rng, 1.2) for _ in range(count)]
    amount = Jitter(1.21, 0.87, 1.13, 0.07)
    together = ours(frames, amount)
    for frame, found in zip(frames, together):
        assert np.array_equal(ours([frame], amount)[0], found)


def test_the_same_with_any_number_of_threads() -> None:
    clip = torch.randint(0, 256, (16, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    amounts = [Jitter.draw(0.4, np.random.default_rng(seed)) for seed in range(4)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [jitter(clip, amount) for amount in amounts]
        torch.set_num_threads(3)
        assert all(torch.equal(jitter(clip, amount), found) for amount, found in zip(amounts, alone))
    finally:
        torch.set_num_threads(threads)


def test_the_clip_is_left_alone_and_any_layout_will_do() -> None:
    frames = np.stack([picture(np.random.default_rng(3), 1.0) for _ in range(5)])
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)  # channels last in memory
    amount = Jitter(0.8, 1.3, 1.2, -0.05)
    found = jitter(pixels, amount)
    assert found.is_contiguous()
    assert torch.equal(found, jitter(pixels.contiguous(), amount))
    assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), frames)
