"""``dfer data cache``: all frames of a data set in one file, small and quick to read, used by itself from then on."""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from dfer.datasets.build import DATASETS, full_name
from dfer.datasets.index import ClipIndex, progress_bar
from dfer.datasets.packed.packed import Packed, packed_in, packed_name, rebuild_command
from dfer.datasets.packed.packing import JOURNAL, QUALITY, SUBSAMPLING, Packing, pack
from dfer.datasets.packed.table import FRAMES, TABLE, About
from dfer.errors import InputError
from dfer.runs import held, write_atomically

_ALONE = 1000  # fewer frames are packed sooner than workers start


def cache(
    name: str,
    root: Path,
    *,
    size: int = 128,
    raw: bool = False,
    media: str | None = None,
    out: Path | None = None,
    workers: int | None = None,
    verify: bool = False,
) -> int:
    """Pack a data set's frames into one file, smaller and quicker to read; data sets use it by themselves.

    It lies in ROOT/.dfer/packed, or in the user's cache folder where the root cannot be written to. What was stopped
    goes on where it was; a copy that is whole and current is checked and left as it is.

    Args:
        name: the data set's name, such as dfew, ferv39k, folder or csv.
        root: the data set's folder; for csv the CSV file.
        size: side of the packed frames in pixels; training at 112 takes 126 or more.
        raw: keep pixels instead of JPEG: several times the disk, and no decoding.
        media: the kind of files to pack; the first that is there unless given.
        out: the folder to put it into; give it to data sets as packed.
        workers: processes; all cores unless given.
        verify: check the copy that is there and change nothing; exit 3 where it is wrong.
    """
    if size < 8 or (workers is not None and workers < 0):
        raise InputError(f"cannot pack with size {size}, workers {workers}; give at least 8 pixels, workers 0 or up")
    name = full_name(name)
    if media is not None and not DATASETS[name].MEDIA:
        raise InputError(f"{name} has one kind of files; leave out --media {media}")
    survey = DATASETS[name].survey(Path(root), media)
    index, what = survey.index, f"{name} {root}"
    entries = [entry for entry in survey.entries() if index.counts[entry]]
    if not entries:
        raise InputError(f"{what} lists no clip that is on disk; `dfer data check {what}` says more")
    folders = [place / packed_name(index, size, raw) for place in ([Path(out)] if out else packed_in(index))]
    try:
        there = [folder for folder in folders if folder.is_dir()]
        found = {}
        for folder in there:
            found[folder] = copy, wrong = _inspect(folder, index, entries, what)
            if copy is not None and not wrong:
                return _say_whole(copy, entries, verify)
    except OSError as error:
        reason = f"{error.strerror or error}; allow it, or name another place as --out"
        raise InputError(f"cannot look for a packed copy in {error.filename}: {reason}") from error
    if verify and not found:
        again = rebuild_command(what, index, folders[0], size, raw, survey.media)
        raise InputError(f"there is no packed copy {folders[0]}; `{again}` makes it")
    for _, wrong in found.values():
        for reason in wrong:
            print(f"WRONG {reason}" if verify else f"packing again: {reason.partition('; `')[0]}", file=sys.stderr)
    if verify:
        return 3
    about = About(
        *(name, str(Path(root).absolute()), index.name, survey.media, size, raw),
        "" if raw else f"{QUALITY} {SUBSAMPLING}",
    )
    old = next((copy for copy, _ in found.values() if copy is not None), None)
    folder = next((folder for folder in [*there, *folders] if _can_hold(folder)), folders[0])
    _build(folder, Packing(index, entries, about, old), workers)
    _report(Packed.open(folder, index, what), entries)
    return 0


def _can_hold(folder: Path) -> bool:
    """Say whether a folder can be made or replaced."""
    with suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        return os.access(folder.parent, os.W_OK)
    return False


def _say_whole(copy: Packed, entries: Sequence[int], verify: bool) -> int:
    table = copy.restamped(entries)
    if not verify and not np.array_equal(table.stamps, copy.table.stamps):
        with suppress(InputError):  # a copy that cannot be written to is no worse for it
            write_atomically(copy.folder / TABLE, table.to_bytes())
    print("whole and up to date")
    _report(copy, entries)
    return 0


