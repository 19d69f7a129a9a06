"""Drawn frames on disk: one memory-mapped file per data set of drawn clips."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch.utils.data import DataLoader, Dataset

log = logging.getLogger("dfer")

Clip = NDArray[np.uint8]


def cache_folder() -> Path:
    """Where drawn clips are kept: ``$DFER_CACHE``, else ``~/.cache/dfer``."""
    return Path(os.environ.get("DFER_CACHE") or Path.home() / ".cache" / "dfer")


def cached_frames(
    what: Mapping[str, Any], counts: NDArray[np.int64], size: int, clips: Dataset[Clip]
) -> NDArray[np.uint8] | None:
    """Open the frames of all clips, one after the other; draw them first if nobody has.

    The file appears whole or not at all, so two processes may draw the same at once.

    Args:
        what: everything that decides a pixel; another ``what`` is another file.
        counts: frames per clip.
        clips: draws the clip of a row, ``(T, S, S, 3)``.

    Returns:
        ``(all frames, S, S, 3)``, read only, or None where the folder cannot be written to: then clips are drawn
        whenever they are needed.
    """
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:20]
    path = cache_folder() / "faces" / f"{digest}.u8"
    shape = (int(counts.sum()), size, size, 3)
    try:
        if not path.is_file() or path.stat().st_size != int(np.prod(shape)):
            _fill(path, shape, counts, clips)
        return np.memmap(path, np.uint8, "r", shape=shape)
    except OSError as error:
        log.warning("cannot keep drawn clips in %s (%s); they are drawn again each time", path.parent, error.strerror)
        return None


def _fill(path: Path, shape: tuple[int, ...], counts: NDArray[np.int64], clips: Dataset[Clip]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        frames = np.memmap(partial, np.uint8, "w+", shape=shape)
        ends = np.cumsum(counts)
        workers = (os.cpu_count() or 1) if shape[0] > 2000 else 0
        console = Console(stderr=True)
        bar = Progress(*Progress.get_default_columns()[:2], TextColumn("{task.completed}/{task.total} clips"),
                       TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)  # fmt: skip
        with bar:
            drawn = DataLoader(clips, batch_size=None, num_workers=workers, collate_fn=_same)
            for row, clip in enumerate(bar.track(drawn, total=len(counts), description="drawing faces")):
                frames[ends[row] - counts[row] : ends[row]] = clip
        frames.flush()
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _same(clip: Clip) -> Clip:
    return clip
