"""From a raw video to who shows which expression when."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from dfer.datasets.synthetic.mark import DRAWN_GEOMETRY
from dfer.errors import InputError
from dfer.inference.classifier import Classifier, Precision, load_classifier
from dfer.inference.face import Settings
from dfer.inference.reading import Progress, Reading
from dfer.inference.timeline import Timeline
from dfer.notices import DRAWN
from dfer.transforms import EvalTransform
from dfer.transforms.presets import Sampling
from dfer.video.crop import FaceGeometry
from dfer.video.detect import FaceDetector
from dfer.video.find_detector import find_detector
from dfer.video.stream import Limits, open_stream
from dfer.video.whole_frame import WholeFrame

Detectors = Literal["auto", "blaze_face", "cascade", "whole_frame"]


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
        self.geometry = geometry or _trained_on(self.data)
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
            return Reading(self, path, stream, progress or _silent).timeline()

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


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _trained_on(data: Mapping[str, Any]) -> FaceGeometry:
    faces = _table(data, "faces")
    if "geometry" in faces:
        return FaceGeometry.from_dict(faces["geometry"])
    return DRAWN_GEOMETRY if data.get("drawn") else FaceGeometry()


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
