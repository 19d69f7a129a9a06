"""Which windows a face's track gives, and what each step of its timeline is made of."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLOSE: Final = 1e-6
"""Seconds; time stamps are fractions that floats round."""
REACH: Final = 5.0
"""Time constants over which smoothing looks either way; beyond, a weight is below 0.7 %."""


def usual_gap(seconds: Sequence[float]) -> float:
    """Tell how long a frame is usually shown, 0 of a single one.

    Example:
        >>> usual_gap([0.0, 0.04, 0.08, 5.0])
        0.04
    """
    return float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0


class Window(NamedTuple):
    """A stretch of a track that the model sees at once.

    ``start`` and ``end`` are seconds of the video, ``first`` and ``stop`` positions among the track's frames. The steps
    of the timeline that lie wholly within it are ``first_step`` to ``stop_step``, without the latter.
    """

    start: float
    end: float
    first: int
    stop: int
    first_step: int
    stop_step: int


class Windows:
    """Tells the windows of a track as soon as their last frame has come.

    A window of ``window`` seconds begins every ``step`` seconds from the track's first frame on. Where frames are left
    over at the end, a last window is aligned to the end; a track shorter than a window has one window of all it has.
    A window in which no frame begins has the one still shown.

    Args:
        window: in seconds; None: one window, over the whole track.
        min_seconds: a shorter track has no window.

    Example:
        >>> windows = Windows(1.0, 0.5)
        >>> found = [one for number in range(20) for one in windows.add(number / 10)]
        >>> [(one.start, one.end) for one in found + list(windows.finish(2.0))]
        [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)]
    """

    def __init__(self, window: float | None, step: float, min_seconds: float = 0.0) -> None:
        self.window = window
        self.step = step
        self.min_seconds = min_seconds
        self.seconds = array("d")
        self._next = 0

    def add(self, seconds: float) -> Iterator[Window]:
        """Take the next frame's time; tell the windows that are complete now. They end before this frame."""
        self.seconds.append(seconds)
        if self.window is not None and seconds - self.seconds[0] >= self.min_seconds:
            yield from self._complete(self.window, seconds)

    def finish(self, end: float) -> Iterator[Window]:
        """Tell the windows that are left at the track's end."""
        start, count = self.seconds[0], len(self.seconds)
        if end - start < self.min_seconds - CLOSE:
            return
        last_end = -math.inf
        if self.window is not None:
            if self._next:
                last_end = start + (self._next - 1) * self.step + self.window
            for one in self._complete(self.window, end):
                last_end = one.end
                if one.stop == count:  # it holds the last frame, so it reaches as far as that is shown
                    one = one._replace(end=end, stop_step=self.steps)
                yield one
        if self.seconds[-1] < last_end - CLOSE:
            return
        begin = start if self.window is None else max(start, end - self.window)
        first_step = math.ceil((begin - start - CLOSE) / self.step)
        yield Window(begin, end, self._position(begin), count, first_step, self.steps)

    @property
    def steps(self) -> int:
        """Count the steps of the timeline so far: the last one holds the last frame."""
        return math.floor((self.seconds[-1] - self.seconds[0] + CLOSE) / self.step) + 1

    @property
    def needed(self) -> int:
        """Tell the first position whose frame a window to come may hold."""
        if self.window is None:
            return 0
        begin = min(self.seconds[0] + self._next * self.step, self.seconds[-1] - self.window)
        return max(0, self._position(begin) - 1)  # the one before may still be shown

    def step_times(self, end: float) -> list[tuple[float, float]]:
        """Lay steps over the track, from its first frame to its end without a gap."""
        starts = [self.seconds[0] + number * self.step for number in range(self.steps)]
        return list(zip(starts, [*starts[1:], end]))

    def _complete(self, window: float, until: float) -> Iterator[Window]:
        start = self.seconds[0]
        while start + self._next * self.step + window <= until + CLOSE:
            begin = start + self._next * self.step
            stop = self._position(begin + window)
            first = min(self._position(begin), stop - 1)
            stop_step = self._next + math.floor((window + CLOSE) / self.step)
            self._next += 1
            yield Window(begin, begin + window, first, stop, self._next - 1, stop_step)

    def _position(self, seconds: float) -> int:
        return bisect_left(self.seconds, seconds - CLOSE)


class Steps:
    """Makes each step of a timeline of the windows that hold it: their mean, smoothed over time where asked for.

    Smoothing looks both ways, so that it does not lag: each step becomes the mean of its neighbours, weighted by
    ``exp(-|dt| / smoothing)`` up to five time constants away.

    Args:
        smoothing: the time constant in seconds; 0: none.

    Example:
        >>> steps = Steps(0.5)
        >>> steps.add(Window(0.0, 1.0, 0, 10, 0, 2), np.array([0.2, 0.8]))
        >>> steps.add(Window(0.5, 1.5, 5, 15, 1, 3), np.array([0.6, 0.4]))
        >>> [(number, found.round(2).tolist()) for number, found in steps.settle(ended=True)]
        [(0, [0.2, 0.8]), (1, [0.4, 0.6]), (2, [0.6, 0.4])]
    """

    def __init__(self, step: float, smoothing: float = 0.0) -> None:
        self.reach = math.ceil(REACH * smoothing / step)
        away = np.abs(np.arange(-self.reach, self.reach + 1)) * step
        self.weights = np.exp(-away / smoothing) if smoothing else np.ones(1)
        self._means: list[NDArray[np.float64] | None] = []
        self._counts = array("q")
        self._final = 0
        self._settled = 0

    def add(self, window: Window, probabilities: NDArray[np.float64] | None) -> None:
        """Take what the model says of a window, None where it was not asked; windows come in order of their starts."""
        for number in range(window.first_step, window.stop_step):
            while number >= len(self._means):
                self._means.append(None)
                self._counts.append(0)
            if probabilities is not None:
                self._counts[number] += 1
                mean = self._means[number]
                self._means[number] = (
                    probabilities if mean is None else mean + (probabilities - mean) / self._counts[number]
                )
        self._final = window.first_step  # the windows to come begin no earlier

    def settle(self, ended: bool = False) -> Iterator[tuple[int, NDArray[np.float64] | None]]:
        """Give, once, the number and probabilities of each step that nothing to come can change.

        None where no window that holds it was asked for.
        """
        until = len(self._means) if ended else self._final - self.reach
        while self._settled < until:
            number = self._settled
            self._settled += 1
            yield number, self._smoothed(number)

    @property
    def settled(self) -> int:
        """Count the steps that were given."""
        return self._settled

    def _smoothed(self, number: int) -> NDArray[np.float64] | None:
        if self.reach == 0 or self._means[number] is None:
            return self._means[number]
        total, weights = 0.0, 0.0
        for other in range(max(0, number - self.reach), min(len(self._means), number + self.reach + 1)):
            mean = self._means[other]
            if mean is not None:
                weight = self.weights[other - number + self.reach]
                total, weights = total + weight * mean, weights + weight
        return np.asarray(total / weights)
