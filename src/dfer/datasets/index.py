"""Which clips lie in a folder and which frames each has: found once, saved beside them, opened at once."""
# Path objects take longer than the system calls that they stand for, and a million files are asked.
# ruff: noqa: PTH116, PTH118, PTH208

import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.numpy import save

from dfer.errors import InputError, ItemError
from dfer.runs import write_atomically
from dfer.video.decode import frame_count

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff", ".gif")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".ogv")
MISSING, FOLDER, VIDEO, UNREADABLE = range(4)
"""What an entry of an index turned out to be."""

_FORMAT = "2"
_ABSENT = -1
_DIGITS = str.maketrans("123456789", "000000000")
_log = logging.getLogger("dfer")


@dataclass(frozen=True)
class ClipIndex:
    """The clips below a root, whether frame folders or video files, and the frames of each.

    Saved as one memory-mapped file, ``ROOT/.dfer/NAME.safetensors``, or in the user's cache folder where the root
    cannot be written to. All paths in it are relative to the root. It is made again when a folder that was looked
    into, or a video file, has another modification time (or, a video, another size) than it had then: whatever is
    added, removed or renamed is noticed, at the price of one ``stat`` a clip. A frame overwritten in place is not,
    and need not be: frames are read afresh each time. (Of a packed copy it makes a stale one, which only a look at
    every file finds: ``dfer data cache``, or ``dfer data check --decode``.)

    Args:
        clips: paths relative to the root, with ``/``.
        counts: frames per clip, 0 where there are none.
        kinds: MISSING, FOLDER, VIDEO or UNREADABLE per clip.
        stamps: ``(N, 2)``, modification time in nanoseconds and, for a file, size; -1 where there is none.
    """

    root: Path
    name: str
    clips: tuple[str, ...]
    counts: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    stamps: NDArray[np.int64]
    _names: NDArray[np.uint8]  # all frame names, NUL after each
    _ends: NDArray[np.int64]  # where each clip's names end

    def frame_names(self, clip: int) -> list[str]:
        """Name the frames of a frame folder in natural order."""
        start = int(self._ends[clip - 1]) if clip else 0
        return [os.fsdecode(name) for name in self._names[start : self._ends[clip]].tobytes().split(b"\0")[:-1]]

    def path(self, clip: int) -> str:
        """Give the path of a clip as it is reached from here."""
        return os.path.join(self.root, self.clips[clip])


def natural_key(name: str) -> list[str | int]:
    """Sort numbers in names by their value.

    Example:
        >>> sorted(["10.jpg", "9.jpg", "1.jpg"], key=natural_key)
        ['1.jpg', '9.jpg', '10.jpg']
    """
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", name))]


def natural_sort(names: Iterable[str]) -> list[str]:
    """Sort names naturally; names that tie (``1`` and ``01``) by their spelling."""
    ordered = sorted(names)
    if len({name.translate(_DIGITS) for name in ordered}) > 1:  # else numbers of equal width: already right
        ordered.sort(key=natural_key)
    return ordered


def index_tree(root: Path, folder: str, depth: int) -> ClipIndex:
    """Open or make the index of everything that lies ``depth`` levels below a folder of the root.

    Args:
        folder: relative to the root, ``""`` for the root itself.
        depth: 1 where the clips lie in the folder itself.
    """
    name = f"{re.sub(r'[^A-Za-z0-9_]+', '-', folder) or 'clips'}-{depth}"
    return _open(root, name, None, lambda: _walk(root, folder, depth))


def index_listed(root: Path, name: str, clips: Sequence[str]) -> ClipIndex:
    """Open or make the index of these clips.

    Args:
        name: tells indexes of one root apart.
        clips: paths relative to the root, with ``/``.
    """
    return _open(root, f"listed-{name}", tuple(clips), lambda: (list(clips), []))


def kept_in(root: Path) -> tuple[Path, Path]:
    """Give where things are kept that were made from a root's files: beside them, or, where that cannot be, apart."""
    # Under a name that tells roots apart.
    digest = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / ".dfer", cache / "dfer" / "index" / digest


