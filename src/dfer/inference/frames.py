"""The frames of a track that the model may still have to see, in bounded memory."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfer.video.images import Frame

BLOCK: Final = 64
"""Frames that lie together in memory: thousands of small arrays, each between the temporary ones of its making, would
leave holes and take almost twice as much."""


class Frames:
    """Keeps frames of one size by their position in a track, until they are forgotten or thinned out."""

    def __init__(self) -> None:
        self.stride = 1
        """Only frames whose position it divides are kept."""
        self._positions: deque[int] = deque()
        self._frames: deque[Frame] = deque()
        self._block: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, position: int, frame: Frame) -> None:
        """Keep a copy of the next frame, unless thinning leaves it out."""
        if position % self.stride == 0:
            self._keep(position, frame)

    def forget(self, before: int) -> None:
        """Drop the frames before a position, all but the newest frame."""
        while len(self._frames) > 1 and self._positions[0] < before:
            self._positions.popleft()
            self._frames.popleft()

    def thin(self) -> None:
        """Keep every other frame only, also of those to come; but one in any case."""
        self.stride *= 2
        self._block.clear()
        for left in reversed(range(len(self._frames))):
            position, frame = self._positions.popleft(), self._frames.popleft()
            if position % self.stride == 0 or not (left or self._frames):
                self._keep(position, frame)

    def read(self, wanted: NDArray[np.int64]) -> list[Frame]:
        """Give the frames of the wanted positions; a nearest one stands in for a frame that was thinned out."""
        positions = np.asarray(self._positions)
        places = np.abs(positions[None, :] - wanted[:, None]).argmin(axis=1)
        return [self._frames[place] for place in places.tolist()]

    def _keep(self, position: int, frame: Frame) -> None:
        if not self._block:
            self._block.extend(np.empty((BLOCK, *frame.shape), np.uint8))
        place = self._block.popleft()
        place[:] = frame
        self._positions.append(position)
        self._frames.append(place)
