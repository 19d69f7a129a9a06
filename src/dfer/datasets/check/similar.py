"""Clips that show nearly the same pictures: copies that were encoded, scaled, lit or cut anew."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.datasets.check.decode_all import is_flat
from dfer.datasets.check.findings import Findings, some
from dfer.datasets.check.sides import Sides
from dfer.datasets.index import FOLDER, ClipIndex, progress_bar
from dfer.errors import ItemError
from dfer.video.decode import read_frames
from dfer.video.images import Frame, read_image

SIDE: Final = 16
"""Of the hash, so that it has 256 bits."""

NEAR: Final = 100
"""Bits of 3 x 256 by which the first, middle and last frames of two clips may differ together, and still be near.

Aligned faces are alike wherever a hash of 64 bits looks: with it, copies differ by up to 20 bits of 3 x 64 and clips
of the same person by as few as 10. With 256 bits, copies of faces and of whole scenes stay below 100: encoded anew at
JPEG quality 30 at most 58, at half or twice the size 20, brighter or of stronger contrast 30, with 2 % cut off one
edge 86, with 1 % off all four 96. Other clips stay above: drawn faces of the preset wild 192 (of one person 218), faces
cut from a video of one person, 0.8 seconds apart, 112. Whole scenes of a still person may come as near as 74: so it
takes a look. Not found are copies with 2 % cut off all four edges (up to 176), mirrored ones, and parts of a clip.
"""

NEAR_EACH: Final = 50
"""Bits of 256 by which each of the three may differ: two black frames do not make a pair."""

MOST: Final = 1000
"""Pairs that are listed, the nearest."""

_ROWS = 16  # compared with all at a time: small arrays stay in the processor


class Pair(NamedTuple):
    """Two clips, by their entries in the index, and how many bits they differ by."""

    one: int
    other: int
    distance: int


def find_similar(index: ClipIndex, sides: Sides, copies: Sequence[Sequence[int]], found: Findings) -> list[Pair]:
    """Note pairs of clips that show nearly the same pictures, those on both sides of a trial first, then the nearest.

    Args:
        copies: groups of clips that are known to be the same.
    """
    entries = [entry for entry in sorted(sides.ids) if index.counts[entry]]
    hashes: list[NDArray[np.uint64]] = []
    hashed: list[int] = []
    with progress_bar() as progress, ThreadPoolExecutor() as pool:
        task = progress.add_task("hashing pictures", total=len(entries))
        for entry, bits in zip(entries, pool.map(lambda entry: hash_clip(index, entry), entries)):
            progress.advance(task)
            if bits is not None:
                hashes.append(bits)
                hashed.append(entry)
    known = {entry: number for number, group in enumerate(copies) for entry in group}
    pairs = []
    for one, other, distance in near_pairs(np.array(hashes, np.uint64).reshape(-1, 3, SIDE * SIDE // 64)):
        pair = Pair(*sides.in_pair(hashed[one], hashed[other]), distance)
        if pair.one not in known or known[pair.one] != known.get(pair.other):
            pairs.append(pair)
    pairs.sort(key=lambda pair: (not sides.opposed(pair.one, pair.other), pair.distance, pair.one, pair.other))
    across = sum(bool(sides.opposed(pair.one, pair.other)) for pair in pairs)
    if pairs:
        named = some([f"{sides.ids[pair.one]} and {sides.ids[pair.other]}" for pair in pairs])
        found.notes.append(
            f"pairs of clips with nearly the same pictures: {len(pairs)}, on both sides {across} ({named})"
        )
    found.details["similar"] = {
        "pairs": len(pairs),
        "on both sides": across,
        "nearest": [_detail(sides, pair) for pair in pairs[:MOST]],
    }
    return pairs


def _detail(sides: Sides, pair: Pair) -> dict[str, Any]:
    both = (pair.one, pair.other)
    return {
        "clips": [sides.ids[entry] for entry in both],
        "labels": [sides.labels[entry] for entry in both],
        "distance": pair.distance,
        "sets": sides.opposed(*both),
    }


def three_frames(index: ClipIndex, entry: int) -> list[Frame]:
    """Decode the first, the middle and the last frame of a clip.

    Raises:
        ItemError: one of them cannot be read.
    """
    count, path = int(index.counts[entry]), Path(index.path(entry))
    wanted = [0, count // 2, count - 1]
    if index.kinds[entry] != FOLDER:
        return read_frames(path, np.array(wanted))
    names = index.frame_names(entry)
    return [read_image(path / names[number]) for number in wanted]


def hash_clip(index: ClipIndex, entry: int) -> NDArray[np.uint64] | None:
    """Hash a clip's first, middle and last frame, ``(3, 4)``; None where they are unreadable or show nothing."""
    try:
        frames = three_frames(index, entry)
    except ItemError:
        return None
    if all(is_flat(frame) for frame in frames):
        return None
    return np.stack([hash_frame(frame) for frame in frames])


def hash_frame(frame: Frame) -> NDArray[np.uint64]:
    """Hash what a picture shows at low frequencies, ``(4,)``: the perceptual hash of ImageHash."""
    from imagehash import phash

    return np.packbits(phash(Image.fromarray(frame), hash_size=SIDE).hash).view(np.uint64)


def near_pairs(hashes: NDArray[np.uint64]) -> list[tuple[int, int, int]]:
    """Find all pairs that differ by few bits, with their distance, by comparing all with all.

    Shape:
        hashes ``(N, 3, W)``.
    """
    first = np.ascontiguousarray(hashes[:, 0].T)  # (W, N)
    pairs = []
    for start in range(0, len(hashes), _ROWS):
        distance = np.zeros((min(_ROWS, len(hashes) - start), len(hashes) - start), np.uint16)
        for word in first:
            distance += np.bitwise_count(word[start : start + _ROWS, None] ^ word[None, start:])
        rows, columns = np.nonzero(distance <= NEAR_EACH)
        rows, columns = rows[rows < columns] + start, columns[rows < columns] + start
        each = np.bitwise_count(hashes[rows] ^ hashes[columns]).sum(axis=2)  # (P, 3)
        near = (each.sum(axis=1) <= NEAR) & (each.max(axis=1, initial=0) <= NEAR_EACH)
        pairs += list(zip(rows[near].tolist(), columns[near].tolist(), each[near].sum(axis=1).tolist()))
    return pairs
