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
from dfer.datasets.packed import Packed, packed_in, packed_name, rebuild_command
from dfer.datasets.packed_table import FRAMES, TABLE, About
from dfer.datasets.packing import JOURNAL, QUALITY, SUBSAMPLING, Packing, pack
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
    try:
        folder = _place(index, packed_name(index, size, raw), out)
        old, wrong = _inspect(folder, index, entries, what)
        there = folder.exists()
    except OSError as error:
        reason = f"{error.strerror or error}; allow it, or name another place as --out"
        raise InputError(f"cannot look for a packed copy in {error.filename}: {reason}") from error
    about = About(
        *(name, str(Path(root).absolute()), index.name, survey.media, size, raw),
        "" if raw else f"{QUALITY} {SUBSAMPLING}",
    )
    if verify and not there:
        again = rebuild_command(what, index, folder, size, raw, survey.media)
        raise InputError(f"there is no packed copy {folder}; `{again}` makes it")
    if old is not None and not wrong:
        table = old.restamped(entries)
        if not verify and not np.array_equal(table.stamps, old.table.stamps):
            with suppress(InputError):  # a copy that cannot be written to is no worse for it
                write_atomically(folder / TABLE, table.to_bytes())
        print("whole and up to date")
        _report(old, entries)
        return 0
    if verify:
        for reason in wrong:
            print(f"WRONG {reason}")
        return 3
    for reason in wrong:
        print(f"packing again: {reason.partition('; `')[0]}", file=sys.stderr)
    work = Packing(index, entries, about, old)
    _build(folder, work, workers)
    _report(Packed.open(folder, index, what), entries)
    return 0


def _place(index: ClipIndex, name: str, out: Path | None) -> Path:
    """Choose the copy's folder: where it is already, else beside the data, else in the user's cache."""
    if out is not None:
        return Path(out) / name
    places = packed_in(index)
    for place in places:
        if (place / name).is_dir() and os.access(place, os.W_OK):
            return place / name
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place / name
    return places[0] / name


def _inspect(folder: Path, index: ClipIndex, entries: Sequence[int], what: str) -> tuple[Packed | None, list[str]]:
    """Open a copy and check everything; give what is wrong with it, one line of each kind."""
    if not folder.exists():
        return None, []
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
    try:
        partial.mkdir(parents=True, exist_ok=True)
        before = partial.stat().st_ino
        with held(partial):
            if partial.stat().st_ino != before:
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
        print(f"{len(lost)} frames could not be read; neighbours stand in: {names}")


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
