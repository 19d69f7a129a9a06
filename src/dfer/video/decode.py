"""Video files to frames, chosen by their number in the order of showing."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from dfer.errors import ItemError
from dfer.video.container import announced_frames, blamed, is_shown, is_whole, opened, shown
from dfer.video.images import Frame
from dfer.video.stream import Limits, open_stream
from dfer.video.upright import Upright

INDEXED = ("mov", "matroska")  # elsewhere key flags and the place after a seek are guesses: decode from the start
MICRO = 1e-6
TRIED = 64  # frames in which a decoder that reorders shows it


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: frames, their size as shown (turned, with square pixels), and its length."""

    frames: int
    height: int
    width: int
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown.

    Args:
        stamps: one per frame, growing.
        keys: places in the stamps of the frames to seek to.
        unit: seconds per unit of the stamps.
        counted: the file's own stamps are worth nothing; its frames were counted as they are decoded, one by one.
    """

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    unit: float
    counted: bool


class _Piece(NamedTuple):
    """One frame before decoding: when it is shown, and what is known of it."""

    stamp: int | None
    is_key: bool
    is_shown: bool


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    with opened(path) as (container, stream), blamed(path):
        stream.codec_context.thread_count = 1  # the loader's workers are the parallel part
        yield container, stream


def timeline(path: Path) -> Timeline:
    """Read the time stamps of all frames, without decoding any where they can be relied on.

    Where they are missing, repeated, or in another order than the decoder's, frames are counted as they are decoded,
    as `dfer.video.open_stream` gives them. Kept for the files used last.

    Raises:
        ItemError: not a video, no pictures, or cut off.
    """
    with blamed(path):
        state = path.stat()
    return _timeline(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _timeline(path: Path, changed: int, size: int) -> Timeline:
    with _opened(path) as (container, stream):
        found = [
            _Piece(packet.pts, packet.is_keyframe, is_shown(packet, stream))
            for packet in container.demux(stream)
            if packet.size
            if is_whole(packet, container)
        ]
        announced, unit = announced_frames(container, stream), float(stream.time_base or 1)
        reorders = bool(stream.codec_context.has_b_frames)
        indexed = container.format.name.startswith(INDEXED)
    if len(found) < 0.95 * announced:  # headers are off by a frame or two, a cut file by more
        what = f"{len(found)} of the {announced} frames in its header"
        raise ItemError(f"{shown(path)} is cut off: {what}; copy it again, or leave it out")
    if not any(piece.is_shown for piece in found):
        raise ItemError(f"{shown(path)} holds no frame; copy it again, or leave the clip out")
    if not _in_order(path, found, reorders):
        before = next((i for i, piece in enumerate(found) if piece.is_key), 0)  # what they refer to is not there
        return _counted(path, len(found) - before)
    stamps = np.sort([piece.stamp for piece in found if piece.is_shown])
    keys = [piece.stamp for piece in found if piece.is_shown and piece.is_key and indexed]
    return Timeline(stamps, np.searchsorted(stamps, np.asarray(keys, np.int64)), unit, False)


def _in_order(path: Path, pieces: Sequence[_Piece], reorders: bool) -> bool:
    """Tell whether frames come out of the decoder in the order of their stamps, and all of them."""
    begin, pieces = pieces[0], [piece for piece in pieces if piece.is_shown]
    if not begin.is_key or begin.stamp is None or None in [piece.stamp for piece in pieces]:
        return False
    stamps = np.asarray([piece.stamp for piece in pieces], np.int64)
    if len(np.unique(stamps)) < len(stamps) or stamps.min() < begin.stamp:  # the latter lack what they refer to
        return False
    back = np.append(False, stamps[1:] < np.maximum.accumulate(stamps)[:-1])
    if (back & [piece.is_key for piece in pieces]).any():  # another film begins
        return False
    if not reorders or back.any():
        return reorders or not back.any()
    return _is_tried_in_order(path)  # no frame is to be reordered, or the stamps are those of decoding


def _is_tried_in_order(path: Path) -> bool:
    with _opened(path) as (container, stream):
        stamps = [frame.pts for frame in islice(_decoded(container, stream), TRIED) if frame.pts is not None]
    return all(stamp < later for stamp, later in pairwise(stamps))


def _counted(path: Path, pieces: int) -> Timeline:
    with open_stream(path, Limits(seconds=np.inf), numbers=()) as stream:
        deque(stream, maxlen=0)  # to the end
        count, seconds = stream.decoded, stream.seconds
    if 2 * count < pieces:
        raise _too_few(path, pieces - count, pieces)
    stamps = np.round(np.linspace(0.0, seconds, count) / MICRO).astype(np.int64)
    return Timeline(stamps, np.zeros(0, np.int64), MICRO, True)


def frame_count(path: Path) -> int:
    """Count the frames of a video, whatever its header says.

    Raises:
        ItemError: not a video, no pictures, or cut off.
    """
    return len(timeline(path).stamps)


def probe(path: Path) -> VideoInfo:
    """Say what a video holds; decodes its first frame.

    Raises:
        ItemError: not a video, no pictures, cut off, or nothing in it can be decoded.
    """
    times = timeline(path)
    height, width = read_frames(path, np.zeros(1, np.int64))[0].shape[:2]
    step = float(np.median(np.diff(times.stamps))) if len(times.stamps) > 1 else 0.0
    return VideoInfo(len(times.stamps), height, width, float(times.stamps[-1] - times.stamps[0] + step) * times.unit)


def read_frames(path: Path, wanted: NDArray[np.int64]) -> list[Frame]:
    """Decode the frames of the wanted indices, in the order asked for, repeats included; as they are to be shown.

    A frame that cannot be decoded gives way to its nearest neighbour in time. Where a file changes its size midway,
    all frames are of the first one's.

    Raises:
        IndexError: an index outside the video.
        ItemError: not a video, or half or more of the wanted frames cannot be decoded.
    """
    times = timeline(path)
    if not len(wanted):
        return []
    if wanted.min() < 0 or wanted.max() >= len(times.stamps):
        raise IndexError(f"frame {wanted.max()} or {wanted.min()} asked of {path}, which has {len(times.stamps)}")
    targets = np.unique(wanted).tolist()
    found = None if times.counted else _sought(path, times, targets)
    if found is None:
        found = _gone_over(path, targets)
    missing = len(targets) - len(found)
    if len(targets) <= 2 * missing:
        raise _too_few(path, missing, len(targets))
    have = np.asarray(sorted(found))
    return [found[int(have[np.abs(times.stamps[have] - times.stamps[i]).argmin()])] for i in wanted]


def _too_few(path: Path, missing: int, of: int) -> ItemError:
    what = f"{missing} of {of} frames cannot be decoded"
    return ItemError(f"{shown(path)}: {what}; copy it again, or leave the clip out")


def _sought(path: Path, times: Timeline, targets: Sequence[int]) -> dict[int, Frame] | None:
    """Decode the targets, seeking where a later key frame saves decoding; None where frames change their size."""
    found: dict[int, Frame] = {}
    with _opened(path) as (container, stream):
        context = stream.codec_context
        size = (context.width, context.height)
        upright = Upright(stream, size if all(size) else None)
        frames, frame, at = _decoded(container, stream), None, -1
        for target in targets:
            key = int(times.keys[np.searchsorted(times.keys, target, "right") - 1]) if len(times.keys) else 0
            if key > max(at, 0):
                container.seek(int(times.stamps[key]), stream=stream)
                frames, at = _decoded(container, stream), -1
            while at < target:
                frame = next(frames, None)
                if frame is None:
                    break
                size = size if all(size) else (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    return None
                at = _place(times.stamps, frame)
            if at == target:
                found[target] = upright(frame)
    return found


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Every frame that the decoder gives, going on after what it cannot read."""
    for packet in container.demux(stream):
        if is_whole(packet, container):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            yield from frames


def _place(stamps: NDArray[np.int64], frame: Any) -> int:
    """Tell which frame a decoded one is; -1 for one before the first, as a seek may give."""
    stamp = frame.dts if frame.pts is None else frame.pts
    return -1 if stamp is None else int(np.searchsorted(stamps, stamp, "right")) - 1


def _gone_over(path: Path, targets: Sequence[int]) -> dict[int, Frame]:
    """Decode the targets by counting all frames from the first."""
    numbers = sorted({0, *targets})
    with open_stream(path, Limits(seconds=np.inf), numbers=set(numbers)) as stream:
        found = {number: frame.pixels for number, frame in zip(numbers, stream)}
    return {number: found[number] for number in targets if number in found}