def progress_bar() -> Progress:
    """Make a progress bar with the time left; silent where nobody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _open(
    root: Path, name: str, wanted: tuple[str, ...] | None, find: Callable[[], tuple[list[str], list[str]]]
) -> ClipIndex:
    beside, cache = kept_in(root)
    # Made before looking, since making it changes the root's modification time.
    with suppress(OSError):
        beside.mkdir(exist_ok=True)
    places = [folder / f"{name}.safetensors" for folder in (beside, cache)]
    for place in places:
        found = _load(place, root)
        if found is not None and wanted in (None, found.clips):
            return found
    content = _make(root, *find())
    for place in places:
        try:
            write_atomically(place, content)
        except InputError:
            continue
        return _load(place, root, fresh=True) or _parse(np.frombuffer(content, np.uint8), root, name)[0]
    _log.warning("the index of %s can be saved neither there nor in %s; it is made again each time", root, cache)
    return _parse(np.frombuffer(content, np.uint8), root, name)[0]


def _walk(root: Path, folder: str, depth: int) -> tuple[list[str], list[str]]:
    """Find the clips ``depth`` levels down, and the folders that were looked into on the way."""
    shelves = [folder]
    level = [folder]
    for below in range(depth, 0, -1):
        found = []
        for shelf in level:
            with suppress(NotADirectoryError), os.scandir(os.path.join(root, shelf)) as entries:
                names = [
                    entry.name
                    for entry in entries
                    if not is_stray(entry.name)
                    and ((below == 1 and entry.name.lower().endswith(VIDEOS)) or entry.is_dir())
                ]
            found += [f"{shelf}/{name}" if shelf else name for name in natural_sort(names)]
        level = found
        shelves += found if below > 1 else []
    return level, shelves


def is_stray(name: str) -> bool:
    """Tell what systems leave lying about."""
    return name.startswith((".", "@")) or name in ("Thumbs.db", "desktop.ini", "__MACOSX")


def _make(root: Path, clips: list[str], shelves: list[str]) -> bytes:
    """Look into every clip; the arrays of the index as a safetensors file."""
    stamps = [_stamp(root, place) for place in shelves]  # before the clips are looked into
    looked: list[tuple[int, int, bytes, tuple[int, int]]] = []
    with progress_bar() as progress, ThreadPoolExecutor(8) as pool:  # threads hide the latency of a cold disk
        task = progress.add_task(f"indexing {root.name}", total=len(clips))
        for chunk in pool.map(lambda part: [_look(root, clip) for clip in part], _chunks(clips, 64)):
            looked += chunk
            progress.advance(task, len(chunk))
    names = b"".join(look[2] for look in looked)
    arrays: dict[str, NDArray[Any]] = {
        "counts": np.array([look[1] for look in looked], np.int32),
        "kinds": np.array([look[0] for look in looked], np.uint8),
        "names": np.frombuffer(names, np.uint8),
        "ends": np.cumsum([len(look[2]) for look in looked], dtype=np.int64),
        "clips": np.frombuffer(b"".join(os.fsencode(clip) + b"\0" for clip in clips), np.uint8),
        "shelves": np.frombuffer(b"".join(os.fsencode(place) + b"\0" for place in shelves), np.uint8),
        "stamps": np.array([*stamps, *(look[3] for look in looked)], np.int64).reshape(-1, 2),
    }
    return save(arrays, metadata={"format": _FORMAT})


def _look(root: Path, clip: str) -> tuple[int, int, bytes, tuple[int, int]]:
    """Give a clip's kind, number of frames, their names and its stamp."""
    stamp = _stamp(root, clip)  # first: what changes from here on is noticed next time
    path = os.path.join(root, clip)
    if stamp[0] == _ABSENT:
        return MISSING, 0, b"", stamp
    if stamp[1] != _ABSENT:
        try:
            return VIDEO, frame_count(Path(path)), b"", stamp
        except ItemError:
            return UNREADABLE, 0, b"", stamp
    names = [name for name in os.listdir(path) if name.lower().endswith(IMAGES) and not is_stray(name)]
    return FOLDER, len(names), b"".join(os.fsencode(name) + b"\0" for name in natural_sort(names)), stamp


def _stamp(root: Path | str, place: str) -> tuple[int, int]:
    """Give modification time and, for a file, size; a folder's size says nothing."""
    try:
        found = os.stat(os.path.join(root, place))
    except OSError:
        return _ABSENT, _ABSENT
    return found.st_mtime_ns, _ABSENT if stat.S_ISDIR(found.st_mode) else found.st_size


def _chunks(items: Sequence[str], size: int) -> Iterable[list[str]]:
    rest = iter(items)
    return iter(lambda: list(islice(rest, size)), [])


def _load(path: Path, root: Path, fresh: bool = False) -> ClipIndex | None:
    """Open a saved index; None where there is none, or a damaged, older or stale one."""
    try:
        found, shelves, stamps = _parse(np.memmap(path, np.uint8, mode="r"), root, path.stem)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    places = [*shelves, *found.clips]
    if fresh:
        return found
    with ThreadPoolExecutor(8) as pool:
        now = pool.map(lambda part: [_stamp(root, place) for place in part], _chunks(places, 1024))
        current = np.array([stamp for part in now for stamp in part], np.int64).reshape(-1, 2)
    return found if np.array_equal(current, stamps) else None


def _parse(whole: NDArray[np.uint8], root: Path, name: str) -> tuple[ClipIndex, list[str], NDArray[np.int64]]:
    """Cut the arrays out of a safetensors file without copying them."""
    data = np.asarray(whole)
    size = int(data[:8].view(np.uint64)[0])
    header = json.loads(data[8 : 8 + size].tobytes())
    if header.pop("__metadata__", {}).get("format") != _FORMAT:
        raise ValueError(f"an index of another format than {_FORMAT}")
    kinds = {"I32": np.int32, "I64": np.int64, "U8": np.uint8}
    arrays = {}
    for key, about in header.items():
        start, end = (8 + size + offset for offset in about["data_offsets"])
        arrays[key] = data[start:end].view(kinds[about["dtype"]]).reshape(about["shape"])
    clips, shelves = (_split(arrays[key]) for key in ("clips", "shelves"))
    stamps = arrays["stamps"]
    found = ClipIndex(
        *(root, name, tuple(clips), arrays["counts"], arrays["kinds"], stamps[len(shelves) :]),
        *(arrays["names"], arrays["ends"]),
    )
    if not len(clips) == len(found.counts) == len(found.kinds) == len(found.stamps) == len(found._ends):
        raise ValueError("an index whose parts do not match")
    return found, shelves, stamps


def _split(blob: NDArray[np.uint8]) -> list[str]:
    return [os.fsdecode(name) for name in blob.tobytes().split(b"\0")[:-1]]
