"""DFEW: 11,697 single-labelled clips from films, seven expressions, five folds."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.annotation import by_number, clip_number, read_table, whole_number
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
)
from dfer.datasets.survey import Survey, listed, parts_of_folds
from dfer.datasets.votes import ambiguity, shares_of, warn_of_other_labels
from dfer.errors import InputError
from dfer.labels import BASIC, canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

FOLDS = (1, 2, 3, 4, 5)
MEDIA = {"frames": "Clip/clip_224x224", "frames16": "Clip/clip_224x224_16f", "video": "Clip/original"}
SINGLE_LABELLED = (2445, 1894, 2669, 2173, 1469, 145, 902)
"""Published clips per class, in the order of ``dfer.labels.BASIC``."""
PUBLISHED_TEST = {
    1: (489, 379, 534, 435, 294, 29, 181),
    2: (489, 379, 534, 435, 294, 29, 181),
    3: (489, 379, 534, 435, 294, 29, 180),
    4: (489, 379, 534, 434, 294, 29, 180),
    5: (489, 378, 533, 434, 293, 29, 180),
}
"""Published test clips per fold and class; the rest of ``SINGLE_LABELLED`` is the fold's training set."""

_COLUMNS = ("video_name", "label")


class DFEW(ClipDataset):
    """Load one split of one fold of DFEW (Jiang et al. 2020).

    The folds: in every class, the clips sorted by id are cut into five consecutive blocks, the longer ones first;
    block k is the test set of fold k. So the test sets are disjoint and cover everything. They do not keep films
    apart. Labels in the files are 1 to 7 in the order of ``dfer.labels.BASIC``, or names; look-alike files that count
    from 0 or in another order are refused. The ten votes on each clip, where the copy has them, are its soft label.
    Frames are counted on disk. A folder of clips may lie in one of its own name. Clip ids are the five-digit ones,
    ``00001``.

    Args:
        root: holds ``Clip`` and ``EmoLabel_DataSplit``.
        split: ``train`` or ``test``.
        media: ``frames`` (``clip_224x224``), ``frames16`` (``clip_224x224_16f``) or ``video`` (``original``).
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
        media: Literal["frames", "frames16", "video"] = "frames",
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        root = existing_root(root)
        what = f"DFEW {root}"
        listing = read_set(root, split, fold)
        other = listed(lambda: read_set(root, "test" if split == "train" else "train", fold))
        clips = choose(listing, other, exclude, set_path(root, split, fold), what)
        index = open_index(root, media)
        files = ClipFiles(index, clips, entries(index, clips), what, packed)
        super().__init__(
            source=files,
            labels=BASIC,
            targets=files.targets(BASIC),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "DFEW", {"root": root, "exclude": exclude, "packed": packed}, fold=int(fold), media=media, seed=seed
            ),
            seed=seed,
        )
        self._votes_file = root / "Annotation" / "annotation.xlsx"
        self._shares: NDArray[np.float32] | None = None

    def soft_labels(self) -> NDArray[np.float32] | None:
        """Give the share of the ten votes that each class has, ``(N, 7)``, rows sum to 1.

        None where the copy has no ``Annotation/annotation.xlsx``. Read when first asked for, then kept.

        Raises:
            InputError: the file cannot be read, or lacks clips.
        """
        if self._shares is None and self._votes_file.exists():
            self._shares = shares_of(self._votes_file, list(self.clip_ids))
            warn_of_other_labels(self._votes_file, self._shares, self.targets, list(self.clip_ids))
        return self._shares

    def ambiguity(self) -> NDArray[np.float64] | None:
        """Say how far each clip's annotators disagree, ``(N,)`` from 0 to 1 (`votes.ambiguity`); None without votes.

        Raises:
            InputError: as `soft_labels`.
        """
        shares = self.soft_labels()
        return None if shares is None else ambiguity(shares)

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List all five folds, whatever is wrong with them."""
        root = existing_root(root)
        media = media or cls.media_in(root)[0]
        index = open_index(root, media)
        parts = parts_of_folds(FOLDS, partial(read_set, root), partial(entries, index), published)
        return Survey(media, BASIC, index, parts)


def published(split: str, fold: int) -> tuple[int, ...]:
    """Give the published clips per class of a split and fold."""
    test = PUBLISHED_TEST[fold]
    return test if split == "test" else tuple(every - one for every, one in zip(SINGLE_LABELLED, test))


def set_path(root: Path, split: str, fold: int) -> Path:
    """Name the annotation file of a split and fold."""
    return root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold}.csv"


