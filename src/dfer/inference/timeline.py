"""Who shows which expression when: what recognition on a video ends in."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

FORMAT: Final = 1
Reason = Literal["", "too small", "too short", "unsure"]
"""Why nothing is said of a face; a stretch without any face is one of ``Timeline.empty``."""


@dataclass(frozen=True)
class Moment:
    """One step of a face's timeline, in seconds from the start of the video.

    ``probabilities`` are None where the model was not asked (``too small``, ``too short``); ``label`` is None wherever
    nothing is said, and ``reason`` says why.
    """

    start: float
    end: float
    probabilities: tuple[float, ...] | None
    label: str | None
    reason: Reason = ""

    @property
    def confidence(self) -> float | None:
        """The largest probability, None where the model was not asked."""
        return None if self.probabilities is None else max(self.probabilities)


@dataclass(frozen=True)
class Peak:
    """Where a face shows an expression most surely; ``strip`` is a JPEG of the window's frames."""

    label: str
    start: float
    end: float
    confidence: float
    strip: bytes = field(repr=False)


@dataclass(frozen=True)
class Boxes:
    """Where a face was: one row per frame in which it was seen or bridged.

    Shape:
        index ``(F,)`` frame numbers, growing; seconds ``(F,)``; box ``(F, 4)`` left, top, right, bottom in pixels.
    """

    index: NDArray[np.int64]
    seconds: NDArray[np.float64]
    box: NDArray[np.float32]


@dataclass(frozen=True)
class FaceTimeline:
    """One face, from where its track starts to where it ends; numbers count from 1 in order of appearance."""

    face: int
    start: float
    end: float
    frames: int
    moments: tuple[Moment, ...]
    peaks: tuple[Peak, ...] = ()
    boxes: Boxes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Timeline:
    """All faces of a video, and the stretches ``(start, end)`` in which there was none.

    ``notes`` are sentences that must stand in every output: where the video is damaged, that the model was trained on
    drawn faces. ``model`` describes the model and the settings (plain JSON).
    """

    video: str
    seconds: float
    frames: int
    width: int
    height: int
    labels: tuple[str, ...]
    faces: tuple[FaceTimeline, ...]
    empty: tuple[tuple[float, float], ...]
    notes: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON; seconds to the millisecond, probabilities to six digits."""
        return {
            "format": FORMAT,
            "video": self.video,
            "seconds": _seconds(self.seconds),
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "labels": list(self.labels),
            "faces": [_face(face) for face in self.faces],
            "no_face": [[_seconds(start), _seconds(end)] for start, end in self.empty],
            "notes": list(self.notes),
            "model": dict(self.model),
        }

    def to_json(self) -> str:
        """Write `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_csv(self) -> str:
        """Write one line per moment and per stretch without a face, in order of time.

        Columns: face (empty: none), start, end, label (empty: nothing is said), confidence, reason, a probability per
        class, note.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        note = " ".join(self.notes)
        writer.writerow(["face", "start", "end", "label", "confidence", "reason", *self.labels, "note"])
        rows: list[list[Any]] = [
            ["", _seconds(start), _seconds(end), "", "", "no face", *([""] * len(self.labels)), note]
            for start, end in self.empty
        ]
        for face in self.faces:
            for moment in face.moments:
                sure = "" if moment.confidence is None else f"{moment.confidence:.6f}"
                shares = [f"{share:.6f}" for share in moment.probabilities or ()] or [""] * len(self.labels)
                place = [face.face, _seconds(moment.start), _seconds(moment.end)]
                rows.append([*place, moment.label or "", sure, moment.reason, *shares, note])
        rows.sort(key=_when)
        writer.writerows(rows)
        return text.getvalue()


def _when(row: Sequence[Any]) -> tuple[float, int]:
    return row[1], row[0] or 0


def _seconds(value: float) -> float:
    return round(float(value), 3)


def _face(face: FaceTimeline) -> dict[str, Any]:
    peaks = [
        {"label": one.label, "start": _seconds(one.start), "end": _seconds(one.end),
         "confidence": round(one.confidence, 6)}
        for one in face.peaks
    ]  # fmt: skip
    return {
        "face": face.face,
        "start": _seconds(face.start),
        "end": _seconds(face.end),
        "frames": face.frames,
        "moments": [_moment(moment) for moment in face.moments],
        "peaks": peaks,
    }


def _moment(moment: Moment) -> dict[str, Any]:
    shares: Sequence[float] | None = moment.probabilities
    return {
        "start": _seconds(moment.start),
        "end": _seconds(moment.end),
        "label": moment.label,
        "confidence": None if moment.confidence is None else round(moment.confidence, 6),
        "reason": moment.reason or None,
        "probabilities": None if shares is None else [round(share, 6) for share in shares],
    }
