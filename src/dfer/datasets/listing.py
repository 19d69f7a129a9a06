"""What an annotation says: the clips of a split, and the lines that are wrong."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from dfer.errors import InputError
from dfer.labels import EXTENDED


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
            problems.append(Problem(clip.clip_id, f"clip {clip.clip_id} stands at {earlier.where} too", clip.where))
    return Listing(list(first.values()), problems)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Read a text file's lines with their numbers; byte order mark, CRLF and blank lines are taken off.

    Raises:
        InputError: missing, or not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; is this the data set's root?") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


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
