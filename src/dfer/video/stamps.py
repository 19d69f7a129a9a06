"""Index and time of each decoded frame, whatever its stamps are worth."""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

MOST_PENDING = 4096
JUMP = 1.0  # seconds backwards that are a new beginning, not two frames out of order


@dataclass
class Stretch:
    """How many frames something befell, and between which times.

    Example:
        >>> stretch = Stretch()
        >>> for seconds in (1.0, 1.1, 1.2):
        ...     stretch.add(seconds)
        >>> str(stretch)
        '3 frames between 1.0 s and 1.2 s'
    """

    count: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    def add(self, seconds: float) -> None:
        """Count one frame more."""
        self.count, self.first, self.last = self.count + 1, min(self.first, seconds), max(self.last, seconds)

    def __str__(self) -> str:
        if self.count == 1:
            return f"1 frame at {self.first:.1f} s"
        return f"{self.count} frames between {self.first:.1f} s and {self.last:.1f} s"


class Stamps:
    """Tell which of the video's frames each decoded one is, and which never came.

    Packets announce stamps in the order of decoding, frames come in the order of showing, and are counted as they
    come. Only stamps under way are kept.

    Attributes:
        trusted: set once something could not be decoded: an earlier stamp that is left over then is a frame that was
            lost, and counts; before, it is a stamp that is wrong.

    Args:
        unit: seconds per unit of the stamps.
        step: seconds to the next frame where a stamp says nothing.

    Example:
        >>> stamps = Stamps(unit=0.04, step=0.04)
        >>> stamps.trusted = True
        >>> for stamp in (7, 10, 8, 9):
        ...     stamps.expect(stamp)
        >>> stamps.place(7), stamps.place(9), str(stamps.lost)
        ((0, 0.0), (2, 0.08), '1 frame at 0.0 s')
    """

    def __init__(self, unit: float, step: float) -> None:
        self.unit, self.step = unit, step
        self.lost = Stretch()
        self.trusted = False
        self._pending: list[int] = []
        self._dropped: deque[int] = deque(maxlen=64)
        self._late = 0
        self._origin: int | None = None
        self._shift = 0.0
        self._index = -1
        self._stamp: int | None = None
        self._seconds: float | None = None

    def expect(self, stamp: int | None) -> None:
        """Announce a frame that the decoder was given."""
        if stamp is not None:
            heappush(self._pending, stamp)
            if len(self._pending) > MOST_PENDING:
                self._drop()

    def place(self, stamp: int | None) -> tuple[int, float]:
        """Give the next frame its index, and its seconds from the first one, which always grow."""
        if stamp is None and self._pending:
            stamp = self._pending[0]
        while stamp is not None and self._pending and self._pending[0] < stamp:
            self._drop()
        self._forget(stamp)
        if (
            stamp is not None and stamp in self._dropped
        ):  # not lost but late: the decoder gave frames in another order than their stamps
            self._dropped.remove(stamp)
            self.lost.count -= 1
            self._late += 1
        self._index += 1
        self._seconds = self._later(stamp)
        self._stamp = stamp
        return self._index, self._seconds

    def close(self) -> None:
        """Count what never came as lost."""
        while self._pending:
            self._drop()

    def _drop(self) -> None:
        stamp = heappop(self._pending)
        self._forget(stamp)
        if not self.trusted:
            return
        self._dropped.append(stamp)
        self.lost.add(max(0.0, self._raw(stamp)))
        if self._late:
            self._late -= 1
        else:
            self._index += 1

    def _forget(self, stamp: int | None) -> None:
        while self._pending and self._pending[0] == stamp:
            heappop(self._pending)

    def _raw(self, stamp: int) -> float:
        if self._origin is None:
            self._origin = stamp
            self._shift = 0.0 if self._seconds is None else self._seconds + self.step
        return (stamp - self._origin) * self.unit + self._shift

    def _later(self, stamp: int | None) -> float:
        last = self._seconds
        if last is None:
            return 0.0 if stamp is None else self._raw(stamp)
        if stamp is None or stamp == self._stamp:
            return last + self.step
        seconds = self._raw(stamp)
        if seconds > last:
            return seconds
        if last - seconds < JUMP:
            return last + self.step / 2
        self._shift += last + self.step - seconds
        return last + self.step
