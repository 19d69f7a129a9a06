"""The chosen clips of an index: how many frames each has, and what they show."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfer.datasets.index import FOLDER, MISSING, UNREADABLE, VIDEO, ClipIndex
from dfer.datasets.listing import Listed
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
        self._refuse_unusable(clips)
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

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> list[Frame]:
        """Decode the wanted frames of a clip, in the order asked for.

        Args:
            size: a packed copy of the frames will do if its sides are at least this long; None: as they are.

        Raises:
            ItemError: half of them or more, or the whole video, cannot be read.
        """
        entry = int(self.entries[row])
        if self.index.kinds[entry] == VIDEO:
            try:
                return read_frames(Path(self.index.path(entry)), wanted)
            except ItemError as error:
                raise ItemError(f"clip {self.clip_ids[row]}: {error} (`{self._check} --decode` lists all)") from error
        folder, names = self.index.path(entry), self.index.frame_names(entry)
        frames: dict[int, Frame | None] = {}

        def frame(i: int) -> Frame | None:
            if i not in frames:
                try:
                    frames[i] = read_image(Path(folder, names[i]))
                except ItemError:
                    frames[i] = None
            return frames[i]

        distinct = np.unique(wanted).tolist()
        bad = [i for i in distinct if frame(i) is None]
        if bad:
            self._count_unreadable(row, [names[i] for i in bad], len(distinct))
        for i in bad:
            # Ends within the clip: more than half of the wanted frames can be read.
            near = sorted(range(len(names)), key=lambda j: abs(j - i))
            frames[i] = next(frame(j) for j in near if j not in bad and frame(j) is not None)
        return [found for i in wanted.tolist() if (found := frames[i]) is not None]

    def _count_unreadable(self, row: int, names: Sequence[str], wanted: int) -> None:
        what = f"clip {self.clip_ids[row]}: {len(names)} of {wanted} wanted frames cannot be read ({names[0]}"
        if 2 * len(names) >= wanted:
            raise ItemError(
                f"{what}, below {self.index.root}); restore them, or run `{self._check} --decode` and pass the list "
                "that it writes as exclude"
            )
        if not self.skipped[row]:
            _log.warning("%s); their nearest neighbours stand in", what)
        self.skipped[row] = max(int(self.skipped[row]), len(names))


def why_unusable(index: ClipIndex, entry: int) -> str:
    """Say why an entry of an index (-1: none) holds no frame; empty where it does."""
    kind = index.kinds[entry] if entry >= 0 else MISSING
    if kind == FOLDER:
        return "" if index.counts[entry] else "without a frame in its folder"
    return {MISSING: "not on disk", UNREADABLE: "no readable video"}.get(int(kind), "")