def open_index(root: Path, media: str) -> ClipIndex:
    """Open or make the index of one kind of media.

    Raises:
        InputError: there is no such kind, or not in this root.
    """
    if media not in MEDIA:
        raise InputError(f"DFEW has no media {media!r}; choose one of {', '.join(MEDIA)}")
    if not (root / MEDIA[media]).is_dir():
        others = [name for name, folder in MEDIA.items() if (root / folder).is_dir()]
        there = f"there is media={', '.join(map(repr, others))}" if others else f"the root holds {contents(root)}"
        raise InputError(f"{root / MEDIA[media]} not found; {there}")
    folder = MEDIA[media]
    doubled = f"{folder}/{folder.rpartition('/')[2]}"  # an archive unpacked into a folder of its name
    return index_tree(root, doubled if (root / doubled).is_dir() else folder, depth=1)


def entries(index: ClipIndex, clips: Sequence[Listed]) -> list[int]:
    """Find each clip's entry in the index by the number in its name, -1 where it has none."""
    return by_number(index.clips, clips)


def read_set(root: Path, split: str, fold: int) -> Listing:
    """Read the annotation of a split and fold; wrong lines become problems.

    Raises:
        InputError: no such split or fold, the file is missing, or its header is.
    """
    fold = check_fold("DFEW", fold, len(FOLDS))
    path = set_path(root, check_split(split), fold)
    if not path.is_file():
        raise InputError(f"{path} not found; the root holds {contents(root)}: give the folder that holds DFEW's own "
                         "Clip and EmoLabel_DataSplit")  # fmt: skip
    listing, ids = _parse(path)
    if 0 in ids:
        bare = Problem("", "these labels are 0-based (a 0 stands there), DFEW's own are 1 to 7; take the set files "
                           "that come with DFEW", ids[0])  # fmt: skip
        return Listing([], [bare])
    if ids and listing.clips and 7 not in ids and not _counts_from_one(root, split, fold):
        unsure = Problem("", "neither a label 0 nor a 7 in this fold, so nothing tells whether labels count from 0 or "
                             "from 1; take the set files that come with DFEW", str(path))  # fmt: skip
        return Listing(listing.clips, [*listing.problems, unsure])
    if _in_another_order(listing.clips, split, fold):
        order = Problem("", "as many clips as published, but the large classes are others: these labels are in another "
                            "order than DFEW's; take the set files that come with DFEW", str(path))  # fmt: skip
        return Listing(listing.clips, [*listing.problems, order])
    return listing


def _counts_from_one(root: Path, split: str, fold: int) -> bool:
    """Look for a 7, and no 0, in the other split of the same fold, where a rare class may be absent from this one."""
    other = set_path(root, "test" if split == "train" else "train", fold)
    if not other.is_file():
        return False
    _, ids = _parse(other)
    return 7 in ids and 0 not in ids


def _parse(path: Path) -> tuple[Listing, dict[int, str]]:
    """Read a set file; also give, for each number met as a label, its first place."""
    clips, problems, ids = [], [], dict[int, str]()
    for where, values, problem in read_table(path, _COLUMNS):
        name, label = values.get("video_name", ""), values.get("label", "").removesuffix(".0")
        number = clip_number(name)
        if problem or number is None:
            text = problem or f"{name[:60]!r} is no clip number such as '2522'"
            problems.append(Problem("", f"{text}; restore the line", where))
            continue
        clip_id = f"{number:05d}"
        if (digit := whole_number(label)) is not None:
            ids.setdefault(digit, where)
            named = BASIC[digit - 1] if 1 <= digit <= len(BASIC) else ""
        else:
            named = canonical(label)
        if named in BASIC:
            clips.append(Listed(clip_id, named, where))
        else:
            shown = repr(label[:30]) if digit is None else digit
            text = f"label {shown} of clip {clip_id} is not one of 1 to 7"
            problems.append(Problem(clip_id, f"{text}; take the set files that come with DFEW", where))
    once = one_of_each(clips)
    return Listing(once.clips, [*problems, *once.problems]), ids


def _in_another_order(clips: Sequence[Listed], split: str, fold: int) -> bool:
    """Say whether the published clips are there, give or take a few, but other classes are the large ones."""
    counts = Counter(clip.label for clip in clips)
    expected = published(split, fold)
    # Any two classes differ by more than a hundredth of all clips.
    if abs(len(clips) - sum(expected)) > 0.01 * sum(expected):
        return False
    return not np.array_equal(np.argsort([counts[label] for label in BASIC]), np.argsort(expected))
