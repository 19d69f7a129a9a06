"""Layouts of the data sets recorded in a studio, where actors or subjects pose: RAVDESS, CREMA-D, CK+."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice, product
from typing import Final

import numpy as np

from dfer.datasets.synthetic.knobs import EASY, Knobs
from dfer.datasets.synthetic.truth import Role, counts
from dfer.datasets.synthetic.writing import Order, plan_roles, save_pngs, save_video, spread, write, write_lines

_FPS: Final = 30.0

_RAVDESS: Final = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
_RAVDESS_FOLDS: Final = tuple(range(first, first + 4) for first in range(1, 25, 4))
_RAVDESS_FRAMES: Final = (88, 97, 100, 104, 107, 110, 113, 116, 120, 127, 158)

_CREMA: Final = {"angry": "ANG", "disgust": "DIS", "fear": "FEA", "happy": "HAP", "neutral": "NEU", "sad": "SAD"}
_CREMA_SENTENCES: Final = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
_CREMA_FOLDS: Final = (*(range(first, first + 18) for first in (1001, 1019, 1037, 1055)), range(1073, 1092))
_CREMA_FRAMES: Final = (38, 60, 66, 69, 72, 75, 79, 83, 88, 96, 150)
_CREMA_BAD: Final = ("1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD")
_FORCE: Final = {"LO": (0.0, 0.3), "MD": (0.35, 0.65), "HI": (0.7, 1.0), "XX": (0.0, 1.0)}

_CK_LABELLED: Final = {"angry": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sad": 28, "surprise": 83}
_CK_NUMBERS: Final = {name: number for number, name in enumerate(_CK_LABELLED, start=1)}
_CK_SEQUENCES: Final = 593
_CK_SUBJECTS: Final = (118, 5)  # with a labelled sequence, and without
_CK_FOLDS: Final = 10
_CK_FRAMES: Final = (6, 11, 12, 14, 15, 17, 19, 20, 22, 26, 60)


def write_ravdess(order: Order) -> None:
    """Write the speech of 24 actors, pictures only."""
    chosen = list(islice(_ravdess_clips(), order.clips))
    frames = spread(_RAVDESS_FRAMES, len(chosen), np.random.default_rng([order.seed, 56]))
    roles, paths = [], []
    for (actor, emotion, (strength, statement, repetition)), length in zip(chosen, frames):
        roles.append(Role(emotion, actor, int(length), (0.0, 0.5) if strength == 1 else (0.5, 1.0)))
        number = _RAVDESS.index(emotion) + 1
        name = f"02-01-{number:02d}-{strength:02d}-{statement:02d}-{repetition:02d}-{actor:02d}.mp4"
        paths.append(f"Actor_{actor:02d}/{name}")
    knobs = _studio(order.knobs)
    write(order, knobs, plan_roles(order, knobs, roles, paths), partial(save_video, fps=_FPS))


def _ravdess_clips() -> Iterator[tuple[int, str, tuple[int, int, int]]]:
    """Give the 60 clips of every actor so that the first of them are already of all folds and classes."""
    kinds = [
        (emotion, how)
        for how in product((1, 2), (1, 2), (1, 2))
        for emotion in _RAVDESS
        if not (emotion == "neutral" and how[0] == 2)
    ]
    actors = _in_turn(_RAVDESS_FOLDS)
    for turn, (place, actor) in product(range(len(kinds)), enumerate(actors)):
        yield actor, *kinds[(turn + place) % len(kinds)]


def write_crema_d(order: Order) -> None:
    """Write the clips of 91 actors, the four known to be bad among them."""
    names = [*_CREMA_BAD, *(name for name in _crema_names() if name not in _CREMA_BAD)][: order.clips]
    frames = spread(_CREMA_FRAMES, len(names), np.random.default_rng([order.seed, 57]))
    emotions = {code: emotion for emotion, code in _CREMA.items()}
    roles = []
    for name, length in zip(names, frames):
        actor, _, code, level = name.split("_")
        roles.append(Role(emotions[code], int(actor), int(length), _FORCE[level]))
    knobs = _studio(order.knobs)
    paths = [f"VideoFlash/{name}.flv" for name in names]
    write(order, knobs, plan_roles(order, knobs, roles, paths), partial(save_video, fps=_FPS))


def _crema_names() -> Iterator[str]:
    """Name the 7,442 clips so that the first of them are already of all folds and classes."""
    kinds = [
        (sentence, _CREMA[emotion], "XX" if emotion == "neutral" else level)
        for sentence in _CREMA_SENTENCES
        for level in (("LO", "MD", "HI") if sentence == "IEO" else ("XX",))
        for emotion in _CREMA
        if not (emotion == "neutral" and level in ("MD", "HI"))
    ]
    actors = _in_turn(_CREMA_FOLDS)
    # of all that could be there twenty are not, five of them neutral; which ones is our choice
    absent = {f"{1092 - n}_WSI_{code}_XX" for code in _CREMA.values() for n in range(1, 6 if code == "NEU" else 4)}
    for turn, (place, actor) in product(range(len(kinds)), enumerate(actors)):
        name = "_".join((str(actor), *kinds[(turn + place) % len(kinds)]))
        if name not in absent:
            yield name


def write_ckplus(order: Order) -> None:
    """Write grey sequences from rest to the peak, and a label for the typical ones."""
    rng = np.random.default_rng([order.seed, 58])
    clips = sorted(_ck_sequences(order.clips or _CK_SEQUENCES, rng))
    frames = spread(_CK_FRAMES, len(clips), rng)
    roles, paths = [], []
    for (subject, sequence, emotion, labelled), length in zip(clips, frames):
        roles.append(Role(emotion, subject, int(length), (0.0, 1.0) if labelled else (0.0, 0.3), to_apex=True))
        place = f"S{subject:03d}/{sequence:03d}"
        paths.append(f"cohn-kanade-images/{place}")
        folder = order.root / "Emotion" / place
        if labelled:
            file = folder / f"{place.replace('/', '_')}_{length:08d}_emotion.txt"
            write_lines(file, [f"   {_CK_NUMBERS[emotion]:.7e}"])
        else:
            folder.mkdir(parents=True)  # empty, as there
    knobs = replace(_studio(order.knobs), speech=0.0)
    save = partial(save_pngs, name="{parent}_{clip}_{frame:08d}.png", grey=True)
    write(order, knobs, plan_roles(order, knobs, roles, paths), save)


def _ck_sequences(total: int, rng: np.random.Generator) -> Iterator[tuple[int, int, str, bool]]:
    """Give subject, number, emotion of each sequence, and whether it has a label."""
    share = total / _CK_SEQUENCES
    fewest = 2 * _CK_FOLDS
    labelled = max(fewest, round(share * sum(_CK_LABELLED.values())))
    subjects = max(fewest, round(share * _CK_SUBJECTS[0]))
    everybody = subjects + round(share * _CK_SUBJECTS[1])
    emotions = list(_CK_LABELLED)
    shares = counts(labelled, tuple(map(float, _CK_LABELLED.values())))
    typical = [(n % subjects, emotions[k], True) for n, k in enumerate(np.repeat(np.arange(len(emotions)), shares))]
    others = rng.integers(len(emotions), size=total - labelled)
    vague = [(everybody - 1 - n % everybody, emotions[k], False) for n, k in enumerate(others)]
    numbers: Counter[int] = Counter()
    for pick in rng.permutation(total):
        place, emotion, has_label = [*typical, *vague][pick]
        subject = 5 + 5 * place  # not every number is a subject's
        numbers[subject] += 1
        yield subject, numbers[subject], emotion, has_label


def _studio(knobs: Knobs) -> Knobs:
    """Take from the preset how strongly faces move; the place is one, well lit, and shows nothing else."""
    return replace(
        knobs,
        styles=1,
        style_strength=EASY.style_strength,
        head_pose=EASY.head_pose,
        camera_shake=EASY.camera_shake,
        distractors=0.0,
        occlusion=0.0,
        label_noise=0.0,
    )


def _in_turn(folds: tuple[range, ...]) -> list[int]:
    """Name the actors, one of each fold after the other."""
    longest = max(map(len, folds))
    return [fold[n] for n in range(longest) for fold in folds if n < len(fold)]
