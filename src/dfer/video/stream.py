"""A video from its first frame to its last, one frame at a time."""

import os
import re
from collections.abc import Container, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

import av

from dfer.errors import ItemError
from dfer.video.container import announced_frames, blamed, check_size, is_shown, is_whole, opened, shown
from dfer.video.images import MOST_PIXELS, Frame
from dfer.video.stamps import Stamps, Stretch
from dfer.video.upright import Upright

USUAL_RATE = 25.0  # where the file does not say
RATES = (1e-3, 1e5)
DATED = ("matroska", "flv", "asf", "avi")  # whose header says how long it is
LEAST_CUT = 0.1  # seconds; headers are off by less
PATIENCE = 100  # pieces in a row that cannot be read
THREADS = 8
AHEAD = 8 * 1920 * 1080  # pixels that the decoder's threads work on at once


@dataclass(frozen=True)
class Limits:
    """What is refused before memory is taken: pixels of a frame and seconds of a video, as claimed and as found."""

    pixels: int = MOST_PIXELS
    seconds: float = 24 * 3600.0


class StreamInfo(NamedTuple):
    """What a video announces, None where it is silent; the size is as shown, turned and with square pixels."""

    height: int
    width: int
    rate: float
    seconds: float | None
    frames: int | None


class VideoFrame(NamedTuple):
    """One frame: its index among the video's frames, and its time from the first one, strictly growing.

    Shape:
        pixels ``(H, W, 3)`` RGB uint8, upright; where a file changes its size midway, of the first frame's size.
    """

    index: int  # type: ignore[assignment]  # hides the tuple's own, which nobody needs here
    seconds: float
    pixels: Frame


@contextmanager
def open_stream(
    path: Path, limits: Limits = Limits(), max_rate: float | None = None, numbers: Container[int] | None = None
) -> Iterator["VideoStream"]:
    """Open a video to go over its frames once.

    Args:
        max_rate: frames beyond so many per second are left out, which saves their conversion.
        numbers: of the others, besides the first, only these are given, counted as they come out of the decoder.

    Raises:
        ItemError: no video, nothing in it that can be decoded, or larger or longer than the limits; the latter
            also while going over the frames, if the file claims less than it holds.

    Example:
        >>> with open_stream(Path("clip.mp4"), max_rate=30) as stream:  # doctest: +SKIP
        ...     for frame in stream:
        ...         print(frame.seconds, frame.pixels.shape)
    """
    if max_rate is not None and not max_rate > 0:
        raise ValueError(f"max_rate must be above 0, got {max_rate}")
    with opened(Path(path), limits.pixels) as (container, source):
        stream = VideoStream(Path(path), container, source, limits, max_rate, numbers)
        try:
            yield stream
        finally:
            stream.close()


