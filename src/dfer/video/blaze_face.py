"""Faces by BlazeFace, MediaPipe's detector: a box and the eyes in two milliseconds a look."""

import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
SEAM = 0.16  # of the longer side, shared by neighbouring tiles: the whole frame finds a face of an eighth
STRIP = 8  # times as long as wide: no picture of faces
STEEPEST = 45.0  # degrees from upright; beyond, what is found is rarely a face
NARROWEST = 0.15  # from eye to eye, across the face, in shares of the box; less is a profile at most
SHORTEST, LONGEST = 0.25, 0.65  # from between the eyes to the mouth, in shares of the box
WARMING = (64, 100, 300, 500, 64, 900, 30, 500, 300, 64)  # widths of the first pictures, of which nothing is wanted
QUIET = threading.RLock()  # one at a time may turn stderr away, or it stays away


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

    def __init__(self, model: Path | None = None, min_score: float = 0.65) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score {min_score}: a score lies between 0 and 1")
        self.model, self.min_score = model, min_score
        self._mediapipe, self._tasks = _mediapipe()
        self._open()

    def _open(self) -> None:
        path = self.model or download(MODEL, instead=WAYS_ON)
        vision = self._tasks.vision
        options = vision.FaceDetectorOptions(
            base_options=_unreported(self._tasks.BaseOptions(model_asset_buffer=_read(path))),
            min_detection_confidence=self.min_score,
            min_suppression_threshold=SAME,
        )
        try:
            with _quiet():
                self._graph, self._process = vision.FaceDetector.create_from_options(options), os.getpid()
                self.close = weakref.finalize(self, _close, self._graph)  # MediaPipe's own end comes too late
                for side in WARMING:  # it says more at its first looks, until its memory lies where it wants it
                    self._look(np.zeros((64, side, 3), np.uint8))
            _ignore_profiling()
        except (ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"{path} is no BlazeFace model that MediaPipe can run ({reason}); {WAYS_ON}") from error

    def __call__(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, the surest first."""
        height, width = frame.shape[:2]
        faces = self._look(frame)
        for top, left, side in tiles(height, width):
            for face in self._look(frame[top : top + side, left : left + side], top, left):
                whole = inside(face.box, top, left, side, height, width)
                if whole and all(overlap(face.box, one.box) <= SAME for one in faces):
                    faces.append(face)
        return sorted(faces, key=lambda face: -face.score)

    def _look(self, picture: Frame, top: int = 0, left: int = 0) -> list[Face]:
        if not self.close.alive:
            raise ValueError("this detector is closed; make another")
        if self._process != os.getpid():  # forked: the graph's threads stayed behind
            self.close.detach()
            _abandon(self._graph)
            self._open()
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
    """Cover a frame that is not square with squares: their top, left and side; none for a mere strip.

    Neighbours share so much that a face which the whole frame shows too small lies whole in one of them.

    Example:
        >>> list(tiles(360, 640))
        [(0, 0, 360), (0, 140, 360), (0, 280, 360)]
    """
    side, long = min(height, width), max(height, width)
    if long == side or long > STRIP * side:
        return
    step = max(side - SEAM * long, side / 2)
    count = int(np.ceil((long - side) / step)) + 1
    for place in np.linspace(0, long - side, count).round().astype(int).tolist():
        yield (place, 0, side) if height > width else (0, place, side)


def inside(box: Box, top: int, left: int, side: int, height: int, width: int) -> bool:
    """Tell whether a box crosses no edge of its tile but the frame's own.

    Example:
        >>> inside(Box(-2, 0, 90, 90), 0, 0, 360, 360, 640), inside(Box(350, 0, 440, 90), 0, 0, 360, 360, 640)
        (True, False)
    """
    return bool(
        (box.left > left or left == 0)
        and (box.top > top or top == 0)
        and (box.right < left + side or left + side == width)
        and (box.bottom < top + side or top + side == height)
    )


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
    axis, eyes = down / length, points[1] - points[0]
    across, along = eyes @ (axis[1], -axis[0]), eyes @ axis
    return bool(lean <= STEEPEST and across >= NARROWEST * width and abs(along) <= across)


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


def _unreported(options: Any) -> Any:
    """Keep MediaPipe from reporting its use to Google, which it has no switch for: trust no certificate.

    The report (versions, times, number of looks; no picture) goes over HTTPS, with the authorities of this file.
    """
    plain = options.to_ctypes()
    plain.ca_bundle_path = os.devnull.encode()
    options.to_ctypes = lambda: plain
    return options


def _ignore_profiling() -> None:
    """Let Python know that the signal of MediaPipe's profiling timers is ignored.

    MediaPipe tells the system alone; whoever puts back what Python knows of (Lightning, after training) would let the
    next signal end the process.
    """
    profiling = getattr(signal, "SIGPROF", None)
    if profiling is not None and signal.getsignal(profiling) == signal.SIG_DFL:
        with suppress(ValueError):  # not in the main thread
            signal.signal(profiling, signal.SIG_IGN)


def _close(graph: Any) -> None:
    try:
        with _quiet():
            graph.close()
    except RuntimeError:  # Python is ending and has no threads left
        _abandon(graph)


def _abandon(graph: Any) -> None:
    """Leave a graph to the system; else MediaPipe tries to close it, in vain, and says so or hangs."""
    graph._handle = None


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what MediaPipe's C++ says on stderr while a graph comes and goes; no variable of it would."""
    with QUIET:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, ValueError, AttributeError):  # no stderr to keep clean
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
