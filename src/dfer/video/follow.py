"""The faces of a video: found, told apart, and cut out, frame by frame."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dfer.video.crop import FaceGeometry, crop_pose, face_pose
from dfer.video.cuts import CutFinder
from dfer.video.detect import Box, FaceDetector
from dfer.video.images import Frame
from dfer.video.smooth import PoseSmoother
from dfer.video.stream import VideoFrame
from dfer.video.track import Track, Tracker
from dfer.video.whole_frame import WholeFrame

GEOMETRY: Final = FaceGeometry()
HIDDEN: Final = 0.3  # of a missed face's place: so much of it behind another face, and a crop would show that one
BLANK: Final = 3.0  # grey levels: a missed face's place of a smaller standard deviation shows nothing at all


class TrackedFace(NamedTuple):
    """One face in one frame; ``track`` numbers the person from 1, ``index`` and ``seconds`` are the frame's.

    Where the detector missed the face for a moment, ``detected`` is False, the score 0, the box interpolated, and the
    crop taken where the face was expected; frames in which another face stands there are left out.

    Shape:
        crop ``(S, S, 3)`` uint8.
    """

    track: int
    index: int  # type: ignore[assignment]  # a tuple's method of that name gives way
    seconds: float
    box: Box
    score: float
    detected: bool
    crop: Frame


class FaceFrame(NamedTuple):
    """What one frame of the video tells.

    ``faces`` are not only this frame's: those of frames in which a face was missed, and the first ones of a track, come
    late, together with the detection that confirms them; of one track they come in order. ``ended`` are the tracks of
    which no more will come, after this frame's faces; with the last frame all that were left.
    """

    frame: VideoFrame
    faces: list[TrackedFace]
    ended: list[int]


def follow_faces(
    frames: Iterable[VideoFrame],
    detector: FaceDetector,
    geometry: FaceGeometry = GEOMETRY,
    *,
    max_gap: float = 0.5,
    start_score: float = 0.5,
) -> Iterator[FaceFrame]:
    """Go over a video once and give every frame with the faces that are known by then.

    A cut ends all tracks. Crops are kept while a track waits for its next detection, frames never, but for the last
    one. With `WholeFrame` every frame is a face of track 1, as it is: nothing is cut, smoothed or dropped.

    Args:
        max_gap: seconds for which a face may be missed; longer, and its track ends where it was last seen.
        start_score: what a detection must reach to count for a new track; three make one.

    Raises:
        ValueError: a gap that is negative or infinite, or time stamps that do not grow.
    """
    watch = _Whole() if isinstance(detector, WholeFrame) else _Watch(detector, geometry, max_gap, start_score)
    last = None
    for frame in frames:
        if last is not None:
            yield last
        last = watch(frame)
    if last is not None:
        yield last._replace(ended=[*last.ended, *watch.end()])


class _Whole:
    """Every frame as the face of one track."""

    def __call__(self, frame: VideoFrame) -> FaceFrame:
        height, width = frame.pixels.shape[:2]
        box = Box(0.0, 0.0, float(width), float(height))
        return FaceFrame(frame, [TrackedFace(1, frame.index, frame.seconds, box, 1.0, True, frame.pixels)], [])

    def end(self) -> list[int]:
        return [1]


@dataclass
class _Line:
    """What is kept of a track: its last detection, and faces that cannot be told yet."""

    seconds: float
    box: Box
    smoother: PoseSmoother = field(default_factory=PoseSmoother)
    misses: list[TrackedFace] = field(default_factory=list)  # since the last detection
    untold: list[TrackedFace] = field(default_factory=list)  # up to the last detection

    def close_gap(self, seconds: float, box: Box) -> None:
        """Take over a detection: the misses before it get boxes between it and the detection before them."""
        for miss in self.misses:
            share = (miss.seconds - self.seconds) / (seconds - self.seconds)
            between = (old + share * (new - old) for old, new in zip(self.box, box, strict=True))
            self.untold.append(miss._replace(box=Box(*between)))
        self.misses, self.seconds, self.box = [], seconds, box


class _Watch:
    """The tracks of a video and what is kept of each."""

    def __init__(self, detector: FaceDetector, geometry: FaceGeometry, max_gap: float, start_score: float) -> None:
        self.detector, self.geometry = detector, geometry
        self.is_cut = CutFinder()
        self.tracker = Tracker(max_gap, start_score)
        self.lines: dict[Track, _Line] = {}

    def __call__(self, frame: VideoFrame) -> FaceFrame:
        ended = self.end() if self.is_cut(frame.pixels) else []
        living, over = self.tracker(self.detector(frame.pixels), frame.seconds)
        ended += self._forget(over)
        known: list[TrackedFace] = []
        boxes = [face.box for _, face in living if face is not None]
        for track, face in living:
            line = self.lines.setdefault(track, _Line(frame.seconds, track.box))
            if face is None:
                place = track.foretell(frame.seconds)
                if any(_covered(place, box) > HIDDEN for box in boxes):
                    continue
                crop = crop_pose(frame.pixels, line.smoother.glide(frame.seconds), self.geometry)
                if crop.std(axis=(0, 1)).max() < BLANK:
                    continue
                line.misses.append(TrackedFace(0, frame.index, frame.seconds, line.box, 0.0, False, crop))
                continue
            line.close_gap(frame.seconds, face.box)
            pose = line.smoother(face_pose(face.eyes, face.box), frame.seconds)
            crop = crop_pose(frame.pixels, pose, self.geometry)
            line.untold.append(TrackedFace(0, frame.index, frame.seconds, face.box, face.score, True, crop))
            if track.number is not None:
                known += [one._replace(track=track.number) for one in line.untold]
                line.untold = []
        return FaceFrame(frame, known, ended)

    def end(self) -> list[int]:
        """End all tracks; what was not told belongs to no track, or lies behind its last detection."""
        return self._forget(self.tracker.end())

    def _forget(self, over: list[Track]) -> list[int]:
        for track in over:
            del self.lines[track]
        return sorted(track.number for track in over if track.number is not None)


def _covered(box: Box, other: Box) -> float:
    """Measure the share of a box that another one covers."""
    width = min(box.right, other.right) - max(box.left, other.left)
    height = min(box.bottom, other.bottom) - max(box.top, other.top)
    area = (box.right - box.left) * (box.bottom - box.top)
    return max(width, 0.0) * max(height, 0.0) / area if area > 0 else 0.0
