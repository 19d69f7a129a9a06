"""From a raw video to who shows which expression when."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from dfer.errors import InputError, ItemError
from dfer.inference.classifier import Classifier, Precision, load_classifier
from dfer.inference.face import FaceTrack, Settings
from dfer.inference.timeline import Timeline
from dfer.inference.windows import Window, usual_gap
from dfer.notices import DRAWN
from dfer.transforms import EvalTransform
from dfer.transforms.presets import Sampling
from dfer.video.crop import FaceGeometry
from dfer.video.detect import FaceDetector
from dfer.video.find_detector import find_detector
from dfer.video.follow import follow_faces
from dfer.video.stream import Limits, VideoFrame, VideoStream, open_stream
from dfer.video.whole_frame import WholeFrame

HELD_BYTES: Final = 256 * 2**20
"""Of frames that windows may still need; beyond, the longest track is thinned out."""

Progress = Callable[[float, float | None], None]
Detectors = Literal["auto", "blaze_face", "cascade", "whole_frame"]


class Asked(NamedTuple):
    """A window on its way through the model; without a clip it is not to be classified."""

    track: FaceTrack
    window: Window
    clip: NDArray[np.uint8] | None
    strip: NDArray[np.uint8] | None


class Pipeline:
    """Turns videos into timelines: faces are found and followed, windows of each classified, and put together.

    It keeps the models loaded and may be called many times; the same video gives the same answer. One call at a time.

    With the detector ``whole_frame`` and ``window=None``, a video is one clip, and its probabilities are those that
    `dfer.evaluation.predict` gives for it.

    Args:
        classifier: what tells the expressions of a clip, see `dfer.inference.load_classifier`.
        detector: what finds faces, see `dfer.video.find_detector`.
        geometry: how faces are cut out; by default as the model's training data were, where the model knows.
        window, step, min_face, min_seconds, unsure, smoothing: as `dfer.inference.face.Settings`. ``min_face`` is left
            aside where the frame itself is the face.
        batch_size: windows classified at once, of whichever faces.
        max_rate: frames a second that are looked at; None: all.
        limits: of the videos that are read.

    Raises:
        InputError: a setting that makes no sense.

    Example:
        >>> timeline = Pipeline.load("runs/mine")("video.mp4")  # doctest: +SKIP
        >>> print(timeline.to_csv())  # doctest: +SKIP
    """

    def __init__(
        self,
        classifier: Classifier,
        detector: FaceDetector,
        *,
        geometry: FaceGeometry | None = None,
        window: float | None = 2.0,
        step: float = 0.5,
        min_face: int = 48,
        min_seconds: float = 0.5,
        unsure: float = 0.4,
        smoothing: float = 0.0,
        batch_size: int = 8,
        max_rate: float | None = 60.0,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}: give at least 1")
        if max_rate is not None and not max_rate > 0:
            raise InputError(f"max_rate {max_rate}: give more than 0 frames a second")
        self.is_whole = isinstance(detector, WholeFrame)
        self.settings = Settings(window, step, 0 if self.is_whole else min_face, min_seconds, unsure, smoothing)
        self.classifier = classifier
        self.detector = detector
        self.batch_size = batch_size
        self.max_rate = max_rate
        self.limits = limits
        self.data = _table(classifier.about, "data")
        self.geometry = geometry or _trained_on(self.data) or FaceGeometry()
        self.notes = _notes(self.data, detector, knows_geometry=geometry is not None)
        spec = classifier.input_spec
        self.transform = EvalTransform(spec.frames, spec.size, sampling=cast(Sampling, classifier.sampling))

    @classmethod
    def load(
        cls,
        model: Path | str,
        *,
        detector: Detectors = "auto",
        detector_model: Path | None = None,
        device: str | None = None,
        precision: Precision = "float32",
        geometry: FaceGeometry | None = None,
        window: float | None = 2.0,
        step: float = 0.5,
        min_face: int = 48,
        min_seconds: float = 0.5,
        unsure: float = 0.4,
        smoothing: float = 0.0,
        batch_size: int = 8,
        max_rate: float | None = 60.0,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> Self:
        """Load a model and a face detector.

        Args:
            model: a run folder, a checkpoint or an exported file, see `dfer.inference.load_classifier`.
            detector, detector_model: as `dfer.video.find_detector`.

        Raises:
            InputError: no such model or detector, or a setting that makes no sense.
        """
        return cls(
            load_classifier(Path(model), device=device, precision=precision),
            find_detector(detector, detector_model),
            geometry=geometry,
            window=window,
            step=step,
            min_face=min_face,
            min_seconds=min_seconds,
            unsure=unsure,
            smoothing=smoothing,
            batch_size=batch_size,
            max_rate=max_rate,
            limits=limits,
        )

    def __call__(self, video: Path | str, *, progress: Progress | None = None) -> Timeline:
        """Tell who shows which expression when.

        Args:
            progress: told after each frame how many seconds are done, and of how many (None: unknown). What it raises
                stops the work.

        Raises:
            ItemError: no video, or one that cannot be read or is beyond the limits.
        """
        path = Path(video)
        with open_stream(path, self.limits, self.max_rate) as stream:
            return _Reading(self, path, stream, progress or _silent).timeline()

    @property
    def model(self) -> dict[str, Any]:
        """Describe the model and the settings, plain JSON, as every timeline holds it."""
        settings = asdict(self.settings)
        spec = self.classifier.input_spec
        return {
            "name": self.classifier.name,
            **self.classifier.details,
            "labels": list(spec.labels),
            "frames": spec.frames,
            "size": spec.size,
            "sampling": self.classifier.sampling,
            "temperature": self.classifier.temperature,
            **settings,
            "max_rate": self.max_rate,
            "detector": self.detector.name,
            "geometry": None if self.is_whole else self.geometry.to_dict(),
            "dfer": version("dfer"),
        }

    def probabilities(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Classify clips, ``(B, 3, T, S, S)`` -> ``(B, K)``, after the temperature.

        Raises:
            InputError: the model gives no numbers.
        """
        logits = self.classifier.logits(clips)
        if not np.isfinite(logits).all():
            raise InputError(f"the model {self.classifier.name} gives no numbers (NaN or infinite); train it again")
        return np.asarray(softmax(logits.astype(np.float64) / self.classifier.temperature, axis=1))


