"""Which frames of a clip are read. A clip with fewer frames than asked for repeats them in order."""

import numpy as np
from numpy.typing import NDArray


def _checked(frames: int) -> int:
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    return frames


def segment_centres(count: int, frames: int) -> NDArray[np.int64]:
    """Choose the middle frame of each of ``frames`` equal segments: ``floor((2 i + 1) n / 2 T)``.

    For ``count < frames`` the same formula repeats every frame about equally often, in order, both ends included.

    Example:
        >>> segment_centres(70, 4)
        array([ 8, 26, 43, 61])
        >>> segment_centres(3, 8)
        array([0, 0, 0, 1, 1, 2, 2, 2])
    """
    if count < 1:
        raise ValueError(f"a clip has at least one frame, got count={count}")
    return (2 * np.arange(frames, dtype=np.int64) + 1) * count // (2 * frames)


class SegmentCentres:
    """The middle frame of each of T equal segments; draws nothing.

    Example:
        >>> SegmentCentres(4)(16, np.random.default_rng(0))
        array([ 2,  6, 10, 14])
    """

    def __init__(self, frames: int = 16) -> None:
        self.frames = _checked(frames)

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return segment_centres(count, self.frames)


class RandomInSegments:
    """One random frame of each of T equal segments ``[floor(n i / T), floor(n (i + 1) / T))``.

    A clip with fewer than T frames has nothing to choose from: it is spread by :func:`segment_centres`.

    Example:
        >>> chosen = RandomInSegments(4)(16, np.random.default_rng(0))
        >>> chosen // 4
        array([0, 1, 2, 3])
    """

    def __init__(self, frames: int = 16) -> None:
        self.frames = _checked(frames)

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if count < self.frames:
            return segment_centres(count, self.frames)
        edges = np.arange(self.frames + 1, dtype=np.int64) * count // self.frames
        chosen: NDArray[np.int64] = rng.integers(edges[:-1], edges[1:])
        return chosen


class M3DFELFrames:
    """The older way: ``min(floor(n i / T) + U{0..T-1}, n - 1)``, drawn for every frame, in training and evaluation.

    Paper: M3DFEL's loader, where T is 16. The draw is as wide as T whatever the length of a segment, so that
    the frames of ordinary clips come out of order (about a quarter of the neighbours at 70 frames); offered to
    reproduce published results.

    Example:
        >>> M3DFELFrames(16)(1, np.random.default_rng(0)).max()
        np.int64(0)
    """

    def __init__(self, frames: int = 16) -> None:
        self.frames = _checked(frames)

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if count < 1:
            raise ValueError(f"a clip has at least one frame, got count={count}")
        start = np.arange(self.frames, dtype=np.int64) * count // self.frames
        chosen: NDArray[np.int64] = np.minimum(start + rng.integers(0, self.frames, self.frames), count - 1)
        return chosen
