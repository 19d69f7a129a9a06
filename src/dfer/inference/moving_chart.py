"""The chart below an annotated picture: what was said around now, face by face."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dfer.figures.timeline import STEPS, class_colours, clock, font_file, ink_on, lanes
from dfer.inference.timeline import FaceTimeline, Timeline
from dfer.labels import SHORT
from dfer.notices import SHOWN_NOT_FELT

SPAN: Final = 12.0
"""Seconds that the chart shows."""
LANES: Final = 4
"""Faces at a time that it shows."""
INK, SOFT, PAPER = (28, 31, 35), (84, 92, 101), (255, 255, 255)
GREY, STRIPE = np.array([[228, 230, 233], [190, 194, 199]], np.uint8)


class Lane(NamedTuple):
    """The moments of faces that do not meet, one after the other.

    Shape:
        start, end ``(M,)``, shares ``(M, K)`` summed up over the classes (not a number where the model was not asked),
        said ``(M,)`` index of the class (-1: nothing).
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    shares: NDArray[np.float64]
    said: NDArray[np.int64]
    reason: list[str]
    face: NDArray[np.int64]


class MovingChart:
    """Draws the probabilities around a moment, with a cursor at it.

    Below them stand the classes and their colours, the timeline's notes, and that a shown expression is not a felt
    emotion. The chart's size is the same for all moments; ten hours cost no more than ten seconds.

    Args:
        width: in pixels.
        text: the text's size in pixels.
    """

    def __init__(self, timeline: Timeline, width: int, text: int = 13) -> None:
        self.timeline, self.width = timeline, width
        self.span = max(min(SPAN, timeline.seconds), 1e-3)
        self.empty = np.array(timeline.empty, np.float64).reshape(-1, 2)
        self.font = ImageFont.truetype(font_file(), text)
        self.colours = class_colours(timeline.labels)
        self.palette = np.array([_rgb(colour) for colour in self.colours.values()], np.uint8).reshape(-1, 3)
        self.lanes, self.left_out = _lanes(timeline.faces, timeline.labels)
        self.line = text + 5
        self.area = 3 * text if len(self.lanes) > 2 else 4 * text
        self.row = self.area + self.line + 6
        self._lengths: dict[str, float] = {}
        self.plot = max(1, len(self.lanes)) * self.row + self.line
        self._below = self._words()
        self.height = self.plot + self._below.shape[0]

    def draw(self, seconds: float) -> NDArray[np.uint8]:
        """Draw the chart at a moment, ``(height, width, 3)``."""
        left = max(0.0, min(seconds - self.span / 2, self.timeline.seconds - self.span))
        times = left + (np.arange(self.width) + 0.5) * self.span / self.width
        picture = np.full((self.height, self.width, 3), 255, np.uint8)
        picture[self.plot :] = self._below
        names: list[tuple[float, float, str, Any]] = []  # middle, top, text, colour
        for place, lane in enumerate(self.lanes):
            self._lane(picture, lane, place * self.row + 4, times, left, names)
        in_view = (self.empty[:, 0] < left + self.span) & (self.empty[:, 1] > left)
        for start, end in self.empty[in_view].tolist():
            begin, stop = self._x(max(start, left), left), self._x(min(end, left + self.span), left)
            if self._fits("no face", stop - begin):
                names.append(((begin + stop) / 2, (self.row - self.line) / 2, "no face", SOFT))
        image = Image.fromarray(picture)
        pen = ImageDraw.Draw(image)
        for middle, top, text, colour in names:
            pen.text((middle, top), text, fill=colour, font=self.font, anchor="ma")
        self._ticks(pen, left)
        cursor = min(max(self._x(seconds, left), 1), self.width - 2)
        pen.line([(cursor, 0), (cursor, self.plot - self.line)], fill=PAPER, width=4)
        pen.line([(cursor, 0), (cursor, self.plot - self.line)], fill=INK, width=2)
        return np.asarray(image)

    def _x(self, seconds: float, left: float) -> float:
        return (seconds - left) * self.width / self.span

    def _lane(
        self,
        picture: NDArray[np.uint8],
        lane: Lane,
        top: int,
        times: NDArray[np.float64],
        left: float,
        names: list[tuple[float, float, str, Any]],
    ) -> None:
        moment = np.searchsorted(lane.start, times, side="right") - 1  # (W,)
        there = np.flatnonzero((moment >= 0) & (times < lane.end[moment]))
        if not len(there):
            return
        first, last = moment[there[0]], moment[there[-1]] + 1
        shares, said = lane.shares[first:last], lane.said[first:last]  # (m, K), (m,): those in view
        rows = (np.arange(self.area) + 0.5)[:, None] / self.area
        index = np.zeros((self.area, len(shares)), np.int64)
        for k in range(shares.shape[1] - 1):
            index += rows >= shares[:, k]
        column = moment[there] - first
        area = self.palette[index][:, column]  # (A, n, 3)
        told = np.repeat(self.palette[said][None, column], self.line, axis=0)  # (L, n, 3)
        silent = np.isnan(shares[column, 0]), said[column] < 0
        across = there + round(left * self.width / self.span)  # stripes move with the time
        for part, quiet in zip((area, told), silent):
            stripes = (across[quiet] + np.arange(len(part))[:, None]) % 8 < 2
            part[:, quiet] = np.where(stripes[..., None], STRIPE, GREY)
        bar = top + self.area + 2
        picture[top : top + self.area, there] = area
        picture[bar : bar + self.line, there] = told
        self._name(lane, moment[there], there, bar, names)

    def _name(
        self,
        lane: Lane,
        moments: NDArray[np.int64],
        columns: NDArray[np.int64],
        top: int,
        names: list[tuple[float, float, str, Any]],
    ) -> None:
        """Write what is said into the bar, and the face's number, where there is room."""
        key = [(lane.face[k], lane.said[k], lane.reason[k]) for k in moments.tolist()]
        edges = [0, *(k for k in range(1, len(key)) if key[k] != key[k - 1]), len(key)]
        for begin, stop in pairwise(edges):
            face, said, reason = key[begin]
            what = self.timeline.labels[said] if said >= 0 else reason
            room = columns[stop - 1] - columns[begin]
            fitting = (one for one in (f"{face} {what}", what, SHORT.get(what, what)) if self._fits(one, room))
            colour = _rgb(ink_on(self.colours[what])) if said >= 0 else INK
            if text := next(fitting, ""):
                names.append(((columns[begin] + columns[stop - 1]) / 2, top + 1, text, colour))

    def _fits(self, text: str, room: float) -> bool:
        if text not in self._lengths:
            self._lengths[text] = self.font.getlength(text)
        return self._lengths[text] + 6 < room

    def _ticks(self, pen: ImageDraw.ImageDraw, left: float) -> None:
        room = 1.6 * self.font.getlength("00:00.0")
        step = next((step for step in STEPS if step * self.width / self.span >= room), STEPS[-1])
        for number in range(math.ceil(left / step), math.floor((left + self.span) / step) + 1):
            x = self._x(number * step, left)
            pen.line([(x, self.plot - self.line - 3), (x, self.plot - self.line)], fill=SOFT)
            text = clock(number * step, 1 if step < 1 else 0)
            half = self.font.getlength(text) / 2
            x = min(max(x, half), self.width - half)
            pen.text((x, self.plot - self.line + 1), text, fill=SOFT, font=self.font, anchor="ma")

    def _words(self) -> NDArray[np.uint8]:
        """Draw what stays: the classes, the notes."""
        lines: list[list[tuple[float, str, str]]] = [[]]
        x = 6.0
        for name, colour in self.colours.items():
            wide = self.line + self.font.getlength(name) + 12
            if x + wide > self.width and lines[-1]:
                lines.append([])
                x = 6.0
            lines[-1].append((x, name, colour))
            x += wide
        notes = [*self.timeline.notes, SHOWN_NOT_FELT]
        if self.left_out:
            notes.insert(0, f"{self.left_out} more faces are not in this chart.")
        written = [line for note in notes for line in self._wrapped(note)]
        height = (len(lines) + len(written)) * self.line + 10
        height += (self.plot + height) % 2  # codecs ask for even sides
        image = Image.new("RGB", (self.width, height), PAPER)
        pen = ImageDraw.Draw(image)
        size = self.line - 6
        for place, entries in enumerate(lines):
            top = 2 + place * self.line
            for x, name, colour in entries:
                pen.rectangle([x, top + 2, x + size, top + 2 + size], fill=colour)
                pen.text((x + size + 4, top), name, fill=INK, font=self.font)
        for place, line in enumerate(written):
            pen.text((6, 6 + (len(lines) + place) * self.line), line, fill=INK, font=self.font)
        return np.asarray(image)

    def _wrapped(self, text: str) -> list[str]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.font.getlength(longer) > self.width - 12:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


