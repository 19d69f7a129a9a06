"""Frames of a clip side by side."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def film_strip(clip: NDArray[np.uint8], columns: int = 8, height: int = 72) -> bytes:
    """Lay frames of a clip side by side in time, evenly chosen, as a JPEG.

    Shape:
        clip ``(T, H, W, 3)``.

    Raises:
        ValueError: no frame.
    """
    if clip.ndim != 4 or not len(clip):
        raise ValueError(f"clip {clip.shape}; wanted (T, H, W, 3) with T > 0")
    chosen = np.unique(np.linspace(0, len(clip) - 1, min(columns, len(clip))).round().astype(int))
    width = round(clip.shape[2] * height / clip.shape[1])
    strip = Image.new("RGB", (len(chosen) * (width + 2) - 2, height), "white")
    for place, frame in enumerate(chosen):
        strip.paste(Image.fromarray(clip[frame]).resize((width, height)), (place * (width + 2), 0))
    buffer = io.BytesIO()
    strip.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
