"""Video files to frames, chosen by time stamp."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dfer.errors import ItemError
from dfer.video.container import announced_frames, blamed, opened, shown, upright
from dfer.video.images import Frame

INDEXED = ("mov", "matroska")  # elsewhere key flags and the place after a seek are guesses: decode from the start


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: frames, their size as shown (after rotation), and its length."""

    frames: int
    height: int
    width: int
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """The time stamps of a video's frames, in the order of showing, and of the key frames to seek to."""

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    unit: float


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    with opened(path) as (container, stream), blamed(path):
        stream.codec_context.thread_count = 1  # the loader's workers are the parallel part
        yield container, stream


def timeline(path: Path) -> Timeline:
    """Read the time stamps of all frames without decoding any; kept for the files used last.

    Raises:
        ItemError: not a video, no pictures, or cut off.
    """
    with blamed(path):
        state = path.stat()
    return _timeline(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _timeline(path: Path, changed: int, size: int) -> Timeline:
    stamps, keys, packets = [], [], 0
    with _opened(path) as (container, stream):
        for packet in container.demux(stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            if not packet.size or stamp is None:
                continue
            packets += 1
            if packet.is_corrupt or packet.is_discard:
                continue
            stamps.append(stamp)
            if packet.is_keyframe and container.format.name.startswith(INDEXED):
                keys.append(stamp)
        announced, unit = announced_frames(container, stream), float(stream.time_base or 1)
    if packets < 0.95 * announced:  # headers are off by a frame or two, a cut file by more
        found = f"{packets} of the {announced} frames in its header"
        raise ItemError(f"{shown(path)} is cut off: {found}; copy it again, or leave it out")
    if not stamps:
        raise ItemError(f"{shown(path)} holds no frame; copy it again, or leave the clip out")
    return Timeline(np.unique(np.asarray(stamps)), np.unique(np.asarray(keys, dtype=np.int64)), unit)


def frame_count(path: Path) -> int:
    """Count the frames of a video by its time stamps, whatever its header says.

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
    """Decode the frames of the wanted indices, in the order asked for, repeats included; turned upright.

    A frame that cannot be decoded gives way to its nearest neighbour in time.

    Raises:
        IndexError: an index outside the video.
        ItemError: not a video, or half or more of the wanted frames cannot be decoded.
    """
    times = timeline(path)
    if not len(wanted):
        return []
    if wanted.min() < 0 or wanted.max() >= len(times.stamps):
        raise IndexError(f"frame {wanted.max()} or {wanted.min()} asked of {path}, which has {len(times.stamps)}")
    targets = times.stamps[np.unique(wanted)]
    tolerance = float(np.median(np.diff(times.stamps))) / 2 if len(times.stamps) > 1 else np.inf
    found = _decode(path, times, targets, tolerance)
    exact = [stamp for stamp in targets if stamp in found]
    if len(targets) >= 2 * len(exact):
        missing = len(targets) - len(exact)
        raise ItemError(
            f"{shown(path)}: {missing} of {len(targets)} frames cannot be decoded; copy it again, or leave the clip out"
        )
    have = np.asarray(exact)
    return [found[int(have[np.abs(have - times.stamps[index]).argmin()])] for index in wanted]


def _decode(path: Path, times: Timeline, targets: NDArray[np.int64], tolerance: float) -> dict[int, Frame]:
    """Find the shown frame of each target, seeking where a later key frame saves decoding."""
    found: dict[int, Frame] = {}
    with _opened(path) as (container, stream):
        frames, at = container.decode(stream), None
        for target in targets:
            earlier = times.keys[times.keys <= target]
            if at is not None and len(earlier) and earlier[-1] > at and earlier[-1] != times.keys[0]:
                container.seek(int(earlier[-1]), stream=stream)
                frames = container.decode(stream)
            try:
                for frame in frames:
                    at = frame.pts if frame.pts is not None else frame.dts
                    if at is None or at < target - tolerance:
                        continue
                    if at <= target + tolerance:
                        found[int(target)] = upright(frame)
                    break
            except av.FFmpegError:
                continue  # the rest of this stretch is lost; a later key frame may be fine
    return found
