"""A recogniser without a model, imported by workers of their own: what the file says is what happens."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dfer.errors import InputError, ItemError
from dfer.inference.timeline import FaceTimeline, Moment, Peak, Timeline
from dfer.labels import BASIC
from dfer.serve.recognise import Progress


class Fake:
    """Reads orders such as ``sleep 2`` out of the "video"; anything else is a video with two faces."""

    about: ClassVar[dict[str, Any]] = {"labels": list(BASIC), "notes": ["A note of the model."], "name": "fake"}

    def __call__(self, video: Path, options: Mapping[str, Any], progress: Progress) -> Timeline:
        order, _, value = video.read_bytes()[:100].decode(errors="replace").partition(" ")
        if order == "sleep":  # says how far it is, and can be stopped
            for tick in range(int(float(value) * 20)):
                progress(tick / 20, float(value))
                time.sleep(0.05)
        if order == "hang":  # hears nothing
            time.sleep(float(value))
        if order == "die":
            os._exit(3)
        if order == "bad":
            raise ItemError(f"{video} is no video file that can be read; convert it to mp4,\nor leave the clip out")
        if order == "fault":
            raise RuntimeError(f"shapes differ in {video}")
        if order == "empty":
            return Timeline(str(video), 3.0, 90, 640, 360, BASIC, (), ((0.0, 3.0),), model=self.model(options))
        return two_faces(str(video), 12.0, self.model(options))

    def model(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": "fake", "pid": os.getpid(), **options}


def two_faces(video: str, seconds: float, model: Mapping[str, Any]) -> Timeline:
    faces = (face(1, 0.0, seconds, 0.3), face(2, 4.0, seconds - 2, 2.0, short=True))
    notes = ("The video is damaged: cut off after 12.0 s.",)
    return Timeline(video, seconds, 360, 640, 360, BASIC, faces, ((11.8, seconds),), notes, model)


def face(number: int, start: float, end: float, phase: float, short: bool = False) -> FaceTimeline:
    moments = []
    for left in np.arange(start, end, 0.5):
        scores = [3 * np.sin(phase + left / 2 + k * 0.9) for k in range(7)]
        shares = np.exp(scores) / np.exp(scores).sum()
        if short and left < start + 1.5:
            moments.append(Moment(left, left + 0.5, None, None, "too small"))
        elif max(shares) < 0.45:
            moments.append(Moment(left, left + 0.5, tuple(map(float, shares)), None, "unsure"))
        else:
            moments.append(Moment(left, left + 0.5, tuple(map(float, shares)), BASIC[int(shares.argmax())]))
    peak = max((m for m in moments if m.label), key=lambda m: m.confidence or 0)
    peaks = (Peak(str(peak.label), peak.start, peak.end, float(peak.confidence or 0), b""),)
    return FaceTimeline(number, start, end, int((end - start) * 30), tuple(moments), peaks)


class Slow(Fake):
    """Takes a while to load."""

    def __init__(self) -> None:
        time.sleep(1.5)


def refused() -> Fake:
    """A model that cannot be loaded."""
    raise InputError("model.safetensors is damaged; train it again")


class Once(Fake):
    """Loads while its mark is there, which is taken away then."""

    def __init__(self, mark: Path) -> None:
        if not mark.exists():
            raise InputError("gone")
        mark.unlink()
