"""Which packed copies of a data set are there, and are they valid?"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dfer.datasets.check.findings import Findings, some
from dfer.datasets.index import ClipIndex, progress_bar
from dfer.datasets.listing import Problem
from dfer.datasets.packed.packed import Packed, packed_in
from dfer.errors import InputError, ItemError

PACKED: Final = "packed copies that cannot be used"


def check_packed(index: ClipIndex, entries: Sequence[int], what: str, whole: bool, found: Findings) -> None:
    """Open every packed copy of these entries; one that cannot be used is a problem, every other one a note.

    Clips without frames are in no copy, and a problem of their own.

    Args:
        what: the data set's name and place, as `dfer data cache` takes them.
        whole: look at every file and every frame's checksum too.
    """
    entries = [entry for entry in entries if index.counts[entry]]
    details: list[dict[str, Any]] = []
    name = re.compile(rf"{re.escape(index.name)}-\d+(-raw)?")
    for place in packed_in(index):
        for folder in sorted(path for path in _inside(place) if name.fullmatch(path.name) and path.is_dir()):
            try:
                said = _look_into(folder, index, entries, what, whole)
                found.notes.append(said)
                details.append({"folder": str(folder), "valid": True, "said": said})
            except InputError as error:
                found.add(PACKED, [Problem("", str(error))])
                details.append({"folder": str(folder), "valid": False, "said": str(error)})
    found.details["packed"] = details


def _look_into(folder: Path, index: ClipIndex, entries: Sequence[int], what: str, whole: bool) -> str:
    """Say what a packed copy holds.

    Raises:
        InputError: it cannot be used.
    """
    copy = Packed.open(folder, index, what)
    changed = copy.changed(entries, look=whole)
    if changed:
        raise InputError(
            f"the packed copy {folder} cannot be used: {copy.why_changed(changed, len(entries))}; "
            f"`{copy.command}` brings it up to date"
        )
    if whole:
        with progress_bar() as progress:
            verified = progress.track(entries, description=f"verifying {folder.name}")
            damaged = [index.clips[entry] for entry in verified if copy.damaged(entry)]
        if damaged:
            raise ItemError(
                f"the packed copy {folder} is damaged in {len(damaged)} clips ({some(damaged)}); "
                f"`{copy.command}` mends it"
            )
    form = "raw pixels" if copy.raw else "JPEG"
    said = "as they are, all its checksums right" if whole else "(--decode compares it with every file)"
    return f"the packed copy {folder} ({form} at {copy.size} px) holds all clips {said}"


def _inside(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError:
        return []