class _Reading:
    """One video on its way through a pipeline."""

    def __init__(self, pipeline: Pipeline, path: Path, stream: VideoStream, progress: Progress) -> None:
        self.pipeline = pipeline
        self.path = path
        self.stream = stream
        self.progress = progress
        self.tracks: dict[int, FaceTrack] = {}
        self.live: dict[int, FaceTrack] = {}
        self.asked: list[Asked] = []
        self.seconds = array("d")  # of the frames that were looked at
        self.frames = 0  # of the video, up to the last of these
        self.stride = 1

    def timeline(self) -> Timeline:
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
            frames=self.frames,
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
        self.frames = frame.index + 1
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


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _trained_on(data: Mapping[str, Any]) -> FaceGeometry | None:
    faces = _table(data, "faces")
    return FaceGeometry.from_dict(faces["geometry"]) if "geometry" in faces else None


def _notes(data: Mapping[str, Any], detector: FaceDetector, *, knows_geometry: bool) -> tuple[str, ...]:
    notes = []
    if data.get("drawn"):
        notes.append(DRAWN)
    if isinstance(detector, WholeFrame):
        notes.append("Every frame was taken for a face, whole: none was looked for.")
        return tuple(notes)
    faces = _table(data, "faces")
    if not (data.get("drawn") or "geometry" in faces or knows_geometry):
        notes.append(
            "How the faces of the training data were cut out is not known; those of this video may look otherwise to "
            "the model. `dfer data faces` makes training data that say it."
        )
    if faces.get("detector", detector.name) != detector.name:
        notes.append(f"Faces were found with {detector.name}, those of the training data with {faces['detector']}.")
    return tuple(notes)


def _silent(done: float, total: float | None) -> None:
    pass
