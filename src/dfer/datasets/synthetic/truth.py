"""What is known about every drawn clip before a pixel is drawn."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfer.datasets.synthetic.action_units import EXPRESSIONS
from dfer.datasets.synthetic.knobs import Knobs, Split
from dfer.labels import BASIC

OCCLUSIONS: Final = ("hand", "glasses", "hair")

CONFUSION: Final = np.array(
    [
        [0.0, 0.1, 0.5, 0.1, 0.2, 0.02, 0.08],  # happy
        [0.05, 0.0, 0.5, 0.2, 0.05, 0.05, 0.15],  # sad
        [0.2, 0.4, 0.0, 0.2, 0.1, 0.05, 0.05],  # neutral
        [0.05, 0.2, 0.35, 0.0, 0.15, 0.1, 0.15],  # angry
        [0.15, 0.05, 0.2, 0.1, 0.0, 0.02, 0.48],  # surprise
        [0.05, 0.2, 0.2, 0.4, 0.05, 0.0, 0.1],  # disgust
        [0.03, 0.25, 0.12, 0.15, 0.42, 0.03, 0.0],  # fear
    ]
)
"""How people mislabel: row = true class, each row sums to 1; modelled on the usual confusion matrices of DFEW."""


def counts(clips: int, proportions: tuple[float, ...]) -> NDArray[np.int64]:
    """Share clips among classes by largest remainder; a class that has a share gets a clip while there are enough.

    Example:
        >>> counts(10, (1.0, 1.0, 2.0)).tolist(), counts(5, (97.0, 2.0, 1.0)).tolist()
        ([3, 2, 5], [3, 1, 1])
    """
    share = np.asarray(proportions, dtype=np.float64)
    exact = clips * share / share.sum()
    out = np.floor(exact).astype(np.int64)
    for k in np.argsort(out - exact, kind="stable")[: clips - out.sum()]:
        out[k] += 1
    if clips >= np.count_nonzero(share):
        for k in np.flatnonzero((out == 0) & (share > 0)):
            out[np.argmax(out)] -= 1
            out[k] += 1
    return np.asarray(out, np.int64)


def row_generator(seed: int, split: Split, row: int, part: int) -> np.random.Generator:
    """Give the generator of one clip: independent of every other clip and of who draws it."""
    return np.random.default_rng([seed, 7 if split == "train" else 11, row, part])


def _wrong(true_label: NDArray[np.int64], rate: float, kind: str, rng: np.random.Generator) -> NDArray[np.int64]:
    label = true_label.copy()
    classes = len(CONFUSION)
    symmetric = (1 - np.eye(classes)) / (classes - 1)
    matrix = CONFUSION if kind == "confusion" else symmetric
    for row in rng.permutation(len(label))[: round(rate * len(label))]:
        label[row] = rng.choice(classes, p=matrix[label[row]])
    return label


def make_truth(
    split: Split, clips: int, knobs: Knobs, seed: int, frame_counts: NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """Decide what every clip of a split shows, one row per clip.

    ``centre``, ``width`` (full width at half of the peak) and ``distractor_centre`` are in frames; they are NaN, and
    ``peak`` 0, where nothing is shown. ``distractor`` is a class name or "none". ``frame_counts`` sets the clips'
    lengths, which are drawn from ``knobs.frames`` otherwise.
    """
    table_rng = np.random.default_rng([seed, 7 if split == "train" else 11])
    true_label = table_rng.permutation(np.repeat(np.arange(len(BASIC)), counts(clips, knobs.proportions)))
    rate = knobs.label_noise if split == "train" else knobs.test_noise
    label = _wrong(true_label, rate, knobs.noise, table_rng)
    people = max(1, round(clips / knobs.clips_per_identity))
    sources = knobs.styles + (knobs.test_styles if split == "test" else 0)
    rows = []
    for row in range(clips):
        rng = row_generator(seed, split, row, 0)
        drawn = int(rng.integers(knobs.frames[0], knobs.frames[1] + 1))
        frames = drawn if frame_counts is None else int(frame_counts[row])
        rows.append(_one(BASIC[true_label[row]], frames, people, sources, knobs, split, rng))
    table = pd.DataFrame(rows)
    table.insert(0, "label", label)
    table.insert(1, "true_label", true_label)
    table.insert(2, "noisy", label != true_label)
    return table


class Role(NamedTuple):
    """What a layout asks of one clip.

    Args:
        expression: one of ``action_units.EXPRESSIONS``.
        identity: number of the face.
        force: part of the knobs' range of intensity: ``(0, 1)`` is all of it, ``(0.5, 1)`` the stronger half.
        to_apex: begin at rest and end at the peak, as posed sequences do.
    """

    expression: str
    identity: int
    frames: int
    force: tuple[float, float] = (0.0, 1.0)
    to_apex: bool = False


def cast(roles: Sequence[Role], knobs: Knobs, seed: int) -> list[dict[str, Any]]:
    """Decide what clips show of which expression and face are given; their ``true_label`` is one of ``EXPRESSIONS``.

    No label is wrong, and all other columns are those of ``make_truth``.
    """
    return [_play(role, knobs, row_generator(seed, "train", row, 0)) for row, role in enumerate(roles)]


def _play(role: Role, knobs: Knobs, rng: np.random.Generator) -> dict[str, Any]:
    low, high = knobs.intensity
    weak, strong = (low + part * (high - low) for part in role.force)
    knobs = replace(knobs, intensity=(weak, strong))
    clip = _one(role.expression, role.frames, 1, knobs.styles, knobs, "train", rng)
    label = EXPRESSIONS.index(role.expression)
    clip |= {"label": label, "true_label": label, "noisy": False, "identity": f"face-{role.identity:07d}"}
    if role.to_apex:
        last = role.frames - 1
        width = last * rng.uniform(0.7, 1.0)
        clip |= {"centre": last, "width": width, "onset": width * rng.uniform(0.8, 1.0), "offset": width}
    return clip


def _one(
    expression: str, frames: int, people: int, sources: int, knobs: Knobs, split: Split, rng: np.random.Generator
) -> dict[str, Any]:
    shown = expression != "neutral"
    peak = float(rng.uniform(*knobs.intensity))
    width = float(rng.uniform(*knobs.key_width)) * frames
    ramp = rng.uniform(0.35, 0.8, 2) * width
    before, after = (width + ramp) / 2  # from the centre to where nothing shows
    low, high = before, max(before, frames - 1 - after)
    centre = float(rng.uniform(low, high))
    identity = int(rng.integers(people)) + (0 if split == "train" else 1_000_000)
    style = int(rng.integers(sources))
    occlusion = str(rng.choice(OCCLUSIONS)) if rng.random() < knobs.occlusion else "none"
    wants_distractor = rng.random() < knobs.distractors
    other = int(rng.choice([k for k, name in enumerate(BASIC) if name not in (expression, "neutral")]))
    distractor_peak = float(rng.uniform(0.35, 0.6)) * peak
    distractor_width = 0.16 * frames
    room = [centre - before, frames - 1 - centre - after]
    side = int(np.argmax(room))  # the longer of before and after
    distracted = wants_distractor and room[side] > distractor_width and shown
    beyond = room[side] / 2
    distractor_centre = beyond if side == 0 else frames - 1 - beyond
    return {
        "frames": frames,
        "centre": centre if shown else np.nan,
        "width": width if shown else np.nan,
        "peak": peak if shown else 0.0,
        "onset": float(ramp[0]),
        "offset": float(ramp[1]),
        "distractor": BASIC[other] if distracted else "none",
        "distractor_centre": distractor_centre if distracted else np.nan,
        "distractor_width": distractor_width if distracted else np.nan,
        "distractor_peak": distractor_peak if distracted else 0.0,
        "identity": f"face-{identity:07d}",
        "style": f"source-{style:02d}",
        "test_style": style >= knobs.styles,
        "occlusion": occlusion,
    }
