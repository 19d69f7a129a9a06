"""What a source does to its pictures: light, colour cast, blur, sensor noise, compression, resolution."""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFilter


@dataclass(frozen=True)
class Style:
    """One source's look.

    ``light`` is a gain per colour; ``side`` and ``top`` darken away from the light; ``noise`` is in grey levels.
    """

    light: tuple[float, float, float]
    side: float
    top: float
    contrast: float
    blur: float
    noise: float
    quality: int | None
    resolution: float
    backdrop: tuple[tuple[int, int, int], tuple[int, int, int]]


def make_style(number: int, strength: float) -> Style:
    """Give source ``number`` its look, ``strength`` (0 to 1) away from a clean picture; the same whatever the seed."""
    rng = np.random.default_rng([31, number])
    cast = 1 + 0.28 * strength * rng.uniform(-1, 1, 3)
    gain = 1 + strength * rng.uniform(-0.5, 0.2)
    kinds = rng.random(4) < 0.4 + 0.2 * strength
    low, high = (rng.uniform(30, 210) + rng.uniform(-25, 25, 3) for _ in range(2))
    red, green, blue = (gain * cast / cast.mean()).tolist()
    return Style(
        light=(red, green, blue),
        side=float(0.5 * strength * rng.uniform(-1, 1)),
        top=float(0.3 * strength * rng.uniform(-1, 1)),
        contrast=float(1 + 0.35 * strength * rng.uniform(-1, 0.6)),
        blur=float(1.1 * strength * rng.random() * kinds[0]),
        noise=float(14 * strength * rng.random() * kinds[1]),
        quality=int(rng.integers(12, 55)) if strength > 0.5 and kinds[2] else None,
        resolution=float(rng.uniform(0.4, 0.7)) if strength > 0.5 and kinds[3] else 1.0,
        backdrop=((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2]))),
    )


class Camera:
    """Apply a style to the frames of one clip; noise differs from frame to frame, all else is still."""

    def __init__(self, style: Style, size: int, rng: np.random.Generator) -> None:
        self.style = style
        self.size = size
        x = np.linspace(-1, 1, size, dtype=np.float32)
        shade = 1 - np.maximum(0, style.side * x[None, :] + style.top * x[:, None])
        self.gain = (style.contrast * shade[..., None] * np.array(style.light, dtype=np.float32)).astype(np.float32)
        self.offset = np.float32(110 * (1 - style.contrast))
        self.grain = rng.standard_normal((size + 16, size + 16, 3), dtype=np.float32) * style.noise

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Photograph a drawn frame with noise of its own, ``-> (S, S, 3)``."""
        style = self.style
        if style.resolution < 1:
            small = max(8, round(self.size * style.resolution))
            picture = picture.resize((small, small), Image.Resampling.BILINEAR)
            picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        if style.blur > 0.15:
            picture = picture.filter(ImageFilter.GaussianBlur(style.blur * self.size / 112))
        pixels = np.asarray(picture, dtype=np.float32) * self.gain + self.offset
        if style.noise > 0.5:
            dy, dx = rng.integers(0, 16, 2)
            pixels += self.grain[dy : dy + self.size, dx : dx + self.size]
        frame = np.clip(pixels, 0, 255).astype(np.uint8)
        if style.quality is not None:
            frame = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(frame, quality=style.quality, colorsubsampling="420"))
        return np.asarray(frame, np.uint8)
