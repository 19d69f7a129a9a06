"""FERV39k: 38,935 clips from 22 scenes, seven expressions, one official split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dfer.datasets.annotation import clip_and_label, is_numeric
from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.index import VIDEOS, ClipIndex, index_tree
from dfer.datasets.listing import (
    Listed,
    Listing,
    Problem,
    check_split,
    choose,
    contents,
    existing_root,
    one_of_each,
    read_lines,
)
from dfer.datasets.survey import Part, Survey, listed
from dfer.errors import InputError
from dfer.labels import BASIC, canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

MEDIA = {"frames": "2_ClipsforFaceCrop", "video": "0_7_LabelClips"}
PUBLISHED = {
    "train": (5854, 5523, 7790, 5906, 2502, 1833, 1680),
    "test": (1473, 1393, 1958, 1487, 638, 467, 431),
}
"""Published clips per split and class, in the order of ``dfer.labels.BASIC``."""


class FERV39k(ClipDataset):
    """Load one split of FERV39k (Wang et al. 2022).

    The annotation has no header: its first line is a clip like any other. Labels are names, and those of the folders
    that the clips lie in; files with numbers instead are refused, since two orders of them circulate. The folders of
    the annotation and of the clips are found in the root itself or in a folder ``FERV39k`` in it, also where the
    folder of clips is doubled. Frames are counted on disk. Clip ids are as annotated, ``Action/Sad/0010``.

    Args:
        root: holds ``4_setups`` and ``2_ClipsforFaceCrop``.
        split: ``train`` or ``test``; there is no official validation split.
        media: ``frames`` (``2_ClipsforFaceCrop``) or ``video`` (``0_7_LabelClips``).
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
        *,
        media: Literal["frames", "video"] = "frames",
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        root = existing_root(root)
        what = f"FERV39k {root}"
        listing = read_set(root, split)
        other = listed(lambda: read_set(root, "test" if split == "train" else "train"))
        clips = choose(listing, other, exclude, set_path(root, split), what)
        index = open_index(root, media)
        files = ClipFiles(index, clips, entries(index, clips), what, packed)
        super().__init__(
            source=files,
            labels=BASIC,
            targets=files.targets(BASIC),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "FERV39k", {"root": root, "exclude": exclude, "packed": packed}, media=media, seed=seed
            ),
            seed=seed,
        )

    @classmethod
    def media_in(cls, root: Path) -> tuple[str, ...]:
        """Name the kinds of media that a copy holds, ``frames`` where it holds none."""
        return tuple(kind for kind in MEDIA if has_media(existing_root(root), kind)) or ("frames",)

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List both splits, whatever is wrong with them."""
        root = existing_root(root)
        media = media or cls.media_in(root)[0]
        index = open_index(root, media)
        parts = []
        for split, published in PUBLISHED.items():
            listing = listed(lambda split=split: read_set(root, split))  # type: ignore[misc]
            parts.append(Part(split, listing, entries(index, listing.clips), published))
        return Survey(media, BASIC, index, parts)


def set_path(root: Path, split: str) -> Path:
    """Find the annotation file of a split.

    Raises:
        InputError: no such split, or no such file in any known variant of the layout.
    """
    name = Path("4_setups", "All_scenes", f"{check_split(split)}_All.csv")
    return root / _find(root, [name.as_posix()])


def open_index(root: Path, media: str) -> ClipIndex:
    """Open or make the index of one kind of media.

    Raises:
        InputError: there is no such kind, or not in this root.
    """
    if media not in MEDIA:
        raise InputError(f"FERV39k has no media {media!r}; choose one of {', '.join(MEDIA)}")
    name = MEDIA[media]
    return index_tree(root, _find(root, [f"{name}/{name}", name]), depth=3)


def has_media(root: Path, media: str) -> bool:
    """Say whether a kind of media is there."""
    try:
        return bool(_find(root, [MEDIA[media]]))
    except InputError:
        return False


def _find(root: Path, names: list[str]) -> str:
    """Find the first of these in the root or in a folder called after the data set; relative to the root."""
    inner = [path.name for path in sorted(root.iterdir()) if path.name.lower() == "ferv39k"]
    for place in ["", *(f"{folder}/" for folder in inner)]:
        for name in names:
            if (root / place / name).exists():
                return place + name
    raise InputError(f"{root} holds no {names[-1]}, nor does a folder FERV39k in it; it holds {contents(root)}: give "
                     "the folder that holds 4_setups and 2_ClipsforFaceCrop")  # fmt: skip


def entries(index: ClipIndex, clips: Sequence[Listed]) -> list[int]:
    """Find each clip's entry in the index by scene, class and number, -1 where it has none."""
    known: dict[str, int] = {}
    for entry, path in enumerate(index.clips):
        known.setdefault(_key(path), entry)
    return [known.get(clip.clip_id, -1) for clip in clips]


def _key(path: str) -> str:
    scene, expression, clip = path.split("/")[-3:]
    return f"{scene}/{expression}/{clip.partition('.')[0]}"


def read_set(root: Path, split: str) -> Listing:
    """Read the annotation of a split; wrong lines become problems.

    Raises:
        InputError: no such split, the file is missing, or it begins with a header.
    """
    path = set_path(root, split)
    clips, problems = [], []
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        clip, label = clip_and_label(line)
        clip_id = _clip_id(clip)
        if number == 1 and not clip_id and "/" not in line.replace("\\", "/"):
            raise InputError(f"{where}: a header ({line[:60]!r}) where none belongs; delete that line")
        if not clip_id:
            text = f"{line[:60]!r} is no clip and label such as 'Action/Sad/0010 Sad'; restore the line"
            problems.append(Problem("", text, where))
        elif is_numeric(label):
            text = f"label {label} is a number, and two orders of them circulate; take the file with names"
            problems.append(Problem(clip_id, text, where))
        elif canonical(label) not in BASIC:
            text = f"label {label[:30]!r} is none of Happy Sad Neutral Angry Surprise Disgust Fear; correct it"
            problems.append(Problem(clip_id, text, where))
        elif canonical(label) != canonical(clip_id.split("/")[1]):
            text = f"label {label} of clip {clip_id}, which lies among another class; correct it, or exclude the clip"
            problems.append(Problem(clip_id, text, where))
        else:
            clips.append(Listed(clip_id, canonical(label), where))
    once = one_of_each(clips)
    return Listing(once.clips, [*problems, *once.problems])


def _clip_id(path: str) -> str:
    """Give scene, class and number of a clip from its path, absolute or not; empty where they are not its end."""
    *_, scene, expression, clip = ["", "", "", *filter(None, path.split("/"))]
    stem, dot, suffix = clip.partition(".")
    named = scene and canonical(expression) in BASIC and len(stem.split()) == 1
    return f"{scene}/{expression}/{stem}" if named and (not dot or f".{suffix.lower()}" in VIDEOS) else ""
