"""Frames to a video file."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from dfer.errors import InputError, ItemError
from dfer.video.container import opened
from dfer.video.images import Frame

TICKS: Final = 90_000
"""Time stamps per second, where frames come with their times."""
SOUND: Final = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""What players know to find in an mp4 file."""
AFTER: Final = 0.25
"""Seconds of sound that may follow the last picture."""
THREADS: Final = 4


def write_video(path: Path, frames: Iterable[Frame], fps: float = 25.0) -> None:
    """Write H.264 in an mp4 file, or an flv file where the name ends so, whole or not at all.

    Args:
        frames: ``(H, W, 3)`` RGB uint8, all of one size, both sides even (as the codec asks).

    Raises:
        ValueError: no frame, or frames of odd or different sizes.
        InputError: the folder cannot be written to.
    """
    kind = "flv" if path.suffix.lower() == ".flv" else "mp4"
    with _whole(path) as name, av.open(f"file:{name}", "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        for frame in _pictures(frames, stream):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_timed_video(path: Path, frames: Iterable[tuple[float, Frame]], sound: Path | None = None) -> None:
    """Write H.264 in an mp4 file, every frame at its own time, whole or not at all.

    Args:
        frames: seconds, growing from the first, and the frame, as `write_video` takes them.
        sound: a video whose sound is copied as it is, if mp4 files may hold it and its own container describes it
            (mp4, matroska); what cannot be read of it is left out.

    Raises:
        ValueError: no frame, or frames of odd or different sizes.
        InputError: the folder cannot be written to.
    """
    with _whole(path) as name:
        silent = name if sound is None else f"{name}.silent"
        try:
            _encode_timed(silent, frames)
            if sound is not None and not _add_sound(silent, sound, name):
                Path(silent).replace(name)
        finally:
            if sound is not None:
                Path(silent).unlink(missing_ok=True)


@contextmanager
def _whole(path: Path) -> Iterator[str]:
    """Give a name to write to; the file takes its place when all is well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".video.", suffix=".mp4")
        os.close(handle)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free or choose another folder") from error
    try:
        yield name
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free or choose another folder") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _pictures(frames: Iterable[Frame], stream: Any) -> Iterator[av.VideoFrame]:
    """Hand frames on to a stream, which takes the size of the first."""
    shape: tuple[int, ...] | None = None
    stream.pix_fmt = "yuv420p"
    for frame in frames:
        if shape is None:
            shape = frame.shape
            if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
                raise ValueError(f"a frame must be (even height, even width, 3), got {shape}")
            stream.height, stream.width = shape[:2]
        if frame.shape != shape:
            raise ValueError(f"frames must have one size, got {frame.shape} after {shape}")
        yield av.VideoFrame.from_ndarray(frame, format="rgb24")
    if shape is None:
        raise ValueError("a video needs at least one frame, got none")


def _encode_timed(name: str, frames: Iterable[tuple[float, Frame]]) -> None:
    times: list[float] = []

    def pixels() -> Iterator[Frame]:
        for seconds, frame in frames:
            times.append(seconds)
            yield frame

    with av.open(f"file:{name}", "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.options = {"crf": "20", "preset": "veryfast", "threads": str(min(THREADS, os.cpu_count() or 1))}
        last = -1
        for frame in _pictures(pixels(), stream):
            last = max(last + 1, round(times.pop() * TICKS))
            frame.pts, frame.time_base = last, Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _add_sound(silent: str, source: Path, name: str) -> bool:
    """Copy the pictures of one file and the sound of another; False where there is none to copy."""
    try:
        with opened(source) as (heard, picture), av.open(f"file:{silent}", format="mov") as seen:
            tracks = [
                track for track in heard.streams.audio if track.codec_context and track.codec.canonical_name in SOUND
            ]
            if not tracks:
                return False
            begin = float((picture.start_time or 0) * (picture.time_base or 0))
            with av.open(f"file:{name}", "w", format="mp4") as container:
                pictures = container.add_stream_from_template(seen.streams.video[0])
                sounds = container.add_stream_from_template(tracks[0])
                waiting = _sounds(heard, tracks[0], begin)
                sound, now = next(waiting, None), 0.0
                for packet in seen.demux(seen.streams.video[0]):
                    if packet.dts is None:
                        continue
                    now = float(packet.dts * packet.time_base)
                    while sound is not None and sound[0] <= now:
                        sound[1].stream = sounds
                        container.mux(sound[1])
                        sound = next(waiting, None)
                    packet.stream = pictures
                    container.mux(packet)
                while sound is not None and sound[0] <= now + AFTER:
                    sound[1].stream = sounds
                    container.mux(sound[1])
                    sound = next(waiting, None)
        return True
    except (av.FFmpegError, ItemError):
        return False  # the pictures are what counts


def _sounds(container: Any, track: Any, begin: float) -> Iterator[tuple[float, Any]]:
    """Give the packets of a track with their times from the first picture, as far as they can be read."""
    shift, last = round(begin / track.time_base), None
    try:
        for packet in container.demux(track):
            if packet.dts is None or packet.is_corrupt or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.dts -= shift
            packet.pts = packet.dts if packet.pts is None else packet.pts - shift
            yield float(packet.dts * track.time_base), packet
    except av.FFmpegError:
        return
