"""RAVDESS: 24 actors who speak and sing two sentences, eight emotions, folds by actor."""

import re
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.listing import Listed, Listing, check_fold, check_split, existing_root, read_excluded
from dfer.datasets.named_clips import NamedClips, NameRule, Said, media_in, read_names
from dfer.datasets.survey import Part, Survey, parts_of_folds
from dfer.errors import InputError
from dfer.labels import BASIC, canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

ACTORS: Final = 24
MEDIA = {"video": "Actor_01/02-01-06-01-02-01-01.mp4", "frames": "Actor_01/02-01-06-01-02-01-01"}
FOLDS: Final = (1, 2, 3, 4, 5, 6)
CHANNELS: Final = ("speech", "song")
EMOTIONS: Final = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""In the order of the codes 01 to 08."""
LABELS: Final = (*BASIC, "calm")
PUBLISHED_PER_ACTOR: Final = {"speech": (8, 8, 4, 8, 8, 8, 8, 8), "song": (8, 8, 4, 8, 0, 0, 8, 8)}
"""Published clips of each actor, in the order of ``LABELS``."""
WITHOUT_SONG: Final = ("18",)

_FIELDS: Final = (
    *(("modality", 3), ("channel", 2), ("emotion", 8), ("intensity", 2)),
    *(("statement", 2), ("repetition", 2), ("actor", 99)),
)


class Name(NamedTuple):
    """What the name of a file says; ``modality`` is 01 picture and sound, 02 picture, 03 sound."""

    modality: str
    channel: str
    label: str
    actor: str


class RAVDESS(ClipDataset):
    """Load one split of one fold of RAVDESS (Livingstone and Russo 2018).

    Clips are found by their names (``02-01-06-01-02-01-12.mp4``) in any folder below the root, so that it does not
    matter how the archives were unpacked; files with sound alone are passed over, and a clip with sound (01) stands in
    where the same without (02) is not there. Fold k tests on the four actors from 4k - 3 and trains on the others:
    every clip is tested in exactly one fold. ``groups()`` is the actor. Clip ids are the names without suffix.

    These are whole pictures of actors, not faces cut out. ``dfer data faces ROOT OUT`` cuts the faces out, and
    ``media="frames"`` loads what that makes, with ``OUT`` as the root.

    Args:
        root: holds ``Actor_01`` and so on, at any depth.
        split: ``train`` or ``test``.
        media: ``video``, or ``frames``: folders of frames named as the videos are.
        channel: ``speech``, ``song`` (without surprise and disgust, and without actor 18) or ``both``.
        calm: what the emotion calm is: ``neutral``, or ``own``, an eighth class at the end.
        transform: ``EvalTransform()`` unless given.
        exclude: a text file of clip ids to leave out, as ``dfer data check`` writes it.
        packed: read the packed copy that ``dfer data cache`` made, where there is one; or where that lies.

    Raises:
        InputError: no clip of the split below the root, or a file of a wrong name.
        ItemError: clips without a readable frame.
    """

    MEDIA = MEDIA

    def __init__(
        self,
        root: Path | str,
        split: str,
        fold: int = 1,
        *,
        media: Literal["video", "frames"] = "video",
        channel: Literal["speech", "song", "both"] = "speech",
        calm: Literal["neutral", "own"] = "neutral",
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        if calm not in ("neutral", "own"):
            raise InputError(f"calm {calm!r} is no choice; choose neutral or own")
        root = existing_root(root)
        what = f"RAVDESS {root}"
        every = read_names(root, media, RULE)
        listing = read_set(every, split, fold, channel).without(read_excluded(exclude))
        clips = every.checked(listing, f"{channel} fold {fold} {split}", what)
        if calm == "neutral":
            clips = [clip._replace(label="neutral") if clip.label == "calm" else clip for clip in clips]
        index = every.open_index()
        files = ClipFiles(index, clips, every.entries(index, clips), what, packed)
        labels = LABELS if calm == "own" else BASIC
        super().__init__(
            source=files,
            labels=labels,
            targets=files.targets(labels),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "RAVDESS",
                {"root": root, "exclude": exclude, "packed": packed},
                fold=int(fold),
                media=media,
                channel=channel,
                calm=calm,
                seed=seed,
            ),
            seed=seed,
            groups=files.subjects(),
        )

    @classmethod
    def media_in(cls, root: Path) -> tuple[str, ...]:
        """Name the kinds of media that a copy holds, ``video`` where it holds none."""
        return media_in(existing_root(root), RULE) or ("video",)

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List all folds of speech and of song, each if it is there, with calm as a class of its own."""
        root = existing_root(root)
        media = media or cls.media_in(root)[0]
        every = read_names(root, media, RULE)
        index = every.open_index()
        there = {_channel(clip) for clip in every.listing.clips}
        parts: list[Part] = []
        for channel in [one for one in CHANNELS if one in there] or CHANNELS[:1]:
            read = partial(read_set, every, channel=channel)
            found = partial(every.entries, index)
            parts += parts_of_folds(FOLDS, read, found, partial(published, channel=channel), f"{channel} ")
        return Survey(media, LABELS, index, parts)


