"""Which face of a frame is which face of the frames before."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from dfer.video.detect import Box, Face, overlap

SIGHTINGS: Final = 3  # confident ones within a short time: fewer may be chance
LEAST_OVERLAP: Final = 0.15  # of the box foretold and the one found
AGILITY: Final = 0.15  # seconds in which a track takes over most of a new velocity


class Track:
    """One face over time: where it was last, how it moves, and how surely it is one.

    ``number`` is None until enough sightings confirm the track; numbers count from 1.
    """

    def __init__(self, box: Box, seconds: float) -> None:
        self.number: int | None = None
        self.sightings = 0
        self.box = box
        self.born = self.seen = seconds
        self._velocity = (0.0, 0.0)

    def see(self, box: Box, seconds: float) -> None:
        """Take over where the face is now."""
        step = seconds - self.seen
        share = -math.expm1(-step / AGILITY)
        found = [(new - old) / step for new, old in zip(_middle(box), _middle(self.box), strict=True)]
        if self.sightings <= 1:
            share = 1.0
        across, down = (old + share * (new - old) for old, new in zip(self._velocity, found, strict=True))
        self._velocity = across, down
        self.box, self.seen = box, seconds

    def foretell(self, seconds: float) -> Box:
        """Say where the face will be if it goes on as it did."""
        across, down = (speed * (seconds - self.seen) for speed in self._velocity)
        return Box(self.box.left + across, self.box.top + down, self.box.right + across, self.box.bottom + down)


class Step(NamedTuple):
    """What one frame did to the tracks: all that live, each with its face if it was found, and those that are over."""

    living: list[tuple[Track, Face | None]]
    over: list[Track]


class Tracker:
    """Carry faces from frame to frame by their places.

    Faces go to the tracks whose foretold boxes they overlap most, all at once (the Hungarian method); a track moves on
    at its velocity while its face is not found. What is left over starts a track if its score allows. A track gets its
    number with its third confident sighting within ``max_gap``, or within three frames in a row where these take
    longer, so that a find by chance becomes no person. It is over when its face was not found for ``max_gap``.

    Args:
        max_gap: seconds; at frame rates so low that a frame takes longer, no gap is bridged.
        start_score: what a sighting must reach to start a track or confirm it.

    Raises:
        ValueError: a gap that is negative or infinite.
    """

    def __init__(self, max_gap: float = 0.5, start_score: float = 0.5) -> None:
        if not 0 <= max_gap < math.inf:
            raise ValueError(f"max_gap {max_gap}: seconds, 0 or more")
        self.max_gap, self.start_score = max_gap, start_score
        self._tracks: list[Track] = []
        self._numbers = 0
        self._before: float | None = None
        self._step = 0.0

    def __call__(self, faces: Sequence[Face], seconds: float) -> Step:
        """Take the faces of the next frame.

        Raises:
            ValueError: a time stamp that is not later than the one before.
        """
        step = self._step
        if self._before is not None:
            step = seconds - self._before
            if step <= 0:
                raise ValueError(f"{seconds} s after {self._before} s: time stamps must grow")
        usual, self._before, self._step = self._step or step, seconds, step
        over = self._drop(seconds, usual)
        pairs = self._pairs(faces, seconds)
        for row, column in pairs.items():
            self._tracks[row].see(faces[column].box, seconds)
        living: list[tuple[Track, Face | None]] = [
            (track, faces[pairs[row]] if row in pairs else None) for row, track in enumerate(self._tracks)
        ]
        new = [face for column, face in enumerate(faces) if column not in pairs.values()]
        sure = sorted((face for face in new if face.score >= self.start_score), key=lambda face: face.box.left)
        living += [(Track(face.box, seconds), face) for face in sure]
        for track, found in living:
            track.sightings += found is not None and found.score >= self.start_score
            if track.number is None and track.sightings >= SIGHTINGS:
                self._numbers += 1
                track.number = self._numbers
        self._tracks = [track for track, _ in living]
        return Step(living, over)

    def end(self) -> list[Track]:
        """End all tracks, at a cut or after the last frame, and give them."""
        over, self._tracks = self._tracks, []
        return over

    def _drop(self, seconds: float, step: float) -> list[Track]:
        """Take out what was not seen, or not confirmed, for too long; a frame without a miss is never too long."""
        gap, trial = max(self.max_gap, 1.5 * step), max(self.max_gap, (SIGHTINGS - 0.5) * step)
        over = [
            track
            for track in self._tracks
            if seconds - track.seen > gap or (track.number is None and seconds - track.born > trial)
        ]
        self._tracks = [track for track in self._tracks if track not in over]
        return over

    def _pairs(self, faces: Sequence[Face], seconds: float) -> dict[int, int]:
        """Match tracks to faces so that the overlaps are largest in all."""
        if not self._tracks or not faces:
            return {}
        from scipy.optimize import linear_sum_assignment  # here, because it takes a second

        foretold = [track.foretell(seconds) for track in self._tracks]
        shared = np.array([[overlap(box, face.box) for face in faces] for box in foretold])
        shared[shared < LEAST_OVERLAP] = 0
        rows, columns = linear_sum_assignment(-shared)
        return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if shared[row, column] > 0}


def _middle(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2
