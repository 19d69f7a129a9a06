"""Every frame of a data set decoded once: which of them cannot be read?"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.check.findings import Findings, some
from dfer.datasets.check.sides import Sides
from dfer.datasets.index import FOLDER, ClipIndex, natural_sort, progress_bar
from dfer.datasets.listing import Problem
from dfer.errors import ItemError
from dfer.video.decode import probe, read_frames
from dfer.video.images import Frame, read_image

UNREADABLE: Final = "clips of which half cannot be read"
FLAT: Final = 8
"""Grey levels: a picture with a smaller range, such as a black one, says nothing about where it comes from."""

_STRETCH = 100_000_000  # bytes of frames: not a whole video at once


class Decoded(NamedTuple):
    """What came of a clip: its unreadable frames, why the first is, and a digest of each that shows something.

    A video that cannot be read has a reason alone.
    """

    bad: list[str]
    reason: str
    digests: NDArray[np.uint64]


def decode_all(index: ClipIndex, sides: Sides, frames: int, found: Findings) -> dict[int, NDArray[np.uint64]]:
    """Decode everything; a clip is a problem where half of the frames that may be asked of it cannot be read.

    Gives the digests of each clip's frames.

    Args:
        frames: how many may be asked of a clip.
    """
    entries = [entry for entry in sorted(sides.ids) if index.counts[entry]]
    digests: dict[int, NDArray[np.uint64]] = {}
    unreadable: dict[str, dict[str, Any]] = {}
    lost: dict[str, int] = {}
    with progress_bar() as progress, ThreadPoolExecutor() as pool:
        task = progress.add_task("decoding", total=len(entries))
        for entry, clip in zip(entries, pool.map(lambda entry: decode(index, entry), entries)):
            progress.advance(task)
            digests[entry] = clip.digests
            if not clip.reason:
                continue
            clip_id, count, bad = sides.ids[entry], int(index.counts[entry]), len(clip.bad)
            unreadable[clip_id] = {"frames": count, "unreadable": clip.bad, "reason": clip.reason}
            if not bad:
                found.add(UNREADABLE, [Problem(clip_id, clip.reason)])
            elif 2 * bad >= min(count, frames):
                span = clip.bad[0] + (f" to {clip.bad[-1]}" if bad > 1 else "")
                text = f"{bad} of {count} frames unreadable ({span}): {clip.reason}"
                found.add(UNREADABLE, [Problem(clip_id, text)])
            else:
                lost[clip_id] = bad
    if lost:
        found.notes.append(
            f"unreadable frames, whose neighbours stand in: {sum(lost.values())}, in {some(natural_sort(lost))}"
        )
    found.details["unreadable"] = {clip_id: unreadable[clip_id] for clip_id in natural_sort(unreadable)}
    return digests


def decode(index: ClipIndex, entry: int) -> Decoded:
    """Decode a clip; of a video's frames the pictures are hashed, of a folder's the files."""
    count, path = int(index.counts[entry]), Path(index.path(entry))
    bad, reason, digests = [], "", []
    if index.kinds[entry] != FOLDER:
        try:
            about = probe(path)
            stretch = min(64, max(8, _STRETCH // (3 * about.height * about.width)))
            for start in range(0, count, stretch):
                pictures = read_frames(path, np.arange(start, min(start + stretch, count)))
                digests += [_digest(picture.tobytes()) for picture in pictures if not is_flat(picture)]
        except ItemError as error:
            return Decoded([], str(error), np.empty(0, np.uint64))
    else:
        for name in index.frame_names(entry):
            try:
                if not is_flat(read_image(path / name)):
                    digests.append(_digest((path / name).read_bytes()))
            except (ItemError, OSError) as error:
                bad.append(name)
                reason = reason or str(error)
    return Decoded(bad, reason, np.array(digests, np.uint64))


def is_flat(picture: Frame) -> bool:
    """Tell a picture of one colour, or nearly."""
    few = picture[::4, ::4]
    return int(few.max()) - int(few.min()) < FLAT and int(picture.max()) - int(picture.min()) < FLAT


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
