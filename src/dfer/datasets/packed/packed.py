"""A packed copy of a data set: all frames in one file, smaller, each with a checksum; made by ``dfer data cache``."""
# Path objects take longer than the system calls that they stand for, and a million files are asked.
# ruff: noqa: PTH110, PTH116, PTH118, PTH123

import hashlib
import logging
import mmap
import os
import re
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, Self

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from dfer.datasets.index import FOLDER, ClipIndex, kept_in
from dfer.datasets.packed.table import FRAMES, TABLE, Table, TableError, read_table
from dfer.errors import InputError, ItemError
from dfer.transforms.presets import Frame

_MANY = 1000  # clips whose files take seconds to look at, on a slow disk minutes
_PAGE = 4096  # bytes
_log = logging.getLogger("dfer")


class Packed:
    """Frames of a packed copy, by their entry in the index; the file is mapped when the first one is read.

    Args:
        index: of the data as they are now.
        what: the data set's name and place, as `dfer data cache` takes them.
    """

    def __init__(self, folder: Path, table: Table, index: ClipIndex, what: str) -> None:
        self.folder = folder
        self.table = table
        self.index = index
        self.what = what
        self.size = table.about.size
        self.raw = table.about.raw
        known = {clip: row for row, clip in enumerate(table.clips)}
        self.rows = np.array([known.get(clip, -1) for clip in index.clips], np.int64)
        self._blob: memoryview | None = None
        self._file = _identity(folder / FRAMES)

    @classmethod
    def open(cls, folder: Path, index: ClipIndex, what: str) -> Self:
        """Open a packed copy, whatever may have become of single clips since.

        Raises:
            InputError: none is there, or it is damaged, cut short, of another format or size, or of other data.
        """
        found = re.search(r"-(\d+)(-raw)?$", folder.name)
        size, raw = (int(found[1]), bool(found[2])) if found else (None, False)
        again = rebuild_command(what, index, folder, size, raw)
        try:
            table = read_table(folder / TABLE)
            with (folder / FRAMES).open("rb") as blob:  # only opening tells whether it may be read
                length = _identity(blob.fileno())[1]
        except TableError as error:
            about = error.about
            again = rebuild_command(what, index, folder, size, raw, about.media if about else "")
            raise InputError(
                f"the packed copy {folder} cannot be used: its {TABLE} {error}; `{again}` packs it again"
            ) from error
        except OSError as error:
            reason = f"{error.strerror} ({Path(error.filename).name})"
            raise InputError(f"the packed copy {folder} cannot be used: {reason}; `{again}` packs it again") from error
        about = table.about
        again = rebuild_command(what, index, folder, size or about.size, raw if found else about.raw, about.media)
        reason = ""
        if (about.name, about.index) != (what.partition(" ")[0], index.name):
            reason = f"it is of other data, {about.name} in {about.place}"
        elif found and (size, raw) != (about.size, about.raw):
            reason = f"it holds {_kind(about.size, about.raw)}, not {_kind(size, raw)} as its name says"
        elif length != table.bounds[-1]:
            cut = "is cut short" if length < table.bounds[-1] else "is too long"
            reason = f"its {FRAMES} {cut}, {length} bytes instead of {table.bounds[-1]}"
        if reason:
            raise InputError(f"the packed copy {folder} cannot be used: {reason}; `{again}` packs it again")
        return cls(folder, table, index, what)

    @property
    def command(self) -> str:
        """The command that makes this copy again."""
        return self.command_for(self.size)

    def command_for(self, size: int) -> str:
        """Give the command that makes a copy of another size beside it."""
        return rebuild_command(self.what, self.index, self.folder, size, self.raw, self.table.about.media)

    def restamped(self, entries: Sequence[int]) -> Table:
        """Give the table with the times that the files of these entries have now, once they were found unchanged."""
        stamps = self.table.stamps.copy()
        stamps[self.rows[list(entries)]] = self.index.stamps[list(entries)]
        return replace(self.table, stamps=stamps)

    def changed(self, entries: Sequence[int] | NDArray[np.int64], look: bool = False) -> list[int]:
        """Give the entries that the copy does not hold as they are now.

        Args:
            look: at every file, also where the index says that nothing was touched.
        """
        asked = np.asarray(entries, np.int64)
        rows = self.rows[asked]
        counts = np.where(rows >= 0, self.table.first[rows + 1] - self.table.first[rows], -1)
        gone = counts != self.index.counts[asked]
        touched = (self.table.stamps[rows] != self.index.stamps[asked]).any(axis=1) & ~gone
        suspects = np.flatnonzero(~gone if look else touched)
        if len(suspects) >= _MANY and not look:
            _log.warning(
                "%d clips of %s have other times than when they were packed, so all their files are looked at; "
                "`%s` takes note of the new times",
                *(len(suspects), self.index.root, self.command),
            )
        with ThreadPoolExecutor(8) as pool:  # threads hide the latency of a cold disk
            now = pool.map(lambda k: digest(self.index, int(asked[k]))[0], suspects)
            differs = [k for k, found in zip(suspects, now) if found != self.table.digests[rows[k]].tobytes()]
        gone[differs] = True
        return [int(entry) for entry in asked[gone]]

    def refuse_changed(self, entries: Sequence[int] | NDArray[np.int64]) -> None:
        """Check that the copy holds these entries as they are now.

        Raises:
            InputError: it does not.
        """
        changed = self.changed(entries)
        if changed:
            raise InputError(
                f"the packed copy {self.folder} cannot be used: {self.why_changed(changed, len(entries))}; "
                f"`{self.command}` brings it up to date, packed=False reads the originals"
            )

    def why_changed(self, changed: Sequence[int], asked: int) -> str:
        """Say what `changed` found."""
        names = ", ".join(self.index.clips[entry] for entry in changed[:3]) + (", ..." if len(changed) > 3 else "")
        about = self.table.about
        if len(changed) == asked and about.place != root_of(self.what):
            return f"it is of other data, {about.name} in {about.place}, none of whose clips is the same"
        return f"it is out of date, {len(changed)} of {asked} clips are new or have changed ({names})"

    def frame(self, entry: int, i: int) -> Frame | None:
        """Decode one frame of a clip, ``(H, W, 3)``, None where the original could not be read.

        Raw pixels are a view of the file, planes one after the other.

        Raises:
            ItemError: the bytes are not those that were written.
        """
        at = self.table.first[self.rows[entry]] + i
        data = self.stored(at)
        if zlib.crc32(data) != self.table.sums[at]:
            clip = self.index.clips[entry]
            raise ItemError(
                f"the packed copy {self.folder} is damaged at frame {i + 1} of {clip}; `{self.command}` mends it"
            )
        if not len(data):
            return None
        if self.raw:
            return np.frombuffer(data, np.uint8).reshape(3, self.size, self.size).transpose(1, 2, 0)
        frame: Frame = simplejpeg.decode_jpeg(data)
        return frame

    def stored(self, frame: int | np.int64) -> memoryview:
        """Give the bytes of a frame of the table; a view, not checked."""
        if self._blob is None:
            self._blob = self._map()
        return self._blob[self.table.bounds[frame] : self.table.bounds[frame + 1]]

    def _map(self) -> memoryview:
        with (self.folder / FRAMES).open("rb") as file:
            if _identity(file.fileno()) != self._file:
                raise ItemError(f"the packed copy {self.folder} was replaced while it was in use; start again")
            if not self._file[1]:
                return memoryview(b"")  # no frame could be read, and nothing cannot be mapped
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def damaged(self, entry: int) -> list[int]:
        """Give the frames of a clip whose bytes are not those that were written."""
        first, end = self.table.first[self.rows[entry] :][:2]
        return [int(at - first) for at in range(first, end) if zlib.crc32(self.stored(at)) != self.table.sums[at]]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_blob": None}  # a worker maps the file itself; pickling a map would copy it


