"""Clips whose names say everything: found below any folder, one file for each."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from dfer.datasets.index import VIDEOS, ClipIndex, index_listed, is_stray, natural_key
from dfer.datasets.listing import Listed, Listing, Problem, contents
from dfer.errors import InputError
from dfer.video.container import shown

KINDS: Final = ("video", "frames")


class Said(NamedTuple):
    """What a name says of its clip."""

    label: str
    actor: str


@dataclass(frozen=True)
class NameRule:
    """How a data set names its clips; all functions take a name without suffix, in capitals.

    Args:
        data_set: its name, for messages.
        alike: a name of this form is meant to be a clip's.
        read: what the name says, or a sentence that says what is wrong with it, or None: no clip, and rightly so.
        clip: what is the same for all files of one clip.
        rank: of several files of one clip the lowest is taken.
        suffix: of the videos as they are published, which are taken before copies of them.
        holds: which folders the root should hold, for messages.
    """

    data_set: str
    alike: re.Pattern[str]
    read: Callable[[str], Said | str | None]
    clip: Callable[[str], str]
    rank: Callable[[str], str]
    suffix: str
    holds: str


@dataclass(frozen=True)
class NamedClips:
    """All clips of a root, in the order of their names.

    Args:
        paths: relative to the root, with ``/``, one for each clip of the listing.
    """

    root: Path
    media: str
    rule: NameRule
    listing: Listing
    paths: tuple[str, ...]

    def open_index(self) -> ClipIndex:
        """Open or make the index of all clips."""
        return index_listed(self.root, f"{self.rule.data_set}-{self.media}", self.paths)

    def entries(self, index: ClipIndex, clips: Sequence[Listed]) -> list[int]:
        """Find each clip's entry in the index."""
        path_of = {clip.clip_id: path for clip, path in zip(self.listing.clips, self.paths)}
        known = {path: entry for entry, path in enumerate(index.clips)}
        return [known[path_of[clip.clip_id]] for clip in clips]

    def checked(self, listing: Listing, wanted: str, what: str) -> list[Listed]:
        """Give the clips of a listing that has no problem and is not empty.

        Args:
            wanted: the set that was asked for, for messages.
            what: the data set's name and place, as `dfer data check` takes them.

        Raises:
            InputError: it has one, or is.
        """
        if not listing.clips and not listing.problems:
            actors = ", ".join(sorted({clip.subject for clip in self.listing.clips}))
            raise InputError(
                f"{self.root} holds no clip of {wanted}, of its actors {actors}; add the others, or exclude fewer"
            )
        return listing.checked(self.root, what)

    def chosen(self, wanted: Callable[[Listed], bool]) -> Listing:
        """Choose clips; what is wrong with a name concerns every choice."""
        return Listing([clip for clip in self.listing.clips if wanted(clip)], self.listing.problems)


def read_names(root: Path, media: str, rule: NameRule) -> NamedClips:
    """Find the clips below a root, wherever they lie, and read their names.

    Raises:
        InputError: no such kind of media, or not in this root.
    """
    if media not in KINDS:
        raise InputError(f"{rule.data_set} has no media {media!r}; choose one of {', '.join(KINDS)}")
    found = find_named(root, media, rule.alike)
    problems = []
    of: dict[str, list[tuple[str, Said]]] = {}
    for path in found:
        name = _name(path)
        said = rule.read(name)
        if isinstance(said, str):
            reason = f"{said}; give it the name that it was published under, or move it away"
            problems.append(Problem(name, reason, shown(root / path)))
        elif said is not None:
            of.setdefault(rule.clip(name), []).append((path, said))
    clips, paths = [], []
    for _, files in sorted(of.items()):
        ranks = [_rank(path, rule) for path, _ in files]
        (path, said), *others = [file for file, rank in zip(files, ranks) if rank == min(ranks)]
        for other, _ in others:
            reason = f"clip {_name(path)} lies at {shown(root / path)} too; remove one of them"
            problems.append(Problem(_name(path), reason, shown(root / other)))
        clips.append(Listed(_name(path), said.label, shown(root / path), said.actor))
        paths.append(path)
    if not clips and not problems:
        there = [kind for kind in media_in(root, rule) if kind != media]
        what = f"{root} holds no {media} named as in {rule.data_set}"
        if there:
            raise InputError(f"{what}; there is media={', '.join(map(repr, there))}")
        raise InputError(f"{what}; it holds {contents(root)}: give the folder that holds {rule.holds}")
    return NamedClips(root, media, rule, Listing(clips, problems), tuple(paths))


def media_in(root: Path, rule: NameRule) -> tuple[str, ...]:
    """Name the kinds of media that a root holds."""
    return tuple(kind for kind in KINDS if find_named(root, kind, rule.alike))


def find_named(root: Path, media: str, alike: re.Pattern[str]) -> list[str]:
    """Find the videos, or the folders of frames, whose name has a form; relative to the root, in natural order."""
    found = []
    for below, folders, files in walk(root):
        clips = [name for name in folders if alike.fullmatch(name.upper())]
        videos = [name for name in files if name.lower().endswith(VIDEOS) and alike.fullmatch(_name(name))]
        found += [(below / name).as_posix() for name in (clips if media == "frames" else videos)]
        folders[:] = [name for name in folders if name not in clips]  # in them lie frames alone
    return sorted(found, key=lambda path: (natural_key(path), path))


def walk(root: Path) -> Iterator[tuple[PurePosixPath, list[str], list[str]]]:
    """Walk a tree as `os.walk` does, through links but nowhere twice, past what systems leave lying about.

    Raises:
        InputError: a folder cannot be looked into.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot look into {shown(error.filename)}: {error.strerror}; make it readable") from error

    seen = set()
    for place, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_stray(name)]
        below = PurePosixPath(Path(place).relative_to(root).as_posix())
        yield below, folders, [name for name in files if not is_stray(name)]


def _name(path: str) -> str:
    return PurePosixPath(path).stem.upper()


def _rank(path: str, rule: NameRule) -> tuple[str, int]:
    suffix = PurePosixPath(path).suffix.lower()
    usual = (rule.suffix, *VIDEOS)
    return rule.rank(_name(path)), usual.index(suffix) if suffix in usual else 0
