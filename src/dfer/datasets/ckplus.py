"""CK+: 327 labelled sequences from a neutral face to the peak of an expression, folds by subject."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.index import ClipIndex, index_tree, is_stray
from dfer.datasets.listing import (
    Listed,
    Listing,
    Problem,
    check_fold,
    check_split,
    contents,
    existing_root,
    one_of_each,
    read_excluded,
    read_lines,
)
from dfer.datasets.survey import Survey, parts_of_folds
from dfer.errors import InputError
from dfer.labels import EXTENDED, canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

FOLDS: Final = tuple(range(1, 11))
CODES: Final = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""In the order of the codes 0 to 7; no sequence is labelled 0."""
LABELS: Final = tuple(name for name in EXTENDED if name in map(canonical, CODES[1:]))
PUBLISHED: Final = (69, 28, 45, 83, 59, 25, 18)
"""Published sequences per class in all, in the order of ``LABELS``."""

_IMAGES, _LABELS = "cohn-kanade-images", "Emotion"
_RESTORE = "restore the file, or exclude the sequence"
_log = logging.getLogger("dfer")


@dataclass(frozen=True)
class Sequences:
    """All labelled sequences of a root, and its labelled subjects in order, whose places make the folds."""

    listing: Listing
    subjects: tuple[str, ...]


class CKPlus(ClipDataset):
    """Load one split of one fold of CK+, the extended Cohn-Kanade data (Lucey et al. 2010).

    A sequence runs from a neutral face to the peak of its expression. Those without a label, which are nearly half,
    are left out. The folds are the usual ones: of the labelled subjects, sorted by name, fold k tests on every tenth
    from the k-th on and trains on the others, so every sequence is tested in exactly one fold. They are of the
    subjects that this copy has labels of: a part of the data has other folds. ``groups()`` is the subject. Clip ids
    are ``S010_006``.

    These are whole pictures, not faces cut out; ``dfer data faces`` cuts them out of videos.

    Args:
        root: holds ``cohn-kanade-images`` and ``Emotion``, or folders that hold those.
        split: ``train`` or ``test``.
        transform: ``EvalTransform()`` unless given.
        exclude: a text file of clip ids to leave out, as ``dfer data check`` writes it; the folds stay as they are.
        packed: read the packed copy that ``dfer data cache`` made, where there is one; or where that lies.

    Raises:
        InputError: a folder is missing, a label is wrong, or the split has no sequence.
        ItemError: labelled sequences are not on disk.
    """

    def __init__(
        self,
        root: Path | str,
        split: str,
        fold: int = 1,
        *,
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        root = existing_root(root)
        what = f"CKPlus {root}"
        every = read_sequences(root)
        listing = read_set(every, split, fold).without(read_excluded(exclude))
        if not listing.clips and not listing.problems:
            there = f"{len(every.subjects)} subjects with a label"
            raise InputError(
                f"{root} holds no sequence of fold {fold} {split}, of its {there}; add more, or exclude fewer"
            )
        clips = listing.checked(root, what)
        index = open_index(root)
        files = ClipFiles(index, clips, entries(index, clips), what, packed)
        self.unlabelled = count_unlabelled(index, every)
        _log.info("%d of %d sequences have no label and are left out", self.unlabelled, len(index.clips))
        super().__init__(
            source=files,
            labels=LABELS,
            targets=files.targets(LABELS),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "CKPlus", {"root": root, "exclude": exclude, "packed": packed}, fold=int(fold), seed=seed
            ),
            seed=seed,
            groups=files.subjects(),
        )

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List all folds, whatever is wrong with them."""
        root = existing_root(root)
        every, index = read_sequences(root), open_index(root)
        parts = parts_of_folds(FOLDS, partial(read_set, every), partial(entries, index))
        return Survey("", LABELS, index, parts, PUBLISHED)


def open_index(root: Path) -> ClipIndex:
    """Open or make the index of all sequences, labelled or not.

    Raises:
        InputError: there is no folder of them.
    """
    return index_tree(root, _find(root, _IMAGES), depth=2)


def entries(index: ClipIndex, clips: list[Listed]) -> list[int]:
    """Find each sequence's entry in the index, -1 where it has none."""
    known = {"_".join(path.split("/")[-2:]).upper(): entry for entry, path in enumerate(index.clips)}
    return [known.get(clip.clip_id, -1) for clip in clips]


def count_unlabelled(index: ClipIndex, every: Sequences) -> int:
    """Count the sequences on disk that have no label."""
    on_disk = [entry for entry in entries(index, every.listing.clips) if entry >= 0]
    return len(index.clips) - len(on_disk)


def read_sequences(root: Path) -> Sequences:
    """Read the labels of all sequences; wrong ones become problems.

    Raises:
        InputError: there is no folder of labels.
    """
    folder = root / _find(root, _LABELS)
    clips, problems, subjects = [], [], set()
    for sequence in sorted(folder.glob("*/*/")):
        if is_stray(sequence.name) or is_stray(sequence.parent.name):
            continue
        subject = sequence.parent.name.upper()
        clip_id = f"{subject}_{sequence.name}"
        files = [path for path in sorted(sequence.glob("*.txt")) if not path.name.startswith(".")]
        if not files:
            continue
        subjects.add(subject)
        found = _read_label(clip_id, files)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            clips.append(Listed(clip_id, found, str(files[0]), subject))
    once = one_of_each(clips)  # on some disks S010 and s010 are two folders
    return Sequences(Listing(once.clips, [*problems, *once.problems]), tuple(sorted(subjects)))


def read_set(every: Sequences, split: str, fold: int) -> Listing:
    """Choose the sequences of a split and fold.

    Raises:
        InputError: no such split or fold.
    """
    fold = check_fold("CK+", fold, len(FOLDS))
    is_test = check_split(split) == "test"
    tested = every.subjects[fold - 1 :: len(FOLDS)]
    return Listing(
        [clip for clip in every.listing.clips if (clip.subject in tested) == is_test], every.listing.problems
    )


def _read_label(clip_id: str, files: list[Path]) -> str | Problem:
    """Read the one label of a sequence: a file with a number such as ``7.0000000e+00``."""
    where = str(files[0])
    if len(files) > 1:
        return Problem(clip_id, f"{len(files)} label files for sequence {clip_id}; keep the right one", where)
    if not files[0].name.upper().startswith(f"{clip_id}_"):
        return Problem(clip_id, f"the label of another sequence than {clip_id}; {_RESTORE}", where)
    try:
        text = " ".join(line for _, line in read_lines(files[0]))
    except InputError as error:
        return Problem(clip_id, str(error))
    try:
        number = float(text)
    except ValueError:
        return Problem(clip_id, f"{text[:30]!r} is no label from 1 to 7; {_RESTORE}", where)
    if number not in range(1, len(CODES)):
        return Problem(clip_id, f"label {text[:30]} of sequence {clip_id} is not one of 1 to 7; {_RESTORE}", where)
    return canonical(CODES[int(number)])


def _find(root: Path, name: str) -> str:
    """Find a folder in the root, or in a folder of it; relative to the root."""
    there = sorted(path for path in root.iterdir() if path.is_dir() and not is_stray(path.name))
    own = [path for path in there if path.name.lower() == name.lower()]
    for place in [*own, root, *there]:  # also one within another of its name
        for path in sorted(place.iterdir()):
            if path.name.lower() == name.lower() and path.is_dir():
                return path.relative_to(root).as_posix()
    raise InputError(f"{root} holds no {name}, nor does a folder in it; it holds {contents(root)}: give the folder "
                     f"that holds {_IMAGES} and {_LABELS}")  # fmt: skip