def parse(name: str) -> Name | str:
    """Read ``02-01-06-01-02-01-12``, or say what is wrong with it.

    Example:
        >>> parse("02-01-06-01-02-01-12")
        Name(modality='02', channel='speech', label='fear', actor='12')
        >>> parse("02-01-09-01-02-01-12")
        'emotion 09 is not one of 01 to 08'
    """
    fields = name.split("-")
    if len(fields) != len(_FIELDS):
        return f"{len(fields)} fields, not the {len(_FIELDS)} of a name such as 02-01-06-01-02-01-12"
    for field, (what, most) in zip(fields, _FIELDS):
        if not re.fullmatch("[0-9]{2}", field) or not 1 <= int(field) <= most:
            return f"{what} {field} is not one of 01 to {most:02d}"
    label = canonical(EMOTIONS[int(fields[2]) - 1])
    return Name(fields[0], CHANNELS[int(fields[1]) - 1], label, fields[6])


def fold_of(actor: str) -> int:
    """Give the fold that tests on an actor, in 1 to 6.

    Example:
        >>> fold_of("04"), fold_of("05"), fold_of("24")
        (1, 2, 6)
    """
    return (int(actor) + 3) // 4


def published(split: str, fold: int, channel: str) -> tuple[int, ...]:
    """Count the published clips of a set per class, in the order of ``LABELS``."""
    actors = [f"{number:02d}" for number in range(1, ACTORS + 1)]
    actors = [actor for actor in actors if channel == "speech" or actor not in WITHOUT_SONG]
    of_set = sum((fold_of(actor) == fold) == (split == "test") for actor in actors)
    return tuple(of_set * count for count in PUBLISHED_PER_ACTOR[channel])


def read_set(every: NamedClips, split: str, fold: int, channel: str) -> Listing:
    """Choose the clips of a split, fold and channel.

    Raises:
        InputError: no such split, fold or channel.
    """
    fold = check_fold("RAVDESS", fold, len(FOLDS))
    if channel not in (*CHANNELS, "both"):
        raise InputError(f"RAVDESS has no channel {channel!r}; choose speech, song or both")
    is_test = check_split(split) == "test"
    return every.chosen(lambda clip: (fold_of(clip.subject) == fold) == is_test and channel in (_channel(clip), "both"))


def _channel(clip: Listed) -> str:
    return CHANNELS[int(clip.clip_id[3:5]) - 1]


def _read(name: str) -> Said | str | None:
    found = parse(name)
    if isinstance(found, str):
        return found
    if int(found.actor) > ACTORS:
        return f"actor {found.actor} is not one of 01 to {ACTORS}"
    return Said(found.label, found.actor) if found.modality != "03" else None


RULE: Final = NameRule(
    data_set="RAVDESS",
    alike=re.compile("[0-9]{2}(-[0-9]{2}){3,}"),
    read=_read,
    clip=lambda name: name[3:],
    rank=lambda name: {"02": "0", "01": "1"}[name[:2]],
    suffix=".mp4",
    holds="Actor_01 to Actor_24, unpacked",
)
