"""What a copy of a data set holds: its annotated sets, over the clips on disk."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from dfer.datasets.index import ClipIndex
from dfer.datasets.listing import Listed, Listing, Problem
from dfer.errors import InputError


@dataclass(frozen=True)
class Part:
    """One annotated set of a data set, such as the test set of a fold.

    Args:
        entries: for each listed clip its entry in the index, -1 where it has none.
        published: clips per class as published, None where nothing is.
        trial: sets of one trial, such as a fold, must share no clip.
    """

    name: str
    listing: Listing
    entries: Sequence[int] = ()
    published: tuple[int, ...] | None = None
    trial: str = ""


@dataclass(frozen=True)
class Survey:
    """All annotated sets of a copy of a data set, over the clips on disk of one kind of media.

    Args:
        media: of the data set's kinds, such as ``frames``; empty where there is one kind alone.
        labels: class names, in the order of every `Part.published`.
        published: clips per class over all test sets, for data sets of which nothing more is published.
    """

    media: str
    labels: tuple[str, ...]
    index: ClipIndex
    parts: list[Part]
    published: tuple[int, ...] | None = None

    def entries(self) -> list[int]:
        """Give the entries in the index that some set uses, ascending."""
        return sorted({entry for part in self.parts for entry in part.entries if entry >= 0})


def listed(read: Callable[[], Listing]) -> Listing:
    """Read an annotation; one that cannot be read is a problem and lists nothing."""
    try:
        return read()
    except InputError as error:
        return Listing([], [Problem("", str(error))])


def parts_of_folds(
    folds: Iterable[int],
    read: Callable[[str, int], Listing],
    find: Callable[[list[Listed]], Sequence[int]],
    published: Callable[[str, int], tuple[int, ...]] | None = None,
    of: str = "",
) -> list[Part]:
    """List the training and test set of every fold; the two of one fold are a trial.

    Args:
        read: gives the listing of a split and a fold.
        find: gives for each clip its entry in the index.
        published: gives the published clips per class of a split and a fold.
        of: stands before the name of each, such as ``"song "``.
    """
    parts = []
    for trial, fold in ((f"{of}fold {fold}", fold) for fold in folds):
        for split in ("train", "test"):
            listing = listed(partial(read, split, fold))
            counts = published(split, fold) if published else None
            parts.append(Part(f"{trial} {split}", listing, find(listing.clips), counts, trial))
    return parts