def find_packed(
    index: ClipIndex, entries: Sequence[int] | NDArray[np.int64], what: str, packed: bool | Path | str = True
) -> list[Packed]:
    """Open the packed copies of a data set that hold these entries, the smallest first, raw pixels before JPEG.

    Args:
        packed: True: those beside the data or in the user's cache, if any; a path: that one, or those below it.

    Raises:
        InputError: a copy cannot be used, or the path holds none.
    """
    if packed is False:
        return []
    name = re.compile(rf"{re.escape(index.name)}-(\d+)(-raw)?")
    if packed is True:
        places = packed_in(index)
    elif name.fullmatch(Path(packed).name) or os.path.exists(os.path.join(packed, TABLE)):
        copy = Packed.open(Path(packed), index, what)
        copy.refuse_changed(entries)
        return [copy]
    else:
        places = (Path(packed),)
    found: dict[str, Packed | InputError] = {}
    for folder in [folder for place in places for folder in _folders(place) if name.fullmatch(folder.name)]:
        if not isinstance(found.get(folder.name), Packed):  # of two of one name, the one that can be used
            try:
                copy = Packed.open(folder, index, what)
                copy.refuse_changed(entries)
                found[folder.name] = copy
            except InputError as error:
                found.setdefault(folder.name, error)
    if not found and packed is not True:
        again = rebuild_command(what, index, places[0] / "any", None, False)
        raise InputError(f"{places[0]} holds no packed copy of {what} ({index.name}-SIZE); `{again}` makes one")
    for copy_or_error in found.values():
        if isinstance(copy_or_error, InputError):
            raise copy_or_error
    copies = [copy for copy in found.values() if isinstance(copy, Packed)]
    return sorted(copies, key=lambda copy: (copy.size, not copy.raw))


