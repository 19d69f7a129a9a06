"""CREMA-D: 91 actors who say twelve sentences, six emotions, folds by actor."""

import logging
import re
from functools import partial
from pathlib import Path
from typing import Final, Literal

from dfer.datasets.base import ClipDataset, describe
from dfer.datasets.clip_files import ClipFiles
from dfer.datasets.listing import Listing, check_fold, check_split, existing_root, read_excluded
from dfer.datasets.named_clips import NamedClips, NameRule, Said, media_in, read_names
from dfer.datasets.survey import Survey, parts_of_folds
from dfer.labels import BASIC, canonical
from dfer.transforms.presets import ClipTransform, EvalTransform

LABELS: Final = tuple(label for label in BASIC if label != "surprise")
LAST_ACTORS: Final = (1018, 1036, 1054, 1072, 1091)
"""The last actor that each fold tests on; the first fold begins with 1001."""
MEDIA = {"video": "VideoFlash/1001_DFA_ANG_XX.flv", "frames": "VideoFlash/1001_DFA_ANG_XX"}
FOLDS: Final = (1, 2, 3, 4, 5)
EMOTIONS: Final = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
LEVELS: Final = ("XX", "LO", "MD", "HI", "X")
KNOWN_BAD: Final = ("1064_IEO_DIS_MD", "1064_TIE_SAD_XX", "1076_MTI_NEU_XX", "1076_MTI_SAD_XX")
"""Videos that are known to be broken or wrongly cut."""
PUBLISHED: Final = (1271, 1269, 1086, 1271, 1270, 1271)
"""Published clips per class in all, without those known to be bad, in the order of ``LABELS``."""

_log = logging.getLogger("dfer")


class CREMAD(ClipDataset):
    """Load one split of one fold of CREMA-D (Cao et al. 2014).

    Clips are found by their names (``1001_DFA_ANG_XX.flv``) in any folder below the root, in capitals or not; where
    copies in other formats lie beside the published ``.flv`` files, those are read. Fold 1 tests on the actors 1001
    to 1018, fold 2 to 1036, fold 3 to 1054, fold 4 to 1072, fold 5 to 1091, and each trains on the others: every clip
    is tested in exactly one fold. Labels are the emotions that were acted. ``groups()`` is the actor. The four videos
    of ``KNOWN_BAD`` are left out. Clip ids are the names without suffix, in capitals.

    These are whole pictures of actors, not faces cut out. ``dfer data faces ROOT OUT`` cuts the faces out, and
    ``media="frames"`` loads what that makes, with ``OUT`` as the root.

    Args:
        root: holds ``VideoFlash``, at any depth.
        split: ``train`` or ``test``.
        media: ``video``, or ``frames``: folders of frames named as the videos are.
        transform: ``EvalTransform()`` unless given.
        exclude: a text file of clip ids to leave out, as ``dfer data check`` writes it.
        packed: read the packed copy that ``dfer data cache`` made, where there is one; or where that lies.

    Raises:
        InputError: no clip of the split below the root, or a file of a wrong name.
        ItemError: clips without a readable frame.
    """

    MEDIA = MEDIA
    KNOWN_BAD = KNOWN_BAD

    def __init__(
        self,
        root: Path | str,
        split: str,
        fold: int = 1,
        *,
        media: Literal["video", "frames"] = "video",
        transform: ClipTransform | None = None,
        seed: int = 0,
        exclude: Path | str | None = None,
        packed: bool | Path | str = True,
    ) -> None:
        root = existing_root(root)
        what = f"CREMAD {root}"
        every = read_names(root, media, RULE)
        listing = read_set(every, split, fold)
        good = listing.without([*KNOWN_BAD, *read_excluded(exclude)])
        clips = every.checked(good, f"fold {fold} {split}", what)
        bad = sorted({clip.clip_id for clip in listing.clips} & set(KNOWN_BAD))
        if bad:
            _log.warning("%d known bad videos left out: %s", len(bad), ", ".join(bad))
        index = every.open_index()
        files = ClipFiles(index, clips, every.entries(index, clips), what, packed)
        super().__init__(
            source=files,
            labels=LABELS,
            targets=files.targets(LABELS),
            clip_ids=files.clip_ids,
            transform=transform or EvalTransform(),
            description=describe(
                "CREMAD", {"root": root, "exclude": exclude, "packed": packed}, fold=int(fold), media=media, seed=seed
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
        """List all folds, without the videos that are known to be bad."""
        root = existing_root(root)
        media = media or cls.media_in(root)[0]
        every = read_names(root, media, RULE)
        index = every.open_index()

        def read(split: str, fold: int) -> Listing:
            return read_set(every, split, fold).without(KNOWN_BAD)

        parts = parts_of_folds(FOLDS, read, partial(every.entries, index))
        return Survey(media, LABELS, index, parts, PUBLISHED)


def parse(name: str) -> Said | str:
    """Read ``1001_DFA_ANG_XX``, actor, sentence, emotion and level, or say what is wrong with it.

    Example:
        >>> parse("1001_DFA_ANG_XX")
        Said(label='angry', actor='1001')
        >>> parse("1001_DFA_SUR_XX")
        'emotion SUR is not one of ANG DIS FEA HAP NEU SAD'
    """
    fields = name.split("_")
    if len(fields) != 4:
        return f"{len(fields)} fields, not the 4 of a name such as 1001_DFA_ANG_XX"
    actor, sentence, emotion, level = fields
    if not re.fullmatch("[0-9]{4}", actor) or not re.fullmatch("[A-Z]{3}", sentence):
        return f"{actor}_{sentence} is no actor and sentence such as 1001_DFA"
    if emotion not in EMOTIONS:
        return f"emotion {emotion} is not one of {' '.join(EMOTIONS)}"
    if level not in LEVELS:
        return f"level {level} is not one of {' '.join(LEVELS)}"
    return Said(canonical(emotion), actor)


def fold_of(actor: str) -> int:
    """Give the fold that tests on an actor, in 1 to 5.

    Example:
        >>> fold_of("1018"), fold_of("1019"), fold_of("1091")
        (1, 2, 5)
    """
    return 1 + sum(int(actor) > last for last in LAST_ACTORS)


def read_set(every: NamedClips, split: str, fold: int) -> Listing:
    """Choose the clips of a split and fold.

    Raises:
        InputError: no such split or fold.
    """
    fold = check_fold("CREMA-D", fold, len(FOLDS))
    is_test = check_split(split) == "test"
    return every.chosen(lambda clip: (fold_of(clip.subject) == fold) == is_test)


def _read(name: str) -> Said | str | None:
    said = parse(name)
    if isinstance(said, Said) and not 1001 <= int(said.actor) <= LAST_ACTORS[-1]:
        return f"actor {said.actor} is not one of 1001 to {LAST_ACTORS[-1]}"
    return said


RULE: Final = NameRule(
    data_set="CREMA-D",
    alike=re.compile("[0-9]{4}(_[A-Z]+){2,}"),
    read=_read,
    clip=lambda name: name,
    rank=lambda name: "",
    suffix=".flv",
    holds="VideoFlash",
)