class VideoStream:
    """The frames of an open video, in the order of showing; holds one at a time.

    Attributes:
        info: what the file announces.
        frames: how many the video had so far, those left out or lost too; all of them after the last one.
        decoded: how many of them came out of the decoder.
        seconds: when the last of these is shown.
        damage: what could not be read, in one clause; known after the last frame, empty where all is well.
    """

    def __init__(
        self,
        path: Path,
        container: Any,
        source: Any,
        limits: Limits,
        max_rate: float | None,
        numbers: Container[int] | None,
    ) -> None:
        self.frames = self.decoded = 0
        self.seconds = 0.0
        self.damage = ""
        self._path, self._limits, self._max_rate, self._numbers = path, limits, max_rate, numbers
        self._container, self._source = container, source
        self._lasts, self._sure = _announced(container, source)
        self._check_length(self._lasts or 0.0, "claims to last")
        self._rate = _rate(source)
        self._stamps = Stamps(float(source.time_base or 1), 1 / self._rate)
        self._spoilt = Stretch()
        self._packets = self._failures = 0
        self._begin: int | None = None
        self._end = 0
        self._frames = self._read()
        with blamed(path):
            first = next(self._frames, None)
        if first is None:
            raise ItemError(
                f"nothing in {shown(path)} can be decoded: it is damaged, or its frames are too large; "
                "copy it again, or leave it out"
            )
        self._given = self._from(first)
        height, width = first.pixels.shape[:2]
        self.info = StreamInfo(height, width, self._rate, self._lasts, source.frames or None)

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._given

    def close(self) -> None:
        """Stop reading; what was not gone over is not given any more."""
        self._given.close()
        self._frames.close()

    def _from(self, first: VideoFrame) -> Generator[VideoFrame]:
        yield first
        del first
        yield from self._frames

    def _read(self) -> Generator[VideoFrame]:
        upright, slot = Upright(self._source), -1
        for number, frame in enumerate(self._decoded()):
            index, seconds = self._stamps.place(frame.dts if frame.pts is None else frame.pts)
            self.frames, self.decoded, self.seconds = index + 1, number + 1, seconds
            self._check_length(seconds, "lasts")
            check_size(self._path, frame.width, frame.height, self._limits.pixels)
            if frame.is_corrupt:
                self._spoilt.add(seconds)
            if self._max_rate is not None:
                before, slot = slot, max(slot, floor(seconds * self._max_rate + 0.1))  # stamps are rounded
                if slot == before:
                    continue
            if number and self._numbers is not None and number not in self._numbers:
                continue
            with blamed(self._path):
                pixels = upright(frame)
            yield VideoFrame(index, seconds, pixels)
        self._stamps.close()
        self.damage = "; ".join(self._clauses())

    def _decoded(self) -> Iterator[Any]:
        """Every frame that the decoder gives, going on after what it cannot read."""
        context = self._source.codec_context
        pixels = max(1, context.width * context.height)
        context.thread_count = max(1, min(THREADS, os.cpu_count() or 1, AHEAD // pixels))
        context.thread_type = "AUTO"
        for packet in self._demuxed():
            stamp = packet.dts if packet.pts is None else packet.pts
            if not is_whole(packet, self._container):
                self._fail()
                continue
            self._packets += 1
            if stamp is not None:
                self._begin = stamp if self._begin is None else min(self._begin, stamp)
                self._end = max(self._end, stamp + (packet.duration or 0))
            if is_shown(packet, self._source):
                self._stamps.expect(stamp)
            yield from self._decode(packet)
        yield from self._decode(None)

    def _demuxed(self) -> Iterator[Any]:
        failed = 0
        while failed < PATIENCE:
            try:
                for packet in self._container.demux(self._source):
                    if packet.size:
                        failed = 0
                        yield packet
                return
            except av.FFmpegError:
                failed += 1
                self._fail()

    def _decode(self, packet: Any) -> list[Any]:
        try:
            frames: list[Any] = self._source.codec_context.decode(packet)
            return frames
        except av.FFmpegError:
            self._fail()
            return []

    def _fail(self) -> None:
        self._failures += 1
        self._stamps.trusted = True

    def _check_length(self, seconds: float, what: str) -> None:
        if seconds > self._limits.seconds:
            raise ItemError(
                f"{shown(self._path)} {what} {seconds:,.1f} s; at most {self._limits.seconds:,.1f} s are read; "
                "cut it into parts"
            )

    def _clauses(self) -> Iterator[str]:
        """What could not be read."""
        met = (self._end - (self._begin or 0)) * self._stamps.unit
        cut, lost = self._cut_off(met), self._stamps.lost.count
        if cut:
            yield f"cut off after {met:.1f} s" + ("" if self._lasts is None else f" of {self._lasts:.1f} s")
        if lost:
            yield f"{self._stamps.lost} could not be decoded"
        if self._spoilt.count:
            yield f"{self._spoilt} came out damaged"
        if self._failures and not (cut or lost or self._spoilt.count):
            yield "some of its data could not be read"

    def _cut_off(self, met: float) -> bool:
        name = self._container.format.name
        if name.startswith("mov") and self._source.frames:
            return self._packets < announced_frames(self._container, self._source)
        return (
            self._lasts is not None
            and self._sure
            and self._lasts - met > max(3 * self._stamps.step, 0.02 * self._lasts, LEAST_CUT)
        )


def _announced(container: Any, source: Any) -> tuple[float | None, bool]:
    """Seconds that the file says the pictures last, and whether the file says it of the pictures alone."""
    alone = len(container.streams) == 1
    begin = float(source.start_time * source.time_base) if source.start_time and source.time_base else 0.0
    for key, value in source.metadata.items():
        found = re.fullmatch(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)", value)
        if key.startswith("DURATION") and found:
            return _without(begin, int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])), True
    if source.duration is not None and source.time_base:
        return float(source.duration * source.time_base), alone or container.format.name == "avi"
    if container.duration is None:
        return None, False
    lasts = container.duration / av.time_base
    dated = container.format.name.startswith(DATED)
    return _without(begin, lasts) if dated else lasts, alone and dated


def _without(begin: float, end: float) -> float:
    """Seconds from the first frame, where the header gives the time of the last."""
    return end - begin if 0 < begin < end else end


def _rate(source: Any) -> float:
    rates = (source.average_rate, source.guessed_rate, source.base_rate)
    return next((float(rate) for rate in rates if rate and RATES[0] <= rate <= RATES[1]), USUAL_RATE)
