"""What the outputs' tests share: timelines made by hand."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.inference.timeline import Boxes, FaceTimeline, Moment, Peak, Timeline
from dfer.labels import BASIC
from dfer.notices import DRAWN

MODEL = {"name": "mine", "window": 2.0, "step": 0.5, "unsure": 0.4, "detector": "marked", "geometry": {"size": 224}}


def make_moment(start: float, end: float, said: str | None, sure: float = 0.7) -> Moment:
    if said in ("too small", "too short"):
        return Moment(start, end, None, None, said)  # type: ignore[arg-type]
    best = BASIC.index(said) if said in BASIC else 0
    shares = [(1 - sure) / 6] * 7
    shares[best] = sure
    return Moment(start, end, tuple(shares), said if said in BASIC else None, "" if said in BASIC else "unsure")


def make_face(number: int, start: float, said: list[str | None], step: float = 0.5, left: float = 20.0) -> FaceTimeline:
    moments = [make_moment(start + k * step, start + (k + 1) * step, one) for k, one in enumerate(said)]
    end = start + step * len(said)
    seconds = np.arange(round(start * 20), round(end * 20)) / 20
    box = np.tile(np.array([left, 30, left + 60, 90], np.float32), (len(seconds), 1))
    jpeg = io.BytesIO()
    Image.new("RGB", (80, 10), "teal").save(jpeg, "JPEG")
    peaks = [Peak(name, start, start + step, 0.7, jpeg.getvalue()) for name in dict.fromkeys(said) if name in BASIC]
    boxes = Boxes(np.round(seconds * 20).astype(np.int64), seconds, box)
    return FaceTimeline(number, start, end, len(seconds), tuple(moments), tuple(peaks), boxes)


@pytest.fixture
def moment() -> Callable[..., Moment]:
    """Make a moment: from, to, the label or the reason for silence, how sure."""
    return make_moment


@pytest.fixture
def face() -> Callable[..., FaceTimeline]:
    """Make a face: number, start, what is said step by step."""
    return make_face


@pytest.fixture
def timeline() -> Callable[..., Timeline]:
    """Make a timeline of faces, of a video of 320 x 120."""

    def make(*faces: FaceTimeline, seconds: float = 5.0, **more: Any) -> Timeline:
        told = {"video": "film.mp4", "notes": (DRAWN,), "model": MODEL, "empty": (), **more}
        return Timeline(
            seconds=seconds, frames=round(20 * seconds), width=320, height=120, labels=BASIC, faces=faces, **told
        )

    return make