def _lanes(faces: Sequence[FaceTimeline], labels: Sequence[str]) -> tuple[list[Lane], int]:
    """Put faces into lanes; also how many faces found no room."""
    faces = sorted((face for face in faces if face.moments), key=lambda face: face.start)
    places = lanes([(face.moments[0].start, face.moments[-1].end) for face in faces])
    found = []
    for lane in range(min(LANES, max(places, default=-1) + 1)):
        own = [face for face, place in zip(faces, places) if place == lane]
        moments = [(face.face, moment) for face in own for moment in face.moments]
        shares = np.full((len(moments), len(labels)), np.nan)
        for row, (_, moment) in enumerate(moments):
            if moment.probabilities is not None:
                shares[row] = np.cumsum(moment.probabilities)
        found.append(
            Lane(
                np.array([moment.start for _, moment in moments]),
                np.array([moment.end for _, moment in moments]),
                shares,
                np.array([-1 if moment.label is None else labels.index(moment.label) for _, moment in moments]),
                [moment.reason for _, moment in moments],
                np.array([face for face, _ in moments]),
            )
        )
    return found, sum(place >= LANES for place in places)


def _rgb(colour: str) -> tuple[int, int, int]:
    if not colour.startswith("#"):
        return (0, 0, 0) if colour == "black" else (255, 255, 255)
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
