"""One video on its way through a pipeline: frame by frame, window by window."""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dfer.errors import ItemError
from dfer.inference.classifier import Classifier
from dfer.inference.face import FaceTrack, Settings
from dfer.inference.timeline import Timeline
from dfer.inference.windows import Window, usual_gap
from dfer.transforms import EvalTransform
from dfer.video.crop import FaceGeometry
from dfer.video.detect import FaceDetector
from dfer.video.follow import follow_faces
from dfer.video.stream import VideoFrame, VideoStream

HELD_BYTES: Final = 256 * 2**20
"""Of frames that windows may still need; beyond, the longest track is thinned out."""

Progress = Callable[[float, float | None], None]
"""Told seconds done, and in all where known."""


class Parts(Protocol):
    """What a reading takes of the pipeline that it is part of."""

    classifier: Classifier
    detector: FaceDetector
    geometry: FaceGeometry
    settings: Settings
    transform: EvalTransform
    batch_size: int
    notes: tuple[str, ...]

    @property
    def model(self) -> dict[str, Any]: ...

    def probabilities(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]: ...


class Asked(NamedTuple):
    """A window on its way through the model; without a clip it is not to be classified."""

    track: FaceTrack
    window: Window
    clip: NDArray[np.uint8] | None
    strip: NDArray[np.uint8] | None


class Reading:
    """Carries one video through a pipeline: what was seen so far, and the windows that wait for the model."""

    def __init__(self, pipeline: Parts, path: Path, stream: VideoStream, progress: Progress) -> None:
        self.pipeline = pipeline
        self.path = path
        self.stream = stream
        self.progress = progress
        self.tracks: dict[int, FaceTrack] = {}
        self.live: dict[int, FaceTrack] = {}
        self.asked: list[Asked] = []
        self.seconds = array("d")  # of the frames that were looked at
        self.stride = 1

    def timeline(self) -> Timeline:
        """Read the video to its end and tell what was found.

        Raises:
            ItemError: the video cannot be read, or is beyond the limits.
        """
        pipeline, info = self.pipeline, self.stream.info
        self.progress(0.0, info.seconds)
        for now in follow_faces(self.stream, pipeline.detector, pipeline.geometry):
            self._tell(now.frame)
            for face in now.faces:
                track = self._track(face.track)
                for window in track.add(face.index, face.seconds, face.box, face.crop):
                    self._ask(track, window)
            self._thin()
            for number in now.ended:
                self._end(number)
        self._answer()
        if not self.seconds:
            raise ItemError(f"{self.path} holds no frame that can be decoded; copy it again, or leave it out")
        tracks = sorted(self.tracks.values(), key=lambda track: track.start)  # of one moment: in the tracker's order
        faces = tuple(track.timeline(number) for number, track in enumerate(tracks, 1))
        seconds = max([self.seconds[-1] + self._interval(), *(face.end for face in faces)])
        self.progress(seconds, seconds)
        return Timeline(
            video=self.path.name.encode(errors="backslashreplace").decode(),
            seconds=seconds,
            frames=self.stream.frames,
            width=info.width,
            height=info.height,
            labels=pipeline.classifier.input_spec.labels,
            faces=faces,
            empty=gaps([(face.start, face.end) for face in faces], seconds, pipeline.settings.step),
            notes=(*pipeline.notes, *self._notes()),
            model=pipeline.model,
        )

    def _tell(self, frame: VideoFrame) -> None:
        self.seconds.append(frame.seconds)
        self.progress(frame.seconds, self.stream.info.seconds)

    def _track(self, number: int) -> FaceTrack:
        if number not in self.tracks:
            spec = self.pipeline.classifier.input_spec
            self.tracks[number] = self.live[number] = FaceTrack(self.pipeline.settings, spec.labels, spec.size)
        return self.tracks[number]

    def _end(self, number: int) -> None:
        track = self.live.pop(number, None)
        if track is not None:
            for window in track.finish(self._interval()):
                self._ask(track, window)

    def _interval(self) -> float:
        """Tell how long a frame is shown."""
        return usual_gap(self.seconds) or 1 / self.stream.info.rate

    def _ask(self, track: FaceTrack, window: Window) -> None:
        clip, strip = None, None
        if not track.is_small(window):
            rng = np.random.default_rng(0)  # drawn samplings draw the same of every window
            count = window.stop - window.first
            frames = self.pipeline.transform(count, lambda wanted: track.frames.read(window.first + wanted), rng)
            clip, strip = frames.transpose(0, 1).numpy(), track.strip(window)  # (3, T, S, S)
        self.asked.append(Asked(track, window, clip, strip))
        if len(self.asked) >= self.pipeline.batch_size:
            self._answer()

    def _answer(self) -> None:
        clips = [one.clip for one in self.asked if one.clip is not None]
        found = iter(self.pipeline.probabilities(np.stack(clips)) if clips else ())
        for one in self.asked:
            one.track.learn(one.window, None if one.clip is None else next(found), one.strip)
        self.asked.clear()
        if clips:
            self.progress(self.seconds[-1], self.stream.info.seconds)  # a long stretch may have many windows

    def _thin(self) -> None:
        size = self.pipeline.classifier.input_spec.size
        most = max(1, HELD_BYTES // (3 * size**2))
        while sum(len(track.frames) for track in self.live.values()) > max(most, len(self.live)):
            longest = max(self.live.values(), key=lambda track: len(track.frames))
            longest.frames.thin()
            self.stride = max(self.stride, longest.frames.stride)

    def _notes(self) -> Iterator[str]:
        if self.stream.damage:
            yield f"The video is damaged: {self.stream.damage}."
        if self.stride > 1:
            yield f"A window was too long to keep it whole: the model chose from one frame in {self.stride}."


def gaps(spans: list[tuple[float, float]], seconds: float, shortest: float) -> tuple[tuple[float, float], ...]:
    """Find the stretches of a video in which no face was, of some length at least; without any face, all of it.

    Example:
        >>> gaps([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0), (6.1, 9.0)], 10.0, 0.5)
        ((3.0, 5.0), (9.0, 10.0))
    """
    if not spans:
        return ((0.0, seconds),)
    found, until = [], 0.0
    for start, end in [*sorted(spans), (seconds, seconds)]:
        if start - until >= shortest:
            found.append((until, start))
        until = max(until, end)
    return tuple(found)