def _inspect(folder: Path, index: ClipIndex, entries: Sequence[int], what: str) -> tuple[Packed | None, list[str]]:
    """Open a copy and check everything; give what is wrong with it, one line of each kind."""
    try:
        copy = Packed.open(folder, index, what)
    except InputError as error:
        return None, [str(error)]
    wrong = []
    changed = set(copy.changed(entries, look=True))
    if changed:
        wrong.append(f"{folder}: {copy.why_changed(sorted(changed), len(entries))}; `{copy.command}` mends it")
    bad: list[tuple[int, int]] = []
    with progress_bar() as progress:
        task = progress.add_task("verifying", total=len(entries))
        for entry in entries:
            if copy.rows[entry] >= 0:
                bad += [(entry, i) for i in copy.damaged(entry)]
            progress.advance(task)
    if bad:
        first = f"frame {bad[0][1] + 1} of {index.clips[bad[0][0]]}"
        wrong.append(f"{folder}: {len(bad)} frames are damaged (first: {first}); `{copy.command}` mends it")
    return copy, wrong


def _build(folder: Path, work: Packing, workers: int | None) -> None:
    """Pack into a folder beside, which takes its place in the end.

    Raises:
        InputError: another process does the same, there is no room, or the place cannot be written to.
    """
    partial, aside = folder.with_name(f"{folder.name}.partial"), folder.with_name(f".{folder.name}.old")
    frames = int(work.index.counts[list(work.entries)].sum())
    there = _number(folder)
    try:
        partial.mkdir(parents=True, exist_ok=True)
        mine = _number(partial)
        with held(partial):
            if (_number(partial), _number(folder)) != (mine, there):
                raise InputError(f"another process has just made {folder}; run the same command again")
            _refuse_without_room(partial, work.about, frames)
            if workers is None:
                workers = _cores() if frames > _ALONE else 0
            pack(partial, work, workers)
            shutil.rmtree(aside, ignore_errors=True)
            if folder.exists():
                folder.replace(aside)
            partial.replace(folder)
            (folder / JOURNAL).unlink(missing_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"cannot write {partial}: {error.strerror or error}; mend that, or name another place as --out"
        ) from error


def _number(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _refuse_without_room(partial: Path, about: About, frames: int) -> None:
    """Check that raw pixels, whose size is known, have room."""
    if not about.raw:
        return
    blob = partial / FRAMES
    needed = frames * 3 * about.size**2 - (blob.stat().st_size if blob.exists() else 0)
    free = shutil.disk_usage(partial).free
    if needed > free:
        with suppress(OSError):
            partial.rmdir()  # unless something is in it
        raise InputError(
            f"{frames} frames of raw pixels at {about.size} px need {_bytes(needed)} in {partial.parent}, where "
            f"{_bytes(free)} are free; make room, give a smaller --size, leave out --raw, or name another disk as --out"
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(copy: Packed, entries: Sequence[int]) -> None:
    """Print where a copy is, what it holds and what it takes."""
    table = copy.table
    size = int(table.bounds[-1]) + (copy.folder / TABLE).stat().st_size
    share = f", {size / table.about.originals:.2f} of the originals" if table.about.originals else ""
    print(copy.folder)
    print(f"{len(table.clips)} clips, {len(table.sums)} frames, {_bytes(size)}{share}")
    lost = [f"{copy.index.clips[entry]} frame {i + 1}" for entry in entries for i in _unreadable(copy, entry)]
    if lost:
        names = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        half = sum(2 * len(_unreadable(copy, entry)) >= copy.index.counts[entry] for entry in entries)
        print(f"{len(lost)} frames could not be read; neighbours stand in: {names}")
        if half:
            print(f"{half} clips lost half of their frames; leave them out: `dfer data check {copy.what} --decode`")


def _unreadable(copy: Packed, entry: int) -> list[int]:
    row = copy.rows[entry]
    first, end = copy.table.first[row : row + 2]
    bounds = copy.table.bounds[first : end + 1]
    return [i for i in range(end - first) if bounds[i] == bounds[i + 1]]


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
