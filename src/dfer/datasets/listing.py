"""What an annotation says: the clips of a split, and the lines that are wrong."""

import codecs
import logging
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfer.errors import InputError
from dfer.labels import EXTENDED

_log = logging.getLogger("dfer")
_LINE_END = re.compile(r"\r*\n|\r")


class Listed(NamedTuple):
    """One clip as it is annotated; ``where`` names the file and line."""

    clip_id: str
    label: str
    where: str
    subject: str = ""
    frames: int | None = None


class Problem(NamedTuple):
    """One thing that is wrong; ``clip_id`` is empty where it is not about one clip."""

    clip_id: str
    reason: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


class Listing(NamedTuple):
    """The clips of one split, and every line that could not be used."""

    clips: list[Listed]
    problems: list[Problem]

    def without(self, excluded: Collection[str]) -> "Listing":
        """Leave clips out, and with them whatever is wrong with their lines."""
        return Listing(
            [clip for clip in self.clips if clip.clip_id not in excluded],
            [problem for problem in self.problems if not problem.clip_id or problem.clip_id not in excluded],
        )

    def apart(self, other: "Listing") -> "Listing":
        """Turn clips that another split lists too into problems."""
        there = {clip.clip_id: clip.where for clip in other.clips}
        problems = [
            Problem(clip.clip_id, f"clip {clip.clip_id} stands in the other split too ({there[clip.clip_id]}); delete "
                                  "one of the two lines, or exclude the clip", clip.where)
            for clip in self.clips
            if clip.clip_id in there
        ]  # fmt: skip
        return Listing([clip for clip in self.clips if clip.clip_id not in there], [*self.problems, *problems])

    def checked(self, source: Path, what: str) -> list[Listed]:
        """Give the clips of a listing that has no problem.

        Args:
            what: the data set's name and place, as `dfer data check` takes them.

        Raises:
            InputError: the first problem, and how many more there are; or the listing is empty.
        """
        if self.problems:
            more = len(self.problems) - 1
            rest = f" ({more} more; `dfer data check {what}` lists them)" if more else ""
            raise InputError(f"{self.problems[0]}{rest}")
        if not self.clips:
            raise InputError(f"{source} lists no clip; restore the file that came with the data set")
        return self.clips


def one_of_each(clips: Iterable[Listed]) -> Listing:
    """Keep the first mention of each clip; every other one is a problem."""
    first: dict[str, Listed] = {}
    problems = []
    for clip in clips:
        earlier = first.setdefault(clip.clip_id, clip)
        if earlier is not clip:
            text = f"clip {clip.clip_id} stands at {earlier.where} too; delete one of the two lines"
            problems.append(Problem(clip.clip_id, text, clip.where))
    return Listing(list(first.values()), problems)


def choose(listing: Listing, other: Listing, exclude: Path | str | None, source: Path, what: str) -> list[Listed]:
    """Give the clips of a split that are to be used.

    Args:
        other: the other split; what it lists too is refused.
        exclude: a text file of clip ids to leave out of both; ids that neither split knows are logged.
        source: where the split is annotated.
        what: the data set's name and place, as `dfer data check` takes them.

    Raises:
        InputError: something is wrong with the clips that are left, or none is.
    """
    excluded = read_excluded(exclude)
    known = {clip.clip_id for part in (listing, other) for clip in part.clips}
    known |= {problem.clip_id for part in (listing, other) for problem in part.problems if problem.clip_id}
    if other.clips:  # else nobody knows what the other split holds
        warn_of_unknown(excluded, known, what)
    return listing.apart(other).without(excluded).checked(source, what)


def warn_of_unknown(excluded: frozenset[str], known: Collection[str], what: str) -> None:
    """Log, once, how many clips are to be left out that the data set does not know."""
    unknown = sorted(excluded.difference(known))
    if unknown and known:
        warn_once(f"of {len(excluded)} clips to exclude {len(unknown)} are unknown to {what}, such as {unknown[0]!r}; "
                  f"clip ids look like {min(known)!r}")  # fmt: skip


def warn_of_misspelt(labels: Iterable[str], where: Path) -> None:
    """Log, once, which classes are spelt nearly as a known expression is: each is one of its own."""
    for label in labels:
        near = get_close_matches(label, EXTENDED, n=1, cutoff=0.8)
        if near and label not in EXTENDED:
            warn_once(f"{where}: {label!r} is a class of its own; correct it where {near[0]!r} is meant")


@lru_cache(maxsize=256)
def warn_once(message: str) -> None:
    """Log a warning, once for each message: a data set is opened several times in a run."""
    _log.warning("%s", message)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Read a text file's lines with their numbers, whatever ends them; marks of byte order and blank lines are gone.

    Raises:
        InputError: missing, neither UTF-8 nor marked as UTF-16, or with NUL bytes.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    if raw.startswith(b"PK\x03\x04"):
        raise InputError(f"{path} is a workbook or zip file, no text; save it as CSV")
    encoding = "UTF-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = raw.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = len(_LINE_END.split(raw[: error.start].decode("latin-1")))
        raise InputError(f"{path}:{line}: this is no {encoding} text (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        line = len(_LINE_END.split(text[: text.index("\0")]))
        raise InputError(f"{path}:{line}: a NUL byte, so the file is damaged or no UTF-8 text; restore it, or save it "
                         "as UTF-8")  # fmt: skip
    return [(number, line.strip()) for number, line in enumerate(_LINE_END.split(text), 1) if line.strip()]


def existing_root(root: Path | str) -> Path:
    """Check that the root of a data set is a folder.

    Raises:
        InputError: it is not.
    """
    root = Path(root)
    if not root.is_dir():
        what = "is no folder" if root.exists() else "does not exist"
        raise InputError(f"{root} {what}; give the folder that holds the data set")
    return root


def contents(folder: Path, most: int = 6) -> str:
    """Say in a few words what a folder holds, for messages about a wrong layout."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "") if names else "nothing"


def check_split(split: str) -> str:
    """Accept ``train`` and ``test``.

    Raises:
        InputError: any other split.
    """
    if split not in ("train", "test"):
        raise InputError(f"there is no split {split!r}; choose train or test")
    return split


def check_fold(name: str, fold: object, folds: int) -> int:
    """Accept whole numbers from 1 to ``folds``.

    Raises:
        InputError: anything else, also text and truth values.
    """
    if not isinstance(fold, int | np.integer) or isinstance(fold, bool) or not 1 <= fold <= folds:
        raise InputError(f"{name} has no fold {fold!r}; choose 1 to {folds}")
    return int(fold)


def read_excluded(path: Path | str | None) -> frozenset[str]:
    """Read the clip ids to leave out: one a line, anything after a tab is a reason, ``# `` begins a comment.

    Raises:
        InputError: the file is missing or not text.
    """
    if path is None:
        return frozenset()
    return frozenset(line.partition("\t")[0].rstrip() for _, line in read_lines(Path(path)) if line[:2] != "# ")


def order_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Order class names: the expressions of ``dfer.labels`` as there, then all others by name.

    Example:
        >>> order_labels({"fear", "bored", "happy"})
        ('happy', 'fear', 'bored')
    """
    found = set(names)
    return (*(name for name in EXTENDED if name in found), *sorted(found - set(EXTENDED)))
