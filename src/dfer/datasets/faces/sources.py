"""Raw videos below a folder: which there are, and what their places or names say of them."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from dfer.datasets import crema_d, ravdess
from dfer.datasets.index import VIDEOS, natural_key
from dfer.datasets.named_clips import walk
from dfer.datasets.synthetic.mark import MARK
from dfer.errors import InputError
from dfer.labels import canonical
from dfer.video.container import shown

RESERVED: Final = ("clips.csv", "dropped.csv", "faces.jpg", "faces.json", MARK)


class Known(NamedTuple):
    """What is known of a video before it is opened; ``split`` and ``subject`` are empty where nothing says them."""

    label: str = ""
    split: str = ""
    subject: str = ""


class Unfit(NamedTuple):
    """Why a video is not used; ``by_rule`` where that is as it should be."""

    reason: str
    by_rule: bool = False


class Source(NamedTuple):
    """One video to cut; both paths have ``/``, ``video`` is relative to the root, ``clip`` to what is made."""

    video: str
    clip: str
    known: Known


class Sources(NamedTuple):
    """The videos of a root, as a layout reads them."""

    layout: str
    wanted: list[Source]
    unfit: dict[str, Unfit]


Reading = dict[str, Known | Unfit]


def find_videos(root: Path) -> list[str]:
    """Find all videos below a root, through links too, in natural order.

    Raises:
        InputError: there is none, or a folder cannot be looked into.
    """

    found = []
    for below, _, files in walk(root):
        found += [(below / name).as_posix() for name in files if name.lower().endswith(VIDEOS)]
    if not found:
        raise InputError(
            f"{root} holds no video ({', '.join(kind[1:] for kind in VIDEOS)}); give the folder above them"
        )
    return sorted(found, key=lambda video: (natural_key(video), video))


def read_sources(root: Path, layout: str = "auto", all_faces: bool = False) -> Sources:
    """Find the videos below a root and read their labels, splits and subjects off their places or names.

    Args:
        layout: of `LAYOUTS`; ``auto`` takes the first one that more than half of the videos fit.
        all_faces: clips are to be named so that ``-2`` can be added.

    Raises:
        InputError: no video, no such layout, or none that fits it.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise InputError(f"there is no layout {layout!r}; there are auto, {', '.join(LAYOUTS)}")
    videos = find_videos(root)
    if layout == "auto":
        layout = next(name for name, read in LAYOUTS.items() if _fits(read(videos)))
    reading = LAYOUTS[layout](videos)
    wanted = [video for video in videos if isinstance(reading[video], Known)]
    names = clip_names(wanted, all_faces)
    unfit = {video: one for video, one in reading.items() if isinstance(one, Unfit)}
    if not wanted:
        first = videos[0]
        raise InputError(
            f"{root}: no video of the layout {layout}; {shown(first)}, for one: {unfit[first].reason}; "
            f"choose another layout ({', '.join(LAYOUTS)})"
        )
    known = [one for video in wanted if isinstance(one := reading[video], Known)]
    return Sources(layout, [Source(video, names[video], one) for video, one in zip(wanted, known)], unfit)


def clip_names(videos: Sequence[str], all_faces: bool = False) -> dict[str, str]:
    """Name each video's clip: its path without the suffix, plain enough for every list of clips.

    The suffix stays, after a dash, where two would have one name, or one would be another's folder.

    Example:
        >>> clip_names(["happy/a.mp4", "happy/b.mp4", "happy/b.avi"])
        {'happy/a.mp4': 'happy/a', 'happy/b.mp4': 'happy/b-mp4', 'happy/b.avi': 'happy/b-avi'}
    """
    plain = {video: "/".join(map(_plain, PurePosixPath(video).with_suffix("").parts)) for video in videos}
    counts = Counter(plain.values())
    folders = {str(parent) for name in counts for parent in PurePosixPath(name).parents}
    names: dict[str, str] = {}
    used = set(RESERVED) | folders | {name for name, count in counts.items() if count == 1}
    for video, name in plain.items():
        is_second = all_faces and re.sub(r"-\d+$", "", name) in counts and re.search(r"-\d+$", name)
        if counts[name] > 1 or name in folders or name in RESERVED or is_second:
            name += "-" + PurePosixPath(video).suffix[1:].lower()
            while name in used:
                name += "_"
        used.add(name)
        names[video] = name
    return names


