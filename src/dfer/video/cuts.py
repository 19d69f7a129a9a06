"""Where one shot ends and the next begins."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.video.images import Frame

WIDE, HIGH = 32, 18  # pixels of the small picture
REACH: Final = 0.25  # of its sides: how far a pan may carry the picture from one frame to the next
FLAT: Final = 0.02  # of full brightness: a picture that varies less shows nothing to compare
OTHER: Final = 0.5  # 1 - correlation: another picture, whatever its colours
CHANGED: Final = 0.3  # 1 - correlation: another picture if its colours are others too
COLOURS: Final = 0.2  # share of the colour histogram that is elsewhere


class CutFinder:
    """Tell where a frame belongs to another shot than the one before.

    Frames are compared as small pictures: by the correlation of their brightness, at the shift that fits best, which
    neither light nor exposure nor a pan changes much, and in doubt by their colours. A picture without structure
    (black, white, overexposed) is skipped: the next one that shows something is compared with the last one that did.
    Where the frames change their size a new shot begins. Dissolves and other slow changes are no cuts.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._shape: tuple[int, ...] = ()

    def __call__(self, frame: Frame) -> bool:
        """Take the next frame and say whether it begins a new shot; the first one does not."""
        shape, self._shape = self._shape, frame.shape
        resized = shape not in ((), frame.shape)
        picture = _small(frame)
        if _brightness(picture).std() < FLAT:
            return resized
        last, self._last = self._last, picture
        return resized or (last is not None and _is_cut(last, picture))


def _is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    one, other = _brightness(before), _brightness(after)
    if 1 - _correlation(one, other) <= CHANGED:  # nearly always
        return False
    change = 1 - _best_correlation(one, other)
    return change > OTHER or (change > CHANGED and _colour_change(before, after) > COLOURS)


def _small(frame: Frame) -> NDArray[np.float32]:
    """Average a frame to the small picture, 0 to 1; of a large one only some pixels are looked at."""
    step = max(1, min(frame.shape[0] // (4 * HIGH), frame.shape[1] // (4 * WIDE)))
    picture = Image.fromarray(np.ascontiguousarray(frame[::step, ::step]))
    return np.asarray(picture.resize((WIDE, HIGH), Image.Resampling.BOX), np.float32) / np.float32(255)


def _brightness(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    grey: NDArray[np.float32] = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / spread if spread > one.size * (FLAT / 2) ** 2 else 0.0


def _best_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlate where two pictures meet, shifted against each other every way within reach."""
    far_down, far_across = int(HIGH * REACH), int(WIDE * REACH)
    best = -1.0
    for down in range(-far_down, far_down + 1):
        for across in range(-far_across, far_across + 1):
            here = one[max(0, down) : HIGH + min(0, down), max(0, across) : WIDE + min(0, across)]
            there = other[max(0, -down) : HIGH + min(0, -down), max(0, -across) : WIDE + min(0, -across)]
            best = max(best, _correlation(here, there))
    return best


def _colour_change(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Measure the share of the pixels that changed their colour, of 8 x 8 x 8; 0 to 1."""
    counts = [
        np.bincount((np.minimum(picture * 8, 7).astype(int) @ [64, 8, 1]).ravel(), minlength=512)
        for picture in (before, after)
    ]
    return float(np.abs(counts[0] - counts[1]).sum()) / (2 * WIDE * HIGH)
