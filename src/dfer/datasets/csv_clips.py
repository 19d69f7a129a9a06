"""Your own clips: a CSV file that lists them."""

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

from dfer.datasets.annotation import is_absolute, is_numeric, read_table, whole_number
from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.index import ClipIndex, index_listed, natural_key
from dfer.datasets.listing import (
    Listed,
    Listing,
    Problem,
    check_split,
    choose,
    one_of_each,
    order_labels,
    read_excluded,
    warn_of_misspelt,
    warn_once,
)
from dfer.datasets.survey import Part, Survey
from dfer.errors import InputError
from dfer.labels import canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

_REQUIRED = ("clip", "label", "split")
_OPTIONAL = ("subject", "frames")


class CSVClips(ClipDataset):
    """Load the clips that a CSV file lists: ``clip,label,split[,subject][,frames]``.

    ``clip`` is a frame folder or a video file, relative to the CSV file's folder, and the clip's id; ``label`` is a
    name (``Anger`` and ``angry`` are one expression); ``split`` is ``train`` or ``test``. With ``subject`` the data
    set knows its groups, so that a held-out part keeps subjects together. ``frames`` is only compared: frames are
    counted on disk, and how many clips differ is logged once.

    Args:
        split: ``train`` or ``test``.
        transform: ``EvalTransform()`` unless given.
        exclude: a text file of clip ids to leave out, as ``dfer data check`` writes it.
        packed: read the packed copy that ``dfer data cache`` made, where there is one; or where that lies.

    Raises:
        InputError: the file is missing, has no header, or a line of it is wrong.
        ItemError: clips of the split are not on disk.
    """

    def __init__(
        self,
        file: Path | str,
        split: str,
        *,
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        file = Path(file)
        what = f"CSVClips {file}"
        sets = read_sets(file)
        listing, other = sets[check_split(split)], sets["test" if split == "train" else "train"]
        clips = choose(listing, other, exclude, file, what)
        excluded = read_excluded(exclude)
        left = {name: listing.without(excluded) for name, listing in sets.items()}
        _warn_of_shared_subjects(file, left)
        labels = labels_of(left.values())
        warn_of_misspelt(labels, file)
        index = open_index(file, sets)
        files = ClipFiles(index, clips, entries(index, clips), what, packed)
        super().__init__(
            source=files,
            labels=labels,
            targets=files.targets(labels),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe("CSVClips", {"file": file, "exclude": exclude, "packed": packed}, seed=seed),
            seed=seed,
            groups=files.subjects(),
        )

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List both splits of a CSV file, whatever is wrong with them."""
        sets = read_sets(root)
        index = open_index(root, sets)
        parts = [Part(split, listing, entries(index, listing.clips)) for split, listing in sets.items()]
        return Survey("", labels_of(sets.values()), index, parts)


def open_index(file: Path, sets: Mapping[str, Listing]) -> ClipIndex:
    """Open or make the index of all clips of a CSV file, of both splits."""
    clips = dict.fromkeys(clip.clip_id for listing in sets.values() for clip in listing.clips)
    return index_listed(file.parent, file.stem, list(clips))


def labels_of(listings: Iterable[Listing]) -> tuple[str, ...]:
    """Name the classes: known expressions in their usual order, then all others."""
    return order_labels(clip.label for listing in listings for clip in listing.clips)


def entries(index: ClipIndex, clips: list[Listed]) -> list[int]:
    """Find each clip's entry in the index."""
    known = {path: entry for entry, path in enumerate(index.clips)}
    return [known[clip.clip_id] for clip in clips]


def read_sets(file: Path) -> dict[str, Listing]:
    """Read both splits; wrong lines become problems of both where they name no split.

    Raises:
        InputError: the file is missing, or its header is wrong.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; give the CSV file, or read the folder as FolderClips")
    rows = read_table(file, _REQUIRED, _OPTIONAL)
    clips: dict[str, list[Listed]] = {"train": [], "test": []}
    problems: dict[str, list[Problem]] = {"train": [], "test": []}
    for where, fields, problem in rows:
        split = fields.get("split", "").lower()
        clip = fields.get("clip", "").replace("\\", "/")
        clip_id = posixpath.normpath(clip) if clip else ""
        reason = f"{problem}; quote names with commas" if problem else _wrong(fields, split)
        if reason:
            for name in (split,) if split in problems else problems:
                problems[name].append(Problem("" if problem else clip_id, reason, where))
            continue
        frames = whole_number(fields.get("frames", ""))
        clips[split].append(Listed(clip_id, canonical(fields["label"]), where, fields.get("subject", ""), frames))
    found_sets = {}
    for name in clips:
        once = one_of_each(clips[name])
        found_sets[name] = Listing(once.clips, [*problems[name], *once.problems])
    return found_sets


def _wrong(fields: Mapping[str, str], split: str) -> str:
    """Say what is wrong with a line; empty where nothing is."""
    if not fields["clip"] or not fields["label"]:
        return "no clip or no label; fill them in, or delete the line"
    if is_absolute(fields["clip"]):
        return f"clip {fields['clip']!r} is absolute; write it relative to the CSV file"
    if is_numeric(fields["label"]):
        return f"label {fields['label']} is a number; write the class's name"
    if split not in ("train", "test"):
        return f"split {fields['split']!r} is neither train nor test; write one of them, or delete the line"
    if "subject" in fields and not fields["subject"]:
        return f"clip {fields['clip']} has no subject while the header names one; fill it in or drop the column"
    if fields.get("frames") and whole_number(fields["frames"]) is None:
        return f"frames {fields['frames'][:30]!r} is no number; write how many there are, or nothing"
    return ""


def _warn_of_shared_subjects(file: Path, sets: Mapping[str, Listing]) -> None:
    """Say once which subjects are in both splits."""
    train, test = ({clip.subject for clip in sets[split].clips if clip.subject} for split in ("train", "test"))
    if both := sorted(train & test, key=natural_key):
        names = ", ".join(both[:3]) + (", ..." if len(both) > 3 else "")
        warn_once(f"{file}: {len(both)} of {len(train | test)} subjects are in train and in test ({names}), so that "
                  "test clips show people known from training; put each subject into one split")  # fmt: skip
