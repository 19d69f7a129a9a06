"""One self-contained page on who shows which expression when in a video."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from dfer.evaluation.report import inline
from dfer.figures.style import render
from dfer.figures.timeline import FaceCurve, class_colours, clock
from dfer.figures.timeline import timeline as draw_timeline
from dfer.inference.timeline import FaceTimeline, Timeline
from dfer.notices import AI_ACT, SHOWN_NOT_FELT
from dfer.runs import write_atomically

FACES: Final = 200
PEAKS: Final = 48
STRETCHES: Final = 200
ROWS: Final = 1000
"""Most faces, film strips, stretches without a face and lines of the table that the page shows."""
WIDE: Final = 7.2
NARROW: Final = 3.5
"""Inches of the chart on a screen and on a phone."""
SILENT: Final = "#b3b8be"
NAMES: Final = {
    "name": "model",
    "frames": "frames that it sees",
    "size": "their side in pixels",
    "sampling": "how they are chosen",
    "window": "window in seconds",
    "step": "step in seconds",
    "min_face": "smallest face in pixels",
    "min_seconds": "shortest face in seconds",
    "unsure": "unsure below",
    "smoothing": "smoothing in seconds",
    "max_rate": "frames a second at most",
    "detector": "face detector",
    "geometry": "how faces are cut out",
    "dfer": "version of dfer",
}


def write_page(path: Path, timeline: Timeline, complete: str = "") -> None:
    """Write `page` to a file.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_atomically(path, page(timeline, complete))


def page(timeline: Timeline, complete: str = "") -> str:
    """Make the page of a timeline; pictures are inside it, nothing is fetched.

    However long the video, the page stays small: what says the same is joined, and beyond some hundred lines it says
    how many are left out.

    Args:
        complete: the name of the file that lists every moment, if there is one.
    """
    room, house = files("dfer.inference"), files("dfer.evaluation")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((room / "timeline.html.j2").read_text())
    colours = class_colours(timeline.labels)
    longest = sorted(timeline.faces, key=lambda face: face.start - face.end)[:FACES]
    moments = joined(timeline)
    peaks = sorted(
        ((peak, face.face) for face in timeline.faces for peak in face.peaks), key=lambda one: -one[0].confidence
    )
    without = sum(end - start for start, end in timeline.empty)
    return template.render(
        style=Markup((house / "page.css").read_text()),
        timeline=timeline,
        clock=clock,
        warnings=[SHOWN_NOT_FELT, AI_ACT],
        size=f"{timeline.width}×{timeline.height}",
        seen=max(0.0, timeline.seconds - without),
        main=main_label(timeline),
        faces=[_face(face, colours) for face in sorted(longest, key=lambda face: face.face)],
        charts=_charts(timeline) if timeline.faces else {},
        peaks=[
            {
                "face": face,
                "label": peak.label,
                "colour": colours[peak.label],
                "sure": f"{100 * peak.confidence:.0f} %",
                "when": f"{clock(peak.start, 1)} – {clock(peak.end, 1)}",
                "strip": inline(peak.strip, "image/jpeg"),
            }
            for peak, face in sorted(peaks[:PEAKS], key=lambda one: (one[1], one[0].start))
        ],
        more_peaks=max(0, len(peaks) - PEAKS),
        stretches=timeline.empty[:STRETCHES],
        moments=moments[:ROWS],
        more_moments=max(0, len(moments) - ROWS),
        complete=complete,
        asked=_asked(timeline.model),
    )


def shares(faces: Sequence[FaceTimeline]) -> dict[str, float]:
    """Give the share of the faces' time in which each thing is said, the reasons why nothing is said among them.

    Example:
        >>> from dfer.inference.timeline import Moment
        >>> said = Moment(0.0, 3.0, (0.9, 0.1), "happy"), Moment(3.0, 4.0, (0.5, 0.5), None, "unsure")
        >>> shares([FaceTimeline(1, 0.0, 4.0, 100, said)])
        {'happy': 0.75, 'unsure': 0.25}
    """
    seconds: dict[str, float] = {}
    for face in faces:
        for moment in face.moments:
            said = moment.label or moment.reason
            seconds[said] = seconds.get(said, 0.0) + moment.end - moment.start
    total = sum(seconds.values())
    ordered = sorted(seconds.items(), key=lambda one: -one[1])
    return {said: (length / total if total > 0 else 0.0) for said, length in ordered}


def main_label(timeline: Timeline) -> tuple[str, float] | None:
    """Name the expression shown longest, over all faces, and its share of their time; None where nothing is said."""
    found = shares(timeline.faces)
    return next(((said, share) for said, share in found.items() if said in timeline.labels), None)


def joined(timeline: Timeline) -> list[dict[str, Any]]:
    """Join the moments of each face that say the same, in order of time."""
    rows = []
    for face in timeline.faces:
        for (label, reason), run in groupby(face.moments, key=lambda moment: (moment.label, moment.reason)):
            moments = list(run)
            known = [moment.confidence for moment in moments if moment.confidence is not None]
            rows.append(
                {
                    "face": face.face,
                    "start": moments[0].start,
                    "end": moments[-1].end,
                    "said": label or f"nothing: {reason}",
                    "sure": f"{100 * sum(known) / len(known):.0f} %" if known else "",
                }
            )
    return sorted(rows, key=lambda row: (row["start"], row["face"]))


def curve(face: FaceTimeline, classes: int) -> FaceCurve:
    """Give a face's moments as arrays, for the chart."""
    unknown = (float("nan"),) * classes
    return FaceCurve(
        name=f"face {face.face}",
        start=np.array([moment.start for moment in face.moments], np.float64),
        end=np.array([moment.end for moment in face.moments], np.float64),
        probabilities=np.array([moment.probabilities or unknown for moment in face.moments]).reshape(-1, classes),
        label=[moment.label for moment in face.moments],
        reason=[moment.reason for moment in face.moments],
    )


def _charts(timeline: Timeline) -> dict[str, str]:
    """Draw the timeline for a screen and for a phone."""
    curves = [curve(face, len(timeline.labels)) for face in timeline.faces]
    drawn = {}
    for name, width in (("wide", WIDE), ("narrow", NARROW)):
        figure = draw_timeline(curves, timeline.labels, timeline.seconds, timeline.empty, width)
        drawn[name] = inline(render(figure, "svg"), "image/svg+xml")
    return drawn


def _face(face: FaceTimeline, colours: Mapping[str, str]) -> dict[str, Any]:
    parts = [
        {"said": said, "share": 100 * share, "colour": colours.get(said, SILENT)}
        for said, share in shares([face]).items()
    ]
    return {"number": face.face, "start": face.start, "end": face.end, "parts": parts}


def _asked(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    asked = dict(model)
    if "window" in asked and asked["window"] is None:
        asked["window"] = "the whole face"
    return [(NAMES.get(name, name.replace("_", " ")), _plain(value)) for name, value in asked.items()]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(one) for one in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
