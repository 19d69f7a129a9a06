"""Who shows which expression when: probabilities over time, face by face."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from dfer.figures.style import COLUMN_WIDTH, QUIET, class_colour, new_panels
from dfer.labels import COLOURS, SHORT

ROWS: Final = 12
"""Faces up to which each has a row of its own; more share rows where they do not meet."""
BINS: Final = 110
"""Steps drawn per inch at most; finer ones are averaged."""
BAR: Final = 0.3
"""Height of the bar of labels, in units of the probabilities above it."""
SPARE: Final = ("#117733", "#882255", "#ddcc77", "#332288", "#44aa99", "#aa4499", "#999933", "#661100")
STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class FaceCurve:
    """A face's moments, in order of time: what was said of each, and how sure the model was of every class.

    Shape:
        start, end ``(M,)`` seconds, probabilities ``(M, K)`` (not a number where the model was not asked),
        label ``(M,)`` (None where nothing is said), reason ``(M,)`` (why nothing is said).
    """

    name: str
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    label: Sequence[str | None]
    reason: Sequence[str]


def timeline(
    faces: Sequence[FaceCurve],
    labels: Sequence[str],
    seconds: float,
    empty: Sequence[tuple[float, float]] = (),
    width: float = COLUMN_WIDTH,
) -> Figure:
    """Draw each face's probabilities as stacked areas over time, and below them what is said of it.

    Where nothing is said the bar is hatched and names the reason; where there was no face the row is empty. More than
    `ROWS` faces share rows where they do not meet in time; rows beyond that are left out, and the last line says so.

    Args:
        seconds: of the whole video.
        empty: stretches in which there was no face.
        width: in inches.

    Raises:
        ValueError: a face whose arrays do not fit each other, or a video of no length.

    Example:
        >>> said = FaceCurve("face 1", np.array([0.0]), np.array([2.0]), np.array([[0.9, 0.1]]), ["happy"], [""])
        >>> figure = timeline([said], ["happy", "sad"], 3.0, [(2.0, 3.0)])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['no face', 'Hap', 'happy']
    """
    if not seconds > 0:
        raise ValueError(f"a video of {seconds} s; its length must be positive")
    for face in faces:
        sizes = {len(face.start), len(face.end), len(face.label), len(face.reason), len(face.probabilities)}
        if len(sizes) > 1 or face.probabilities.shape[1:] != (len(labels),):
            raise ValueError(
                f"{face.name}: probabilities {face.probabilities.shape} for {len(labels)} classes, "
                f"lengths {sorted(sizes)}"
            )
    colours = class_colours(labels)
    faces = [face for face in faces if len(face.start)]
    rows = _rows(faces)
    left_out = sum(len(row) for row in rows[ROWS:])
    rows = rows[:ROWS] or [[]]
    shared = len(faces) > ROWS
    height = float(np.clip(4.2 / len(rows), 0.5, 1.15))
    lines = -(-(len(labels) + 1) // max(2, int(width / 0.95)))
    columns = -(-(len(labels) + 1) // lines)
    figure, axes = new_panels(len(rows), 1, width, len(rows) * height + 0.45 + 0.17 * lines)
    per_inch = seconds / (0.85 * width)  # seconds that an inch shows
    for one, row in zip(axes, rows):
        _frame(one, seconds, [] if shared else [face.name for face in row])
        for start, end in empty:
            _empty(one, start, end, per_inch)
        if row:
            drawn = _coarse(_joined(row), per_inch / BINS)
            _areas(one, drawn, labels, colours, per_inch, height)
            _bar(one, drawn, colours, per_inch)
        for face in row if shared else ():
            if (face.end[-1] - face.start[0]) / per_inch > 0.35:
                one.text(face.start[0], 1.02, face.name, fontsize=5, va="bottom", ha="left")
    _clock_axis(axes, seconds, width, left_out)
    handles: list[Patch] = [Patch(facecolor=colours[name], label=name) for name in labels]
    handles.append(Patch(facecolor="#e4e6e9", edgecolor=QUIET, hatch="/////", linewidth=0, label="nothing said"))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False, fontsize=7, handlelength=1.2)
    return figure


def lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Give spans of time, in order of their start, the first lane that is free.

    Example:
        >>> lanes([(0, 5), (1, 2), (3, 9), (5, 6)])
        [0, 1, 1, 0]
    """
    until: list[float] = []
    found = []
    for start, end in spans:
        lane = next((k for k, taken in enumerate(until) if taken <= start), len(until))
        until[lane : lane + 1] = [end]
        found.append(lane)
    return found


