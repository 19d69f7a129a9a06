"""Faces by BlazeFace, MediaPipe's detector: a box and the eyes in two milliseconds a look."""

import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dfer.download import download
from dfer.errors import InputError
from dfer.video.detect import Box, Face, overlap
from dfer.video.images import Frame

MODEL = (
    "https://storage.googleapis.com/mediapipe-models/face_detector/blaze_face_short_range/float16/1/"
    "blaze_face_short_range.tflite"
)
WAYS_ON = "give its path with --detector-model PATH, or find faces with --detector cascade"
SAME = 0.3  # overlap of two boxes from which they are one face
STEEPEST = 45.0  # degrees from upright; beyond, what is found is rarely a face
NARROWEST = 0.15  # eyes, measured across the face, in shares of the box: those of a face turned far away
SHORTEST, LONGEST = 0.25, 0.65  # from between the eyes to the mouth, in shares of the box


class BlazeFace:
    """Find faces with BlazeFace, through MediaPipe's Tasks.

    Paper: Bazarevsky et al. 2019. The frame is looked at as a whole, which finds faces of an eighth of its longer
    side and more, then in square tiles, which find those of an eighth of its shorter side. What leans too far or has
    eyes and mouth where no face has them is left out.

    It can be pickled: a copy makes a graph of its own. Close it, or leave that to the end of the program.

    Args:
        model: a BlazeFace ``.tflite`` file; None fetches MediaPipe's short-range model, once.
        min_score: what a face must reach, 0 to 1.

    Raises:
        InputError: MediaPipe is not installed or does not run here, no model there, or no network to fetch it.
    """

    name = "blaze_face"

    def __init__(self, model: Path | None = None, min_score: float = 0.5) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score {min_score}: a score lies between 0 and 1")
        self.model, self.min_score = model, min_score
        self._mediapipe, tasks = _mediapipe()
        path = model or download(MODEL, instead=WAYS_ON)
        options = tasks.vision.FaceDetectorOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=_read(path)),
            min_detection_confidence=min_score,
            min_suppression_threshold=SAME,
        )
        try:
            with _quiet():
                self._graph = tasks.vision.FaceDetector.create_from_options(options)
                self.close = weakref.finalize(self, _close, self._graph)  # MediaPipe's own end comes too late
                self._look(np.zeros((64, 64, 3), np.uint8))  # it says more at its first look
        except (ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"{path} is no BlazeFace model that MediaPipe can run ({reason}); {WAYS_ON}") from error

    def __call__(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, the surest first."""
        height, width = frame.shape[:2]
        faces = self._look(frame)
        for top, left, side in tiles(height, width):
            for face in self._look(frame[top : top + side, left : left + side], top, left):
                whole = (face.box.left > left or left == 0) and (face.box.right < left + side or left + side == width)
                whole &= (face.box.top > top or top == 0) and (face.box.bottom < top + side or top + side == height)
                if whole and all(overlap(face.box, one.box) <= SAME for one in faces):
                    faces.append(face)
        return sorted(faces, key=lambda face: -face.score)

    def _look(self, picture: Frame, top: int = 0, left: int = 0) -> list[Face]:
        if not self.close.alive:
            raise ValueError("this detector is closed; make another")
        height, width = picture.shape[:2]
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        faces = []
        for found in self._graph.detect(image).detections:
            box, score = found.bounding_box, float(found.categories[0].score)
            points = np.array([(left + point.x * width, top + point.y * height) for point in found.keypoints])
            if plausible(points, box.width):
                x, y = float(left + box.origin_x), float(top + box.origin_y)
                faces.append(Face(Box(x, y, x + box.width, y + box.height), score, points[:2]))
        return faces

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[Path | None, float]]:
        return type(self), (self.model, self.min_score)


def tiles(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Cover a frame that is not square with squares: their top, left and side.

    Neighbours share at least a quarter of the longer side, so that a face which the whole frame shows too small, lies
    whole in one of them.

    Example:
        >>> list(tiles(360, 640))
        [(0, 0, 360), (0, 140, 360), (0, 280, 360)]
    """
    side, long = min(height, width), max(height, width)
    if long == side:
        return
    step = max(side - long / 4, side / 4)
    count = int(np.ceil((long - side) / step)) + 1
    for place in np.linspace(0, long - side, count).round().astype(int).tolist():
        yield (place, 0, side) if height > width else (0, place, side)


def plausible(points: NDArray[np.float64], width: float) -> bool:
    """Tell whether the eyes and the mouth of a find lie where a face has them.

    Args:
        points: right eye, left eye, nose, mouth (and the ears), as seen from the person.
        width: of the box.

    Shape:
        points ``(N, 2)``, N at least 4: x, y.
    """
    down = points[3] - points[:2].mean(axis=0)
    length = float(np.hypot(*down))
    if not SHORTEST * width <= length <= LONGEST * width:
        return False
    lean = np.degrees(np.arctan2(abs(down[0]), down[1]))
    across = np.array([down[1], -down[0]]) / length
    return bool(lean <= STEEPEST and (points[1] - points[0]) @ across >= NARROWEST * width)


def _mediapipe() -> tuple[Any, Any]:
    try:
        with _quiet():
            import mediapipe
            from mediapipe.tasks import python as tasks
    except ImportError as error:
        raise InputError(
            f"BlazeFace needs MediaPipe ({error}); pip install 'dfer[face]', or find faces with --detector cascade"
        ) from error
    return mediapipe, tasks


def _read(path: Path) -> bytes:
    """Read a model, so that its path may hold any character."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the face detector {path}: {error.strerror or error}; {WAYS_ON}") from error
    if content[4:8] != b"TFL3":
        raise InputError(f"{path} is no BlazeFace model but something else; {WAYS_ON}")
    return content


def _close(graph: Any) -> None:
    with _quiet():
        graph.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what MediaPipe's C++ says on stderr while a graph comes and goes; no variable of it would."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # no stderr to keep clean
        yield
        return
    try:
        with tempfile.TemporaryFile() as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
