"""Layouts of the data sets cut from films: DFEW, FERV39k, MAFW."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from dfer.datasets.synthetic.knobs import DFEW_COUNTS, Split
from dfer.datasets.synthetic.truth import Role, counts
from dfer.datasets.synthetic.votes_sheet import write_votes
from dfer.datasets.synthetic.writing import (
    Order,
    plan_roles,
    plan_split,
    save_jpegs,
    save_pngs,
    save_video,
    spread,
    write,
    write_lines,
)
from dfer.labels import BASIC, EXTENDED

_DFEW_FRAMES: Final = (11, 42, 48, 48, 58, 70, 72, 86, 96, 124, 847)
_FERV_TRAIN: Final = (5854.0, 5523.0, 7790.0, 5906.0, 2502.0, 1833.0, 1680.0)
_FERV_TEST: Final = (1473.0, 1393.0, 1958.0, 1487.0, 638.0, 467.0, 431.0)
_FERV_FRAMES: Final = (8, 15, 19, 23, 25, 28, 31, 33, 36, 40, 47)
_SCENES: Final = (
    *("Action", "Argue", "Business", "Conflict", "Contest", "Crime"),
    *("Crisis", "DailyLife", "ElegantArt", "Experiment", "History", "Interview"),
    *("Liveshow", "Medicine", "OfficialEvent", "ScholarReport", "School", "Social"),
    *("Speech", "Talkshow", "Terror", "War"),
)
_MAFW_COUNTS: Final = (1242.0, 1470.0, 1138.0, 1390.0, 1072.0, 639.0, 625.0, 236.0, 916.0, 262.0, 182.0)
"""Single-labelled clips per class of MAFW, in the order of ``labels.EXTENDED``."""
_MAFW_NAMES: Final = {"happy": "happiness", "sad": "sadness", "angry": "anger"}


def write_dfew(order: Order) -> None:
    """Write face frames or original videos, the five folds by DFEW's own rule, and the votes."""
    total = order.clips or int(sum(DFEW_COUNTS))
    # every clip is tested in some fold, and the counts must be DFEW's: no label is wrong
    knobs = replace(order.knobs, proportions=DFEW_COUNTS, clips=(total, 1), label_noise=0.0)
    frames = spread(_DFEW_FRAMES, total, np.random.default_rng([order.seed, 51]))
    if order.video:
        clips = plan_split(order, knobs, "train", lambda row, label: f"Clip/original/{row + 1}.mp4", frames)
        write(order, knobs, clips, save_video)
    else:
        clips = plan_split(order, knobs, "train", lambda row, label: f"Clip/clip_224x224/{row + 1:05d}", frames)
        write(order, knobs, clips, partial(save_jpegs, name="{clip}_{frame:05d}.jpg"))
    labels = np.array([BASIC.index(clip.label) for clip in clips])
    write_votes(order.root / "Annotation" / "annotation.xlsx", labels, order.seed)
    fold = np.empty(total, dtype=np.int64)
    for k in range(len(BASIC)):
        for block, rows in enumerate(np.array_split(np.flatnonzero(labels == k), 5)):
            fold[rows] = block
    for number in range(5):
        for name, chosen in (("train", fold != number), ("test", fold == number)):
            lines = [f"{row + 1},{labels[row] + 1}" for row in np.flatnonzero(chosen)]
            file = order.root / "EmoLabel_DataSplit" / f"{name}(single-labeled)" / f"set_{number + 1}.csv"
            write_lines(file, ["video_name,label", *lines])


def write_ferv39k(order: Order) -> None:
    """Write face frames or the clips they were cut from, and the two lists of all scenes."""
    whole = int(sum(_FERV_TRAIN) + sum(_FERV_TEST))
    total = order.clips or whole
    train = min(total - 1, max(1, round(total * sum(_FERV_TRAIN) / whole)))
    numbers: Counter[str] = Counter()
    scenes = np.random.default_rng([order.seed, 52]).choice(_SCENES, total)
    shelf = "0_7_LabelClips" if order.video else "2_ClipsforFaceCrop"
    suffix = ".mp4" if order.video else ""
    parts: tuple[tuple[Split, tuple[float, ...], int], ...] = (("train", _FERV_TRAIN, 0), ("test", _FERV_TEST, train))
    for split, published, first in parts:

        def place(row: int, label: str, first: int = first) -> str:
            folder = f"{scenes[first + row]}/{label.capitalize()}"
            numbers[folder] += 1
            return f"{shelf}/{folder}/{numbers[folder]:04d}{suffix}"

        # the counts must be the published ones: no label is wrong
        knobs = replace(order.knobs, clips=(train, total - train), label_noise=0.0, proportions=published)
        frames = spread(_FERV_FRAMES, knobs.clips[split == "test"], np.random.default_rng([order.seed, 53, first]))
        clips = plan_split(order, knobs, split, place, frames)
        write(order, knobs, clips, save_video if order.video else partial(save_jpegs, name="{frame:02d}.jpg"))
        named = [(clip.path.removeprefix(f"{shelf}/").removesuffix(suffix), clip.label) for clip in clips]
        lines = [f"{clip} {label.capitalize()}" for clip, label in named]
        write_lines(order.root / "4_setups" / "All_scenes" / f"{split}_All.csv", lines)


def write_mafw(order: Order) -> None:
    """Write frames or clips, and five folds of as many clips, in all and of each class."""
    total = order.clips or int(sum(_MAFW_COUNTS))
    knobs = replace(order.knobs, label_noise=0.0)
    rng = np.random.default_rng([order.seed, 54])
    labels = rng.permutation(np.repeat(np.arange(len(EXTENDED)), counts(total, _MAFW_COUNTS)))
    faces = rng.integers(max(1, round(total / knobs.clips_per_identity)), size=total)
    frames = spread(_DFEW_FRAMES, total, rng)  # about as long: film clips of the same kind
    roles = [Role(EXTENDED[label], int(face), int(n)) for label, face, n in zip(labels, faces, frames)]
    names = [f"{row + 1:05d}" for row in range(total)]
    if order.video:
        paths = [f"data/clips/{name}.mp4" for name in names]
        write(order, knobs, plan_roles(order, knobs, roles, paths), save_video)
    else:
        paths = [f"data/frames/{name}" for name in names]
        write(order, knobs, plan_roles(order, knobs, roles, paths), partial(save_pngs, name="{frame:04d}.png"))
    fold = np.empty(total, dtype=np.int64)
    fold[np.argsort(labels, kind="stable")] = np.arange(total) % 5  # class after class
    for number in range(5):
        folder = order.root / "Train & Test Set" / "single" / "no_caption" / f"set_{number + 1}"
        for split, chosen in (("train", fold != number), ("test", fold == number)):
            shown = [(names[row], EXTENDED[labels[row]]) for row in np.flatnonzero(chosen)]
            write_lines(folder / f"{split}.txt", [f"{name}.mp4 {_MAFW_NAMES.get(what, what)}" for name, what in shown])