def class_colours(labels: Sequence[str]) -> dict[str, str]:
    """Give every class a colour of its own: the house's where it has one.

    Example:
        >>> class_colours(["happy", "bored", "eager"])
        {'happy': '#e69f00', 'bored': '#117733', 'eager': '#882255'}
    """
    unknown = [name for name in labels if name not in COLOURS]
    spare = {name: SPARE[place % len(SPARE)] for place, name in enumerate(unknown)}
    return {name: spare.get(name) or class_colour(name) for name in labels}


def clock(seconds: float, digits: int = 0) -> str:
    """Write a time as a clock does.

    Example:
        >>> clock(7.25), clock(75.04, 1), clock(3725)
        ('0:07', '1:15.0', '1:02:05')
    """
    whole = round(seconds * 10**digits)
    rest, part = divmod(whole, 10**digits)
    minutes, rest = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{text}.{part:0{digits}d}" if digits else text


def ink_on(colour: str) -> str:
    """Choose black or white for text on a colour, whichever stands out more.

    Example:
        >>> ink_on("#e69f00"), ink_on("#0072b2")
        ('black', 'white')
    """
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    light = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return "black" if 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.179 else "white"


def font_file() -> Path:
    """Name the font of all figures, for drawing into pictures."""
    return Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def _rows(faces: Sequence[FaceCurve]) -> list[list[FaceCurve]]:
    if len(faces) <= ROWS:
        return [[face] for face in faces]
    faces = sorted(faces, key=lambda face: float(face.start[0]))
    rows: list[list[FaceCurve]] = []
    for face, lane in zip(faces, lanes([(float(face.start[0]), float(face.end[-1])) for face in faces])):
        if lane == len(rows):
            rows.append([])
        rows[lane].append(face)
    return rows


def _joined(row: Sequence[FaceCurve]) -> FaceCurve:
    """Put the faces of a row after each other, with a moment of nothing wherever there is a hole."""
    start, end = (np.concatenate([getattr(face, name) for face in row]) for name in ("start", "end"))
    probabilities = np.concatenate([face.probabilities for face in row])
    label = [name for face in row for name in face.label]
    reason = [why for face in row for why in face.reason]
    holes = np.flatnonzero(start[1:] - end[:-1] > 1e-6)
    at = holes + 1
    for place in reversed(at.tolist()):
        label.insert(place, None)
        reason.insert(place, "")
    return FaceCurve(
        row[0].name,
        np.insert(start, at, end[holes]),
        np.insert(end, at, start[at]),
        np.insert(probabilities, at, np.nan, axis=0),
        label,
        reason,
    )


def _coarse(face: FaceCurve, step: float) -> FaceCurve:
    """Join moments that are closer than a step: probabilities averaged, what was said longest said of all."""
    bins = np.floor((face.start + face.end) / 2 / step).astype(np.int64)
    if len(np.unique(bins)) == len(bins):
        return face
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    start, end = face.start[first], np.maximum.reduceat(face.end, first)
    length = (face.end - face.start)[:, None] * ~np.isnan(face.probabilities)
    weighted = np.add.reduceat(np.nan_to_num(face.probabilities) * length, first)
    with np.errstate(invalid="ignore"):
        mean = weighted / np.add.reduceat(length, first)
    label: list[str | None] = []
    reason: list[str] = []
    for low, high in zip(first, [*first[1:], len(bins)]):
        share: dict[tuple[str | None, str], float] = {}
        for k in range(low, high):
            said = face.label[k], face.reason[k]
            share[said] = share.get(said, 0.0) + float(face.end[k] - face.start[k])
        most = max(share, key=share.__getitem__)
        label.append(most[0])
        reason.append(most[1])
    return FaceCurve(face.name, start, end, mean, label, reason)