def _ravdess(videos: Sequence[str]) -> Reading:
    """Read ``Actor_01/02-01-06-01-02-01-12.mp4``: modality, channel, emotion, ..., actor; 01 is 02 with sound."""
    reading: Reading = {}
    kept: dict[str, str] = {}
    stems = {video: PurePosixPath(video).stem for video in videos}
    for video in sorted(videos, key=lambda video: not stems[video].startswith("02")):
        found = ravdess.parse(stems[video])
        if isinstance(found, str):
            reading[video] = Unfit("not named as in RAVDESS")
        elif found.modality == "03":
            reading[video] = Unfit("sound only, says its name", by_rule=True)
        elif (first := kept.setdefault(stems[video][3:], video)) != video:
            reading[video] = Unfit(f"the picture of {shown(first)}", by_rule=True)
        else:
            reading[video] = Known(found.label, subject=found.actor)
    return reading


def _crema_d(videos: Sequence[str]) -> Reading:
    """Read ``VideoFlash/1001_DFA_ANG_XX.flv``: actor, sentence, emotion, level."""
    reading: Reading = {}
    kept: dict[str, str] = {}
    for video in videos:
        stem = PurePosixPath(video).stem
        found = crema_d.parse(stem)
        if isinstance(found, str):
            reading[video] = Unfit("not named as in CREMA-D")
        elif stem in crema_d.KNOWN_BAD:
            reading[video] = Unfit("known to be bad", by_rule=True)
        elif (first := kept.setdefault(stem, video)) != video:
            reading[video] = Unfit(f"the picture of {shown(first)}", by_rule=True)
        else:
            reading[video] = Known(found.label, subject=found.actor)
    return reading


def _folder(videos: Sequence[str]) -> Reading:
    """Read ``CLASS/video``, or ``train/CLASS/video`` and ``test/CLASS/video``."""
    parts = {video: PurePosixPath(video).parts for video in videos}
    splits = {of[0] for of in parts.values() if len(of) == 3 and of[0] in ("train", "test")}
    if len(splits) == 1:
        there = splits.pop()
        raise InputError(
            f"videos lie below {there} but not below the other of train and test; add it, or put the class folders "
            "into the root, or take all videos without labels (--layout videos)"
        )
    reading: Reading = {}
    folders: dict[tuple[str, str], str] = {}
    for video, of in parts.items():
        if len(of) != (3 if splits else 2) or (splits and of[0] not in splits):
            where = "below train or test" if splits else "of the root"
            reading[video] = Unfit(f"not in a class folder {where}")
            continue
        known = Known(canonical(_plain(of[-2])), of[0] if splits else "")
        reading[video] = known
        other = folders.setdefault((known.split, known.label), of[-2])
        if other != of[-2]:
            raise InputError(f"the folders {shown(other)} and {shown(of[-2])} are one expression; merge them")
        if known.label.isdecimal():
            raise InputError(
                f"the class folder {of[-2]} is a number; name it after its expression, or take all videos without "
                "labels (--layout videos)"
            )
    return reading


def _videos(videos: Sequence[str]) -> Reading:
    """Take all videos, without labels."""
    return dict.fromkeys(videos, Known())


LAYOUTS: Final[dict[str, Callable[[Sequence[str]], Reading]]] = {
    "ravdess": _ravdess,
    "crema-d": _crema_d,
    "folder": _folder,
    "videos": _videos,
}


def _fits(reading: Reading) -> bool:
    """Tell whether most videos are of a layout; a single class folder is none, it is where the videos lie."""
    fitting = sum(isinstance(one, Known) or one.by_rule for one in reading.values())
    in_folders = [one.label for one in reading.values() if isinstance(one, Known) and one.label and not one.subject]
    return 2 * fitting > len(reading) and len(set(in_folders)) != 1


def _plain(name: str) -> str:
    """Replace what a list of clips, one a line, could not hold."""
    name = "".join(letter if letter.isprintable() and letter != "\\" else "_" for letter in name).strip()
    return "_" + name[1:] if not name or name[0] in ".@" else name
