"""One face while a video is read: its frames, its windows, what the model says of them."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.errors import InputError
from dfer.figures.film_strip import film_strip
from dfer.inference.frames import Frames
from dfer.inference.timeline import Boxes, FaceTimeline, Moment, Peak, Reason
from dfer.inference.windows import CLOSE, Steps, Window, Windows, usual_gap
from dfer.transforms.spatial import resize
from dfer.video.detect import Box
from dfer.video.images import Frame

STRIP: Final = 8
"""Frames of a film strip."""
SHORTEST_STEP: Final = 0.04
"""Seconds; finer than the frames of most videos says nothing more."""


@dataclass(frozen=True)
class Settings:
    """How a face's timeline is made.

    Args:
        window: seconds that the model sees at once; None: the whole track.
        step: seconds from one window to the next, and of a step of the timeline.
        min_face: pixels; a window in which the face is smaller (the median of its frames) is not classified. 0: any.
        min_seconds: a track that is shorter is not classified.
        unsure: where no class is at least as probable, nothing is said.
        smoothing: time constant in seconds, see `dfer.inference.windows.Steps`; 0: none.

    Raises:
        InputError: with the value that makes no sense.
    """

    window: float | None = 2.0
    step: float = 0.5
    min_face: int = 48
    min_seconds: float = 0.5
    unsure: float = 0.4
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not SHORTEST_STEP <= self.step < np.inf:
            raise InputError(f"step {self.step}: give at least {SHORTEST_STEP} seconds")
        if self.window is not None and not self.step <= self.window < np.inf:
            raise InputError(f"window {self.window}: give at least the step's {self.step} seconds, or no window at all")
        for name, value in (("min_face", self.min_face), ("min_seconds", self.min_seconds)):
            if not 0 <= value < np.inf:
                raise InputError(f"{name} {value}: give 0 or more")
        if not 0 <= self.unsure <= 1:
            raise InputError(f"unsure {self.unsure}: a probability lies between 0 and 1")
        if not 0 <= self.smoothing <= 3600:
            raise InputError(f"smoothing {self.smoothing}: give 0 to 3600 seconds")


class Strip(NamedTuple):
    """The film strip of a window, until the steps that it holds are settled."""

    window: Window
    probabilities: NDArray[np.float64]
    jpeg: bytes


class FaceTrack:
    """Collects a face's frames, tells the windows to classify, and makes its timeline of the answers.

    Frames are kept at the model's size, as `dfer.transforms.EvalTransform` would resize them, and only as long as a
    window may need them; else numbers alone grow with the video's length.

    Args:
        size: of the frames that the model takes.
    """

    def __init__(self, settings: Settings, labels: Sequence[str], size: int) -> None:
        self.settings = settings
        self.labels = tuple(labels)
        self.size = size
        self.frames = Frames()
        self.windows = Windows(settings.window, settings.step, settings.min_seconds)
        self.steps = Steps(settings.step, settings.smoothing)
        self.end = 0.0
        self._index, self._boxes = array("q"), array("f")
        self._strips: list[Strip] = []
        self._peaks: dict[int, Peak] = {}
        self._found: list[NDArray[np.float64] | None] = []

    @property
    def start(self) -> float:
        """Tell when the face appears, in seconds."""
        return self.windows.seconds[0]

    def add(self, index: int, seconds: float, box: Box, crop: Frame) -> Iterator[Window]:
        """Take the next frame of the face; tell the windows that are complete now, to be looked at at once."""
        yield from self.windows.add(seconds)
        self._index.append(index)
        self._boxes.extend(box)
        self.frames.add(len(self._index) - 1, resize([crop], self.size)[0].permute(1, 2, 0).numpy())
        self.frames.forget(self.windows.needed)

    def finish(self, interval: float) -> Iterator[Window]:
        """End the track; tell the windows that are left.

        Args:
            interval: seconds that a frame is shown, for a track of a single one.
        """
        seconds = self.windows.seconds
        self.end = seconds[-1] + (usual_gap(seconds) or interval)
        yield from self.windows.finish(self.end)
        self.frames = Frames()

    def is_small(self, window: Window) -> bool:
        """Tell whether the face is too small in a window."""
        boxes = np.asarray(self._boxes[4 * window.first : 4 * window.stop]).reshape(-1, 4)
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        return bool(np.median(sides) < self.settings.min_face)

    def strip(self, window: Window) -> NDArray[np.uint8]:
        """Choose a window's frames for its film strip, ``(N, S, S, 3)``."""
        count = min(STRIP, window.stop - window.first)
        wanted = np.linspace(window.first, window.stop - 1, count).round().astype(np.int64)
        return np.stack(self.frames.read(wanted))

    def learn(
        self, window: Window, probabilities: NDArray[np.float64] | None, strip: NDArray[np.uint8] | None = None
    ) -> None:
        """Take what the model says of a window, None where it was not asked; in the order the windows were told."""
        if probabilities is not None and strip is not None:
            self._strips.append(Strip(window, probabilities, film_strip(strip, STRIP)))
        self.steps.add(window, probabilities)
        self._settle(ended=False)

    def timeline(self, face: int) -> FaceTimeline:
        """Make the face's timeline, once the track has ended and all its windows were learned."""
        self._settle(ended=True)
        too_short = self.end - self.start < self.settings.min_seconds - CLOSE
        absent: Reason = "too short" if too_short else "too small"
        times = self.windows.step_times(self.end)
        found = self._found or [None] * len(times)
        moments = tuple(self._moment(start, end, shares, absent) for (start, end), shares in zip(times, found))
        boxes = Boxes(
            np.asarray(self._index, np.int64),
            np.asarray(self.windows.seconds, np.float64),
            np.asarray(self._boxes, np.float32).reshape(-1, 4),
        )
        peaks = tuple(sorted(self._peaks.values(), key=lambda peak: peak.start))
        return FaceTimeline(face, self.start, self.end, len(self._index), moments, peaks, boxes)

    def _moment(self, start: float, end: float, shares: NDArray[np.float64] | None, absent: Reason) -> Moment:
        if shares is None:
            return Moment(start, end, None, None, absent)
        said = self._said(shares)
        told = tuple(shares.tolist())
        return Moment(start, end, told, None, "unsure") if said is None else Moment(start, end, told, self.labels[said])

    def _said(self, shares: NDArray[np.float64]) -> int | None:
        best = int(shares.argmax())
        return best if shares[best] >= self.settings.unsure else None

    def _settle(self, ended: bool) -> None:
        for number, shares in self.steps.settle(ended):
            self._found.append(shares)
            said = None if shares is None else self._said(shares)
            if shares is not None and said is not None:
                self._note_peak(number, said, float(shares[said]), ended)
        self._strips = [strip for strip in self._strips if strip.window.stop_step > self.steps.settled]

    def _note_peak(self, number: int, label: int, confidence: float, ended: bool) -> None:
        if label in self._peaks and self._peaks[label].confidence >= confidence:
            return
        holding = [one for one in self._strips if one.window.first_step <= number < one.window.stop_step]
        strip = max(holding, key=lambda one: one.probabilities[label])
        start = self.start + number * self.settings.step
        is_last = ended and number == self.windows.steps - 1
        end = self.end if is_last else start + self.settings.step
        self._peaks[label] = Peak(self.labels[label], start, end, confidence, strip.jpeg)
