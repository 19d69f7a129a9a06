"""Drawn frames on disk: one memory-mapped file per data set of drawn clips."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from dfer.datasets.index import progress_bar

log = logging.getLogger("dfer")

Clip = NDArray[np.uint8]

_ALONE: Final = 2000  # fewer frames are drawn sooner than workers start


def cache_folder() -> Path:
    """Where drawn clips are kept: ``$DFER_CACHE``, else ``~/.cache/dfer``."""
    return Path(os.environ.get("DFER_CACHE") or Path.home() / ".cache" / "dfer")


def cached_frames(what: Mapping[str, Any], counts: NDArray[np.int64], size: int, clips: Dataset[Clip]) -> Path | None:
    """Find the file of the frames of all clips, one after the other; draw them first if nobody has.

    The file appears whole or not at all, so two processes may draw the same at once.

    Args:
        what: everything that decides a pixel; another ``what`` is another file.
        counts: frames per clip.
        clips: draws the clip of a row, ``(T, S, S, 3)``.

    Returns:
        a file of ``(all frames, S, S, 3)`` raw bytes, or None where the folder cannot be written to: then
        clips are drawn whenever they are needed.
    """
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:20]
    path = cache_folder() / "faces" / f"{digest}.u8"
    shape = (int(counts.sum()), size, size, 3)
    try:
        if not path.is_file() or path.stat().st_size != int(np.prod(shape)):
            _fill(path, shape, counts, clips)
        return path
    except OSError as error:
        log.warning("cannot keep drawn clips in %s (%s); they are drawn again each time", path.parent, error.strerror)
        return None


def _fill(path: Path, shape: tuple[int, ...], counts: NDArray[np.int64], clips: Dataset[Clip]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if hasattr(os, "posix_fallocate"):  # a full disk must be an error here, not a bus error while drawing
                os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)))
        frames = np.memmap(partial, np.uint8, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)
        ends = np.cumsum(counts)
        with progress_bar() as progress:
            drawn = DataLoader(clips, batch_size=None, num_workers=drawing_workers(shape[0]), collate_fn=_same)
            task = progress.add_task("drawing faces", total=len(counts))
            for row, clip in enumerate(drawn):
                frames[ends[row] - counts[row] : ends[row]] = clip
                progress.advance(task)
        frames.flush()
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def drawing_workers(frames: int) -> int:
    """Choose how many processes draw: all cores, or none but this one when there is little to draw."""
    return (os.cpu_count() or 1) if frames > _ALONE else 0


def _same(clip: Any) -> Any:
    return clip