def packed_in(index: ClipIndex) -> tuple[Path, ...]:
    """Give the folders where packed copies of an index's data are looked for."""
    return tuple(place / "packed" for place in kept_in(index.root))


def packed_name(index: ClipIndex, size: int, raw: bool) -> str:
    """Name the folder of a packed copy."""
    return f"{index.name}-{size}" + "-raw" * raw


def rebuild_command(what: str, index: ClipIndex, folder: Path, size: int | None, raw: bool, media: str = "") -> str:
    """Give the command that makes the packed copy of this folder."""
    name, _, root = what.partition(" ")
    command = f"dfer data cache {name} {quote(root)}" + (f" --size {size}" if size else "") + " --raw" * raw
    if media:
        command += f" --media {media}"
    if folder.parent.absolute() not in [place.absolute() for place in packed_in(index)]:
        command += f" --out {quote(str(folder.parent))}"
    return command


def digest(index: ClipIndex, entry: int) -> tuple[bytes, int]:
    """Give a digest of the names and sizes of a clip's files and of a page of each, and their bytes in all.

    Pictures of one size have files of one size in some formats, so that only their bytes tell them apart.
    """
    path, whole, total = index.path(entry), hashlib.sha256(), 0
    names = index.frame_names(entry) if index.kinds[entry] == FOLDER else [""]
    for name in names:
        size, page = -1, b""
        with suppress(OSError), open(os.path.join(path, name) if name else path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(size // 2)
            page = file.read(_PAGE)
        whole.update(os.fsencode(f"{name}\0{size}\0") + page)
        total += max(size, 0)
    return whole.digest()[:16], total


def root_of(what: str) -> str:
    """Give the place of a data set that is named with its place."""
    return str(Path(what.partition(" ")[2]).absolute())


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(
            f"cannot look for packed copies in {place}: {error.strerror}; allow it, or give packed=False"
        ) from error


def _identity(file: Path | int) -> tuple[int, int]:
    found = os.stat(file)
    return found.st_ino, found.st_size


def _kind(size: int | None, raw: bool) -> str:
    return f"{'raw pixels' if raw else 'JPEG'} at {size} px"
