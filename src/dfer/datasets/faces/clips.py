"""One raw video to its face clips: folders of frames that appear whole or not at all."""

import shutil
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import simplejpeg

from dfer.errors import InputError, ItemError
from dfer.video.crop import FaceGeometry
from dfer.video.detect import FaceDetector
from dfer.video.follow import GEOMETRY, TrackedFace, follow_faces
from dfer.video.stream import open_stream

MAX_RATE: Final = 60.0
"""Frames a second that are looked at, as in prediction."""
NEARLY: Final = 0.9
"""Of the longest track: one that lasts so long is as good, and the larger face is the main one."""

Fault = Literal["", "no face", "too short", "too small", "damaged", "unreadable", "left out", "misplaced"]
"""Why a video has no clip; empty where it has one."""


@dataclass(frozen=True)
class CutSettings:
    """How faces are cut out of videos.

    Args:
        min_face: pixels; a face that is smaller (the median of its frames) makes no clip.
        min_seconds: a track that is shorter makes no clip.
        quality: of the JPEG files.
        all_faces: every face makes a clip, not the main one alone.
        keep_damaged: take what can be read of a damaged video.

    Raises:
        InputError: with the value that makes no sense.
    """

    geometry: FaceGeometry = GEOMETRY
    min_face: int = 48
    min_seconds: float = 0.5
    quality: int = 95
    all_faces: bool = False
    keep_damaged: bool = False

    def __post_init__(self) -> None:
        if self.min_face < 0 or not 0 <= self.min_seconds < float("inf"):
            raise InputError(f"min_face {self.min_face}, min_seconds {self.min_seconds}: give 0 or more")
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality {self.quality}: JPEG knows 1 to 100")


class Clip(NamedTuple):
    """One face as it was cut: its folder relative to what is made, and the median side of its box in the video."""

    clip: str
    frames: int
    side: float


class Cut(NamedTuple):
    """What became of a video; ``detail`` says more of a fault, and of a damaged video that was kept."""

    clips: tuple[Clip, ...]
    fault: Fault = ""
    detail: str = ""


class _Track:
    """One face on its way to disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = 0
        self.start = self.last = 0.0
        self._sides = array("f")

    def add(self, face: TrackedFace, quality: int) -> None:
        """Write the next frame."""
        if not self.frames:
            self.folder.mkdir()
            self.start = face.seconds
        self.frames += 1
        self.last = face.seconds
        self._sides.append(face.box.side)
        crop = np.ascontiguousarray(face.crop)
        jpeg = simplejpeg.encode_jpeg(crop, quality=quality, colorsubsampling="444")
        (self.folder / f"{self.frames:05d}.jpg").write_bytes(jpeg)

    @property
    def seconds(self) -> float:
        """Tell how long the face is there, its last frame included."""
        return (self.last - self.start) * self.frames / max(1, self.frames - 1)

    @property
    def side(self) -> float:
        """Tell how large the face is: the median of its boxes."""
        return float(np.median(self._sides))


def cut_faces(
    video: Path,
    clip: str,
    out: Path,
    detector: FaceDetector,
    settings: CutSettings,
    *,
    partial: Path,
) -> Cut:
    """Follow the faces of a video and leave the main one's frames in ``out / clip``, as ``00001.jpg`` and so on.

    The main face is the one that is there longest; of those nearly as long the largest. Frames go to disk as they
    come, so that memory does not grow with the video.

    Args:
        clip: relative, with ``/``; further faces are called ``clip-2`` and so on.
        partial: a folder on the disk of ``out`` for what is not whole yet; emptied first, and gone in the end.

    Raises:
        InputError: ``out`` cannot be written to. What is wrong with the video is told in the answer.
    """
    try:
        shutil.rmtree(partial, ignore_errors=True)
        with writable(out):
            partial.mkdir(parents=True)
        try:
            tracks, damage = _follow(video, out, detector, settings, partial)
        except ItemError as error:
            return Cut((), "unreadable", str(error))
        if damage and not settings.keep_damaged:
            return Cut((), "damaged", damage)
        if not tracks:
            return Cut((), "no face", damage)
        by_length = sorted(tracks, key=lambda track: (track.seconds, track.side))
        refused = [fault for track in by_length if (fault := _refused(track, settings))]
        if len(refused) == len(tracks):
            return refused[-1]
        chosen = _choose([track for track in tracks if not _refused(track, settings)], settings.all_faces)
        names = [clip, *(f"{clip}-{number}" for number in range(2, len(chosen) + 1))]
        with writable(out):
            for track, name in zip(chosen, names):
                _publish(track.folder, out / name, partial / "replaced")
        return Cut(tuple(Clip(name, one.frames, round(one.side, 1)) for one, name in zip(chosen, names)), "", damage)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _follow(
    video: Path, out: Path, detector: FaceDetector, settings: CutSettings, partial: Path
) -> tuple[list[_Track], str]:
    tracks: dict[int, _Track] = {}
    ended: list[_Track] = []
    with open_stream(video, max_rate=MAX_RATE) as stream:
        for now in follow_faces(stream, detector, settings.geometry):
            with writable(out):
                for face in now.faces:
                    tracks.setdefault(face.track, _Track(partial / str(face.track))).add(face, settings.quality)
            ended += [tracks[number] for number in now.ended if number in tracks]
            if now.ended:
                _drop_beaten(ended, settings)
        return list(tracks.values()), stream.damage


def _drop_beaten(ended: Sequence[_Track], settings: CutSettings) -> None:
    """Free the disk of tracks that cannot win any more; what is known of them stays."""
    longest = max((track.seconds for track in ended if not _refused(track, settings)), default=0.0)
    for track in ended:
        if _refused(track, settings) or (not settings.all_faces and track.seconds < NEARLY * longest):
            shutil.rmtree(track.folder, ignore_errors=True)


def _choose(tracks: Sequence[_Track], all_faces: bool) -> list[_Track]:
    """Put the main face first; leave it alone there unless all are wanted."""
    longest = max(track.seconds for track in tracks)
    main = max((track for track in tracks if track.seconds >= NEARLY * longest), key=lambda track: track.side)
    return [main, *(track for track in tracks if track is not main)] if all_faces else [main]


def _refused(track: _Track, settings: CutSettings) -> Cut | None:
    """Say why a face makes no clip; None where it does."""
    if track.seconds < settings.min_seconds:
        return Cut((), "too short", f"{track.seconds:.2f} s")
    if track.side < settings.min_face:
        return Cut((), "too small", f"{track.side:.0f} pixels")
    return None


def _publish(folder: Path, target: Path, replaced: Path) -> None:
    """Put a clip in its place, whole; one that is there already goes first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.replace(replaced)
        shutil.rmtree(replaced)
    folder.replace(target)


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """Turn what the disk says about writing into one line.

    Raises:
        InputError: full, read-only, or no rights.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}; free or choose another folder") from error
