"""Sources look alike within and unlike between."""

import numpy as np
from PIL import Image

from dfer.datasets.synthetic.style import Camera, make_style


def shot(number: int, strength: float, seed: int = 0) -> np.ndarray:
    picture = Image.fromarray(np.full((64, 64, 3), 128, np.uint8))
    camera = Camera(make_style(number, strength), 64, np.random.default_rng(0))
    return camera(picture, np.random.default_rng(seed)).astype(int)


def test_no_strength_changes_nothing() -> None:
    assert np.abs(shot(3, 0.0) - 128).max() <= 1


def test_sources_differ() -> None:
    means = np.array([shot(number, 1.0).mean(axis=(0, 1)) for number in range(8)])
    distance = np.abs(means[:, None] - means[None]).sum(axis=-1)
    assert (distance[np.triu_indices(8, 1)] > 1).all()


def test_noise_differs_between_frames() -> None:
    noisy = next(number for number in range(50) if make_style(number, 1.0).noise > 5)
    assert (shot(noisy, 1.0, 0) != shot(noisy, 1.0, 1)).any()


def test_every_effect_occurs() -> None:
    styles = [make_style(number, 1.0) for number in range(40)]
    assert any(style.blur > 0.3 for style in styles)
    assert any(style.quality for style in styles)
    assert any(style.resolution < 1 for style in styles)