def _frame(axes: Axes, seconds: float, names: Sequence[str]) -> None:
    axes.set_xlim(0, seconds)
    axes.set_ylim(-BAR - 0.04, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color("#c4c8cd")
    axes.set_ylabel("\n".join(names), rotation=0, ha="right", va="center", fontsize=7)


def _empty(axes: Axes, start: float, end: float, per_inch: float) -> None:
    axes.axvspan(start, end, facecolor="#f4f5f7", edgecolor="#c4c8cd", linewidth=0.4, linestyle=(0, (2, 2)))
    if (end - start) / per_inch > 0.4:
        axes.text((start + end) / 2, 0.5, "no face", fontsize=6, ha="center", va="center", color="#5d6670")


def _areas(
    axes: Axes,
    face: FaceCurve,
    labels: Sequence[str],
    colours: dict[str, str],
    per_inch: float,
    height: float,
) -> None:
    """Stack the probabilities, class by class from above, in steps; name each class where it is largest."""
    low = np.concatenate([np.zeros((len(face.start), 1)), np.cumsum(face.probabilities, axis=1)], axis=1)
    edges = np.stack([face.start, face.end], axis=1).ravel()  # (2M,)
    line = 0.3 if len(face.start) < 150 else 0.0
    for k, name in enumerate(labels):
        bottom, top = 1 - np.repeat(low[:, k + 1], 2), 1 - np.repeat(low[:, k], 2)
        axes.fill_between(edges, bottom, top, color=colours[name], edgecolor="white", linewidth=line)
        runs = _runs((face.probabilities[:, k] * height / (1 + BAR) > 0.11).tolist())
        runs = [run for run in runs if run[2] and _fits(SHORT.get(name, name), face, run[:2], per_inch)]
        if runs:
            begin, stop, _ = max(runs, key=lambda run: float(face.probabilities[run[0] : run[1], k].max()))
            at = begin + int(face.probabilities[begin:stop, k].argmax())
            where = (face.start[at] + face.end[at]) / 2, 1 - (low[at, k] + low[at, k + 1]) / 2
            room = 0.5 * len(SHORT.get(name, name)) * 0.062 * per_inch
            x = float(np.clip(where[0], face.start[begin] + room, face.end[stop - 1] - room))
            axes.text(x, where[1], SHORT.get(name, name), fontsize=6, ha="center", va="center",
                      color=ink_on(colours[name]))  # fmt: skip


def _bar(axes: Axes, face: FaceCurve, colours: dict[str, str], per_inch: float) -> None:
    """Draw what is said: a class by colour and name, or hatched and grey with the reason."""
    said = [name or f"\0{reason}" for name, reason in zip(face.label, face.reason)]
    for begin, stop, what in _runs(said):
        left, right = face.start[begin], face.end[stop - 1]
        if what == "\0":
            continue  # no moment at all
        silent = what.startswith("\0")
        colour, what = ("#e4e6e9", what[1:]) if silent else (colours.get(what, QUIET), what)
        box = Rectangle((left, -BAR), right - left, BAR - 0.06, facecolor=colour, linewidth=0)
        if silent:
            box.set(hatch="/////", edgecolor="#b3b8be")
        axes.add_patch(box)
        names = [what, SHORT.get(what, what)]
        text = next((one for one in names if _fits(one, face, (begin, stop), per_inch)), None)
        if text:
            paper = {"facecolor": "#e4e6e9", "edgecolor": "none", "pad": 0.6} if silent else None
            axes.text((left + right) / 2, -BAR / 2 - 0.03, text, fontsize=6, ha="center", va="center_baseline",
                      color="black" if silent else ink_on(colour), bbox=paper)  # fmt: skip
        if silent and np.isnan(face.probabilities[begin:stop]).all():  # the model was not asked: no areas above
            axes.add_patch(Rectangle((left, 0), right - left, 1, facecolor="none", hatch="/////", edgecolor="#d5d8dc",
                                     linewidth=0))  # fmt: skip


def _runs(values: Sequence[Any]) -> list[tuple[int, int, Any]]:
    """Join equal neighbours: where each run begins and stops, and what it holds."""
    edges = [0, *(k for k in range(1, len(values)) if values[k] != values[k - 1]), len(values)]
    return [(begin, stop, values[begin]) for begin, stop in pairwise(edges) if begin < stop]


def _fits(text: str, face: FaceCurve, run: tuple[int, int], per_inch: float) -> bool:
    return bool(0.062 * len(text) + 0.04 < (face.end[run[1] - 1] - face.start[run[0]]) / per_inch)


def _clock_axis(axes: Sequence[Axes], seconds: float, width: float, left_out: int) -> None:
    step = next((step for step in STEPS if seconds / step <= 1.4 * width), STEPS[-1])
    ticks = np.arange(0, seconds + 1e-9, step)
    for one in axes[:-1]:
        one.set_xticks(ticks, [""] * len(ticks))
        one.tick_params(length=0)
    axes[-1].set_xticks(ticks, [clock(tick, 1 if step < 1 else 0) for tick in ticks])
    axes[-1].tick_params(labelsize=7)
    axes[-1].set_xlabel("time" + (f"; {left_out} more faces are not drawn" if left_out else ""), fontsize=7)
