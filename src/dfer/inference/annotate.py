"""A video with what was recognised drawn into it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dfer.figures.timeline import class_colours, font_file, ink_on
from dfer.inference.moving_chart import MovingChart
from dfer.inference.timeline import Boxes, Moment, Timeline
from dfer.video.encode import write_timed_video
from dfer.video.images import Frame
from dfer.video.stream import Limits, open_stream

NARROWEST: Final = 360
"""Pixels; the picture of a smaller video stands between bars, so that the words find room."""
QUIET: Final = "#e4e6e9"
BARS: Final = (28, 31, 35)


def annotate(
    video: Path,
    timeline: Timeline,
    out: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    progress: Callable[[float, float | None], None] | None = None,
) -> None:
    """Write an mp4 with every face's box, number, label or the reason why there is none, and a moving chart below.

    The picture keeps its size and every frame its time; sound is copied as it is where mp4 files may hold it. The
    timeline's notes are in every frame. One frame is held at a time; the file is written whole or not at all.

    Args:
        timeline: of this video, with the faces' boxes.
        progress: told after each frame how many seconds are done, and of how many.

    Raises:
        ItemError: the video cannot be read.
        InputError: the folder cannot be written to.
    """
    with open_stream(video, limits) as stream:
        drawing = Drawing(timeline, stream.info.width, stream.info.height)

        def frames() -> Iterator[tuple[float, Frame]]:
            for frame in stream:
                yield frame.seconds, drawing.draw(frame.pixels, frame.seconds)
                if progress is not None:
                    progress(frame.seconds, timeline.seconds)

        write_timed_video(out, frames(), sound=video)


class Drawing:
    """Draws a timeline into the frames of its video.

    Args:
        width, height: of the video's first frame; later ones of another size are fitted to it.
    """

    def __init__(self, timeline: Timeline, width: int, height: int) -> None:
        self.timeline, self.size = timeline, (width, height)
        self.colours = class_colours(timeline.labels)
        self.text = int(np.clip(round(height / 24), 12, 48))
        self.font = ImageFont.truetype(font_file(), self.text)
        self.line = max(2, round(height / 180))
        across = max(width, NARROWEST)
        self.chart = MovingChart(timeline, across + across % 2, min(self.text, 24))
        self.left = (self.chart.width - width) // 2
        self.faces = [(face, face.boxes) for face in timeline.faces if face.boxes is not None and len(face.boxes.box)]
        self.starts = np.array([face.start for face, _ in self.faces])
        self.ends = np.array([face.end for face, _ in self.faces])
        self.moments = [np.array([moment.start for moment in face.moments]) for face, _ in self.faces]

    def draw(self, pixels: Frame, seconds: float) -> Frame:
        """Draw the moment of a frame: ``(H, W, 3)`` -> the picture, padded to even sides, with the chart below."""
        image = Image.fromarray(pixels)
        if image.size != self.size:
            image = image.resize(self.size)
        width, height = self.size
        canvas = Image.new("RGB", (self.chart.width, height + height % 2), BARS)
        canvas.paste(image, (self.left, 0))
        pen = ImageDraw.Draw(canvas)
        scale = np.array([width / pixels.shape[1], height / pixels.shape[0]] * 2)
        for place in np.flatnonzero((self.starts <= seconds + 1e-6) & (seconds < self.ends)).tolist():
            face, boxes = self.faces[place]
            known = int(np.searchsorted(self.moments[place], seconds + 1e-6, side="right")) - 1
            moment = face.moments[max(0, known)] if face.moments else None
            self._face(pen, face.face, box_at(boxes, seconds) * scale, moment)
        return np.concatenate([np.asarray(canvas), self.chart.draw(seconds)])

    def _face(self, pen: ImageDraw.ImageDraw, number: int, box: NDArray[np.float64], moment: Moment | None) -> None:
        left, top, right, bottom = (box + np.array([self.left, 0, self.left, 0])).round().astype(int).tolist()
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        colour = QUIET if moment is None or moment.label is None else self.colours[moment.label]
        pen.rectangle([left - 1, top - 1, right + 1, bottom + 1], outline="black", width=self.line + 2)
        pen.rectangle([left, top, right, bottom], outline=colour, width=self.line)
        words = f"{number} {said(moment)}".strip()
        wide, high = self.font.getlength(words) + 8, self.text + 6
        x = min(max(left, 0), max(0, self.chart.width - wide))
        y = top - high if top >= high else max(0, min(top + self.line, self.size[1] - high))
        pen.rectangle([x, y, x + wide, y + high], fill=colour, outline="black")
        pen.text((x + 4, y + 2), words, fill=ink_on(colour), font=self.font)


def said(moment: Moment | None) -> str:
    """Say a moment in a few words: the label, or why there is none, and how sure the model is.

    Example:
        >>> said(Moment(0.0, 0.5, (0.31, 0.69), "sad")), said(Moment(0.0, 0.5, (0.31, 0.3, 0.39), None, "unsure"))
        ('sad 69 %', 'unsure (39 %)')
        >>> said(Moment(0.0, 0.5, None, None, "too small"))
        'too small'
    """
    if moment is None:
        return ""
    if moment.confidence is None:
        return moment.reason
    return (
        f"{moment.label} {100 * moment.confidence:.0f} %"
        if moment.label
        else f"{moment.reason} ({100 * moment.confidence:.0f} %)"
    )


def box_at(boxes: Boxes, seconds: float) -> NDArray[np.float64]:
    """Find where a face was, between two known boxes where frames were left out.

    Example:
        >>> known = np.array([[0, 0, 10, 10], [8, 0, 18, 10]], np.float32)
        >>> box_at(Boxes(np.array([0, 2]), np.array([0.0, 0.2]), known), 0.05).tolist()
        [2.0, 0.0, 12.0, 10.0]
    """
    return np.array([np.interp(seconds, boxes.seconds, side) for side in boxes.box.T])
