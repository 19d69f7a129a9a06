"""Your own clips: a folder per class."""

import hashlib
import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.index import ClipIndex, index_tree
from dfer.datasets.listing import (
    Listed,
    Listing,
    check_split,
    contents,
    existing_root,
    order_labels,
    read_excluded,
    warn_of_misspelt,
    warn_of_unknown,
)
from dfer.datasets.survey import Part, Survey
from dfer.errors import InputError
from dfer.labels import canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

_log = logging.getLogger("dfer")


class FolderClips(ClipDataset):
    """Load a folder per class, of frame folders, video files, or both.

    Either ``ROOT/train/CLASS/CLIP`` and ``ROOT/test/CLASS/CLIP``, or ``ROOT/CLASS/CLIP``. In the latter case the split
    is stratified and depends on the clip ids alone, not on the seed: in each class the clips are ordered by the
    SHA-256 of their id, and the first ``test_fraction`` of them (rounded, at least one of two) are the test set.
    Classes are known by name; ``Anger`` and ``angry`` are one expression. Clip ids are paths relative to the root.

    Args:
        split: ``train`` or ``test``.
        test_fraction: used where there are no folders ``train`` and ``test``.
        transform: ``EvalTransform()`` unless given.
        exclude: a text file of clip ids to leave out, as ``dfer data check`` writes it.
        packed: read the packed copy that ``dfer data cache`` made, where there is one; or where that lies.

    Raises:
        InputError: the root is missing, of another layout, or holds no clip of the split.
        ItemError: clips without a readable frame.
    """

    def __init__(
        self,
        root: Path | str,
        split: str,
        *,
        test_fraction: float = 0.2,
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        root = existing_root(root)
        index = open_index(root)
        chosen = read_set(index.clips, split, test_fraction)
        excluded = read_excluded(exclude)
        what = f"FolderClips {root}"
        warn_of_unknown(excluded, {_printable(clip) for clip in index.clips}, what)
        clips = [(clip, entry) for clip, entry in chosen if clip.clip_id not in excluded]
        if not clips:
            raise InputError(f"{root} holds no clip of the split {split}; add clips, or exclude fewer")
        files = ClipFiles(index, [clip for clip, _ in clips], [entry for _, entry in clips], what, packed)
        labels = labels_of(index)
        warn_of_misspelt(labels, root)
        super().__init__(
            source=files,
            labels=labels,
            targets=files.targets(labels),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "FolderClips",
                {"root": root, "exclude": exclude, "packed": packed},
                test_fraction=test_fraction,
                seed=seed,
            ),
            seed=seed,
        )

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List both splits of a folder per class."""
        index = open_index(existing_root(root))
        parts = []
        for split in ("train", "test"):
            chosen = read_set(index.clips, split)
            parts.append(Part(split, Listing([clip for clip, _ in chosen], []), [entry for _, entry in chosen]))
        return Survey("", labels_of(index), index, parts)


def open_index(root: Path) -> ClipIndex:
    """Open or make the index of a folder per class.

    Raises:
        InputError: another layout.
    """
    splits = [split for split in ("train", "test") if (root / split).is_dir()]
    if len(splits) == 1:
        raise InputError(f"{root} holds {splits[0]} but not the other of train and test; add it, or put the class "
                         "folders into the root to have them split")  # fmt: skip
    index = index_tree(root, "", depth=3 if splits else 2)
    if not index.clips:
        raise InputError(f"{root} holds no clips: expected a folder per class, of frame folders or video files, below "
                         f"it or below its train and test; it holds {contents(root)}")  # fmt: skip
    return index


def labels_of(index: ClipIndex) -> tuple[str, ...]:
    """Name the classes of both splits: known expressions in their usual order, then all others.

    Raises:
        InputError: two folders of one split are one expression.
    """
    folders = sorted({clip.rpartition("/")[0] for clip in index.clips if _split_of(clip) in ("", "train", "test")})
    seen: dict[str, str] = {}
    for folder in folders:
        shelf, _, name = folder.rpartition("/")
        other = seen.setdefault(f"{shelf}/{canonical(name)}", folder)
        if other != folder:
            raise InputError(f"{index.root}: the folders {other} and {folder} are one expression; merge them")
    return order_labels(canonical(folder.rpartition("/")[2]) for folder in folders)


def read_set(clips: Sequence[str], split: str, test_fraction: float = 0.2) -> list[tuple[Listed, int]]:
    """Choose the clips of a split, each with its place among all, in the order given.

    Args:
        clips: all of a root, relative to it.

    Raises:
        InputError: no such split.
    """
    check_split(split)
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, not {test_fraction}")
    found = [(Listed(_printable(clip), canonical(clip.split("/")[-2]), ""), entry) for entry, clip in enumerate(clips)]
    if clips[0].count("/") == 2:
        others = {_split_of(clip) for clip in clips} - {"train", "test"}
        if others:
            _log.warning("of the folders only train and test are used, not %s", ", ".join(sorted(others)))
        return [(clip, entry) for clip, entry in found if _split_of(clips[entry]) == split]
    test: set[int] = set()
    for label in {clip.label for clip, _ in found}:
        ordered = sorted((_digest(clip.clip_id), entry) for clip, entry in found if clip.label == label)
        count = min(max(round(test_fraction * len(ordered)), 1), len(ordered) - 1)
        test |= {entry for _, entry in ordered[:count]}
    return [(clip, entry) for clip, entry in found if (entry in test) == (split == "test")]


def _split_of(clip: str) -> str:
    return clip.partition("/")[0] if clip.count("/") == 2 else ""


def _digest(clip_id: str) -> bytes:
    # One spelling of accents: macOS decomposes them, Linux does not.
    return hashlib.sha256(unicodedata.normalize("NFC", clip_id).encode()).digest()


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
