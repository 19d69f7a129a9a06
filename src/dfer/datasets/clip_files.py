"""The chosen clips of an index: how many frames each has, and what they show."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfer.datasets.index import FOLDER, MISSING, UNREADABLE, VIDEO, ClipIndex
from dfer.datasets.listing import Listed
from dfer.datasets.packed.packed import Packed, find_packed
from dfer.errors import ItemError
from dfer.transforms.presets import Frame
from dfer.video.decode import read_frames
from dfer.video.images import read_image

_log = logging.getLogger("dfer")


class ClipFiles:
    """Frames of clips on disk; a frame that cannot be read is replaced by its nearest readable neighbour.

    ``skipped`` counts, per row, the unreadable frames met so far, also those met in workers; each clip is logged once.

    Args:
        clips: the rows, as listed.
        entries: for each row its entry in the index, -1 where the index has none.
        what: the data set's name and place, as `dfer data check` takes them.
        packed: whether to read a packed copy where there is one that does, or where it lies.

    Raises:
        InputError: a packed copy cannot be used, or none is where it was said to be.
        ItemError: clips without a single frame on disk.
    """

    def __init__(
        self,
        index: ClipIndex,
        clips: Sequence[Listed],
        entries: Sequence[int],
        what: str,
        packed: bool | Path | str = True,
    ) -> None:
        self.index = index
        self.clips = tuple(clips)
        self.clip_ids = tuple(clip.clip_id for clip in clips)
        self.entries = np.array(entries, np.int64)
        self.what = what
        self._check = f"dfer data check {what}"
        # In shared memory, so that what a worker met is known to all.
        self.skipped = torch.zeros(len(clips), dtype=torch.int32)
        self.skipped.share_memory_()  # type: ignore[no-untyped-call]
        self._told = torch.zeros(1, dtype=torch.bool)
        self._told.share_memory_()  # type: ignore[no-untyped-call]
        self._refuse_unusable(clips)
        self.packed = find_packed(index, self.entries, what, packed)
        differing = sum(clip.frames not in (None, int(index.counts[i])) for clip, i in zip(clips, entries))
        if differing:
            _log.warning("%d of %d clips have another number of frames on disk than annotated", differing, len(clips))

    def _refuse_unusable(self, clips: Sequence[Listed]) -> None:
        reasons = [why_unusable(self.index, int(entry)) for entry in self.entries]
        bad = [(clip, reason) for clip, reason in zip(clips, reasons) if reason]
        if bad:
            kinds = ", ".join(f"{sum(r == kind for _, r in bad)} {kind}" for kind in dict.fromkeys(r for _, r in bad))
            names = ", ".join(clip.clip_id for clip, _ in bad[:3]) + (", ..." if len(bad) > 3 else "")
            where = f", first at {bad[0][0].where}" if bad[0][0].where else ""
            raise ItemError(
                f"{len(bad)} of {len(clips)} clips below {self.index.root} cannot be used: {kinds}: {names}{where}; "
                f"restore them, or run `{self._check}` and pass the list that it writes as exclude"
            )

    def frame_count(self, row: int) -> int:
        """Count a clip's frames as they are on disk."""
        return int(self.index.counts[self.entries[row]])

    def targets(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Give each row's class as its place in ``labels``, ``(N,)``."""
        return np.array([labels.index(clip.label) for clip in self.clips], np.int64)

    def subjects(self) -> NDArray[np.str_] | None:
        """Name each row's subject, ``(N,)``, None where some clip has none."""
        names = np.array([clip.subject for clip in self.clips], np.str_)
        return names if names.all() else None

    def reads(self, size: int | None) -> str:
        """Say in a few words what frames of this size are read from."""
        copy = self._copy_for(size)
        return "originals" if copy is None else f"packed, {copy.size} px, {'raw' if copy.raw else 'JPEG'}"

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> list[Frame]:
        """Decode the wanted frames of a clip, in the order asked for.

        Args:
            size: a packed copy of the frames will do if its sides are at least this long; None: as they are.

        Raises:
            ItemError: half of them or more, or the whole video, cannot be read; or the packed copy is damaged.
        """
        entry = int(self.entries[row])
        copy = self._copy_for(size)
        if copy is None and self.packed and size is not None:
            self._tell_too_small(size)
        if self.index.kinds[entry] == VIDEO:
            if copy is not None:  # as from the file itself, only a wanted frame stands in
                return self._stood_in(row, wanted, lambda i: copy.frame(entry, i), np.unique(wanted).tolist())
            try:
                return read_frames(Path(self.index.path(entry)), wanted)
            except ItemError as error:
                raise ItemError(f"clip {self.clip_ids[row]}: {error} (`{self._check} --decode` lists all)") from error
        count = range(int(self.index.counts[entry]))
        if copy is not None:
            return self._stood_in(row, wanted, lambda i: copy.frame(entry, i), count)
        folder, names = self.index.path(entry), self.index.frame_names(entry)
        return self._stood_in(row, wanted, lambda i: _image(Path(folder, names[i])), count)

    def _copy_for(self, size: int | None) -> Packed | None:
        """Choose the smallest packed copy that is large enough."""
        return next((copy for copy in self.packed if size is not None and copy.size >= size), None)

    def _tell_too_small(self, size: int) -> None:
        if not self._told:
            self._told[0] = True
            largest = self.packed[-1]
            _log.warning(
                "the packed copy %s is too small for %d px, so the originals are read; `%s` makes one that does",
                *(largest.folder, size, largest.command_for(size)),
            )

    def _stood_in(
        self, row: int, wanted: NDArray[np.int64], read: Callable[[int], Frame | None], others: Sequence[int]
    ) -> list[Frame]:
        """Read frames; of ``others``, the nearest one that can be read stands in for one that cannot."""
        distinct = np.unique(wanted).tolist()
        frames = {i: read(i) for i in distinct}
        bad = [i for i in distinct if frames[i] is None]
        if bad:
            self._count_unreadable(row, bad, len(distinct))
        for i in bad:
            # Ends within the clip: more than half of the wanted frames can be read.
            for j in sorted(others, key=lambda j: abs(j - i)):
                if j not in frames:
                    frames[j] = read(j)
                if j not in bad and frames[j] is not None:
                    frames[i] = frames[j]
                    break
        return [found for i in wanted.tolist() if (found := frames[i]) is not None]

    def _count_unreadable(self, row: int, bad: Sequence[int], wanted: int) -> None:
        entry = int(self.entries[row])
        video = self.index.kinds[entry] == VIDEO
        name = f"frame {bad[0] + 1}" if video else self.index.frame_names(entry)[bad[0]]
        what = f"clip {self.clip_ids[row]}: {len(bad)} of {wanted} wanted frames cannot be read ({name}"
        if 2 * len(bad) >= wanted:
            raise ItemError(
                f"{what}, below {self.index.root}); restore them, or run `{self._check} --decode` and pass the list "
                "that it writes as exclude"
            )
        if not self.skipped[row]:
            _log.warning("%s); their nearest neighbours stand in", what)
        self.skipped[row] = max(int(self.skipped[row]), len(bad))


def _image(path: Path) -> Frame | None:
    try:
        return read_image(path)
    except ItemError:
        return None


def why_unusable(index: ClipIndex, entry: int) -> str:
    """Say why an entry of an index (-1: none) holds no frame; empty where it does."""
    kind = index.kinds[entry] if entry >= 0 else MISSING
    if kind == FOLDER:
        return "" if index.counts[entry] else "without a frame in its folder"
    return {MISSING: "not on disk", UNREADABLE: "no readable video"}.get(int(kind), "")
