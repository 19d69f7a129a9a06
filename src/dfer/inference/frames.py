"""The frames of a track that the model may still have to see, in bounded memory."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from dfer.video.images import Frame


class Frames:
    """Keeps frames by their position in a track, until they are forgotten or thinned out.

    Args:
        stride: only frames whose position it divides are kept; `thin` doubles it.
    """

    def __init__(self) -> None:
        self.stride = 1
        self._positions: deque[int] = deque()
        self._frames: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, position: int, frame: Frame) -> None:
        """Keep the next frame, unless thinning leaves it out."""
        if position % self.stride == 0:
            self._positions.append(position)
            self._frames.append(frame)

    def forget(self, before: int) -> None:
        """Drop the frames before a position, all but the newest frame."""
        while len(self._frames) > 1 and self._positions[0] < before:
            self._positions.popleft()
            self._frames.popleft()

    def thin(self) -> None:
        """Keep every other frame only, also of those to come."""
        self.stride *= 2
        kept = [(position, frame) for position, frame in zip(self._positions, self._frames)
                if position % self.stride == 0]  # fmt: skip
        kept = kept or [(self._positions[-1], self._frames[-1])]
        self._positions = deque(position for position, _ in kept)
        self._frames = deque(frame for _, frame in kept)

    def read(self, wanted: NDArray[np.int64]) -> list[Frame]:
        """Give the frames of the wanted positions; a nearest one stands in for a frame that was thinned out."""
        positions = np.asarray(self._positions)
        places = np.abs(positions[None, :] - wanted[:, None]).argmin(axis=1)
        return [self._frames[place] for place in places.tolist()]
