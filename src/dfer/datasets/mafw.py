"""MAFW: 9,172 single-labelled clips, eleven expressions, five folds."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from dfer.datasets.annotation import by_number, clip_and_label, clip_number, is_numeric
from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.index import ClipIndex, index_tree
from dfer.datasets.listing import (
    Listed,
    Listing,
    Problem,
    check_fold,
    check_split,
    choose,
    contents,
    existing_root,
    one_of_each,
    read_lines,
)
from dfer.datasets.survey import Survey, listed, parts_of_folds
from dfer.errors import InputError
from dfer.labels import EXTENDED, canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

FOLDS = (1, 2, 3, 4, 5)
MEDIA = {"frames": "data/frames", "video": "data/clips"}
SINGLE_LABELLED = (1242, 1470, 1138, 1390, 1072, 639, 625, 236, 916, 262, 182)
"""Published clips per class, in the order of ``dfer.labels.EXTENDED``: of the five test sets together."""

_ANNOTATION = "Train & Test Set"


class MAFW(ClipDataset):
    """Load one split of one fold of MAFW (Liu et al. 2022).

    The single-labelled clips, in the authors' five folds. Labels are names; files with numbers instead are refused.
    The folder ``Train & Test Set`` is found however its name is spelled (``Train_Test_Set``), it and ``data`` in the
    root itself or in a folder ``MAFW`` in it. Frames are counted on disk. Clip ids are the five-digit ones, ``00025``.

    Args:
        root: holds ``data`` and ``Train & Test Set``.
        split: ``train`` or ``test``.
        media: ``frames`` (``data/frames``) or ``video`` (``data/clips``).
        transform: ``EvalTransform()`` unless given.
        exclude: a text file of clip ids to leave out, as ``dfer data check`` writes it.
        packed: read the packed copy that ``dfer data cache`` made, where there is one; or where that lies.

    Raises:
        InputError: a file or folder is missing, or an annotation is wrong.
        ItemError: clips of the split are not on disk.
    """

    MEDIA = MEDIA

    def __init__(
        self,
        root: Path | str,
        split: str,
        fold: int = 1,
        *,
        media: Literal["frames", "video"] = "frames",
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        root = existing_root(root)
        what = f"MAFW {root}"
        listing = read_set(root, split, fold)
        other = listed(lambda: read_set(root, "test" if split == "train" else "train", fold))
        clips = choose(listing, other, exclude, set_path(root, split, fold), what)
        index = open_index(root, media)
        files = ClipFiles(index, clips, entries(index, clips), what, packed)
        super().__init__(
            source=files,
            labels=EXTENDED,
            targets=files.targets(EXTENDED),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "MAFW", {"root": root, "exclude": exclude, "packed": packed}, fold=int(fold), media=media, seed=seed
            ),
            seed=seed,
        )

    @classmethod
    def media_in(cls, root: Path) -> tuple[str, ...]:
        """Name the kinds of media that a copy holds, ``frames`` where it holds none."""
        root = existing_root(root)
        return tuple(kind for kind in MEDIA if _media_folder(root, kind) is not None) or ("frames",)

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List all five folds, whatever is wrong with them."""
        root = existing_root(root)
        media = media or cls.media_in(root)[0]
        index = open_index(root, media)
        parts = parts_of_folds(FOLDS, partial(read_set, root), partial(entries, index))
        return Survey(media, EXTENDED, index, parts, SINGLE_LABELLED)


def set_path(root: Path, split: str, fold: int) -> Path:
    """Find the annotation file of a split and fold.

    Raises:
        InputError: no such split or fold, or no such file in any known variant of the layout.
    """
    fold, split = check_fold("MAFW", fold, len(FOLDS)), check_split(split)
    name = f"single/no_caption/set_{fold}/{split}.txt"
    folders = [folder for place in _places(root) for folder in _annotations(root / place)]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    if folders:
        raise InputError(f"{folders[0]} holds no {name}, it holds {contents(folders[0])}; restore it")
    raise InputError(f"{root} holds no {_ANNOTATION!r}, nor does a folder MAFW in it; it holds {contents(root)}: give "
                     f"the folder that holds data and {_ANNOTATION}")  # fmt: skip


def open_index(root: Path, media: str) -> ClipIndex:
    """Open or make the index of one kind of media.

    Raises:
        InputError: there is no such kind, or not in this root.
    """
    if media not in MEDIA:
        raise InputError(f"MAFW has no media {media!r}; choose one of {', '.join(MEDIA)}")
    folder = _media_folder(root, media)
    if folder is None:
        others = [kind for kind in MEDIA if _media_folder(root, kind) is not None]
        there = f"there is media={', '.join(map(repr, others))}" if others else f"the root holds {contents(root)}"
        raise InputError(f"{root / MEDIA[media]} not found; {there}")
    return index_tree(root, folder, depth=1)


def entries(index: ClipIndex, clips: Sequence[Listed]) -> list[int]:
    """Find each clip's entry in the index by the number in its name, -1 where it has none."""
    return by_number(index.clips, clips)


def read_set(root: Path, split: str, fold: int) -> Listing:
    """Read the annotation of a split and fold; wrong lines become problems.

    Raises:
        InputError: no such split or fold, or the file is missing or no text.
    """
    clips, problems = [], []
    for number, line in read_lines(path := set_path(root, split, fold)):
        where = f"{path}:{number}"
        clip, label = clip_and_label(line)
        clip_id = f"{found:05d}" if (found := clip_number(clip)) is not None else ""
        if not clip_id:
            problems.append(
                Problem("", f"{line[:60]!r} is no clip and label such as '00025.mp4 anger'; restore the line", where)
            )
        elif is_numeric(label):
            text = f"label {label} of clip {clip_id} is a number, MAFW's own are names; take its own files"
            problems.append(Problem(clip_id, text, where))
        elif canonical(label) not in EXTENDED:
            text = f"label {label[:30]!r} of clip {clip_id} is none of {' '.join(EXTENDED)}; restore the line"
            problems.append(Problem(clip_id, text, where))
        else:
            clips.append(Listed(clip_id, canonical(label), where))
    once = one_of_each(clips)
    return Listing(once.clips, [*problems, *once.problems])


def _places(root: Path) -> list[str]:
    """Name the folders of the root that may hold the data set, itself first."""
    return ["", *sorted(f"{path.name}/" for path in root.iterdir() if path.name.lower() == "mafw" and path.is_dir())]


def _annotations(place: Path) -> Iterator[Path]:
    """Find the folder ``Train & Test Set`` however it is spelled, also where it lies in one of its own name."""
    for path in sorted(place.iterdir()):
        if re.sub("[^a-z]|and", "", path.name.lower()) == "traintestset" and path.is_dir():
            yield path
            yield from _annotations(path)


def _media_folder(root: Path, media: str) -> str | None:
    """Find the folder of one kind of media, relative to the root."""
    name = MEDIA[media]
    for place in _places(root):
        for folder in (f"{name}/{name.rpartition('/')[2]}", name):
            if (root / place / folder).is_dir():
                return place + folder
    return None
