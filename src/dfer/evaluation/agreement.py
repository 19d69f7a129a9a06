"""``dfer agreement``: how far the clips of a video agree, and how often the model is right where they do."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dfer.datasets import ClipDataset
from dfer.errors import InputError
from dfer.evaluation.robustness import named, up_to_date
from dfer.evaluation.tabular import Cell, Format, Tabular, written
from dfer.figures import InParts
from dfer.labels import SHORT
from dfer.predictions import Predictions
from dfer.reweight import clip_agreement
from dfer.runs import RunFolder

WHO_HAS: Final = "RDFER, M3DFEL, SAFE and recognisers with a window tell what each clip of a video looks like"

ABOUT: Final = (
    "Agreement is the share of a video's clips whose prediction is the most frequent one. The accuracy is that of the "
    "prediction for the whole video. A dash: no such video."
)


@dataclass(frozen=True)
class ByAgreement:
    """Videos by level of agreement and expression, and how many of them were recognised.

    Shape:
        levels ``(L,)`` ascending, videos and right ``(L, K)``.
    """

    labels: tuple[str, ...]
    levels: NDArray[np.float64]
    videos: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def proportion(self) -> NDArray[np.float64]:
        """Share of each expression's videos on each level, and of all videos in the last column, ``(L, K + 1)``.

        NaN for an expression that no video shows.
        """
        videos = _with_sum(self.videos)
        return _ratio(videos, np.broadcast_to(videos.sum(axis=0), videos.shape))

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of videos recognised, ``(L + 1, K + 1)``: of all in the last row and column; NaN without a video."""
        right, videos = (_with_sum(_with_sum(one).T).T for one in (self.right, self.videos))
        return _ratio(right, videos)


def agreement_of(predictions: Predictions, where: object = "these predictions") -> NDArray[np.float64]:
    """Measure the agreement of each video's clips, ``(N,)``.

    Raises:
        InputError: the model made no predictions for clips of a video.
    """
    if predictions.clip_logits is None:
        raise InputError(f"{where}: this model predicts whole videos only, no clips that could agree; {WHO_HAS}")
    return clip_agreement(torch.from_numpy(predictions.clip_logits)).double().numpy()


def by_agreement(found: Sequence[Predictions]) -> ByAgreement:
    """Count videos by level of agreement and expression, over several runs together.

    Of n clips at least ``ceil(n / K)`` agree; the levels go from there to 1.

    Raises:
        InputError: no clip predictions, or runs of other labels or another number of clips.

    Example:
        >>> clips = np.eye(3, dtype=np.float32)[[[0, 0, 0, 0], [0, 1, 0, 2]]]  # two videos of four clips
        >>> ids, none = np.array(["a", "b"]), np.zeros((2, 1), np.float32)
        >>> one = Predictions(clips.mean(1), np.array([0, 1]), np.arange(2), ids, none, ("happy", "sad", "fear"), clips)
        >>> counted = by_agreement([one])
        >>> counted.levels.tolist(), counted.videos.tolist(), counted.right.tolist()
        ([0.5, 0.75, 1.0], [[0, 1, 0], [0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0], [1, 0, 0]])
    """
    shares = [agreement_of(one, one.about.get("run", "these predictions")) for one in found]
    kinds = {(one.labels, one.clip_logits.shape[1]) for one in found if one.clip_logits is not None}
    if len(kinds) > 1:
        told = " and ".join(f"{clips} clips of {', '.join(labels)}" for labels, clips in sorted(kinds))
        raise InputError(f"these runs predict {told}; give runs of the same labels and number of clips")
    labels, clips = kinds.pop()
    K, least = len(labels), math.ceil(clips / len(labels))
    level = np.rint(np.concatenate(shares) * clips).astype(np.int64) - least  # (N,)
    label = np.concatenate([one.label for one in found])
    right = np.concatenate([one.logits.argmax(axis=1) == one.label for one in found])
    shape = (clips - least + 1, K)
    videos, recognised = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    np.add.at(videos, (level, label), 1)
    np.add.at(recognised, (level, label), right)
    return ByAgreement(labels, np.arange(least, clips + 1) / clips, videos, recognised)


def agreement_tables(counted: ByAgreement) -> list[Tabular]:
    """Lay out the proportion and the accuracy by level of agreement and expression.

    Paper: RDFER, Tables V and VII.
    """
    names = [SHORT.get(name, name) for name in counted.labels]
    levels = [f"{level:.2f}" for level in counted.levels]
    totals: list[Cell] = [int(count) for count in counted.videos.sum(axis=0)]
    shares = np.where(_with_sum(counted.videos) > 0, counted.proportion, np.nan)
    proportion = [[level, *_cells(row)] for level, row in zip(levels, shares)]
    accuracy = [[level, *_cells(row)] for level, row in zip([*levels, "all"], counted.accuracy)]
    number: list[Cell] = ["Num.", *totals, int(counted.videos.sum())]
    return [
        Tabular("proportion", "Proportion of videos", ["Agr.", *names, "Sum"], [*proportion, number]),
        Tabular("accuracy", "Accuracy", ["Agr.", *names, "Ave."], accuracy),
    ]


def places_by_level(shares: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """Find the videos of each level of agreement that there is, from the lowest up.

    Example:
        >>> places_by_level(np.array([1.0, 0.5, 1.0]))
        {'agreement 0.50 (1 clip)': array([1]), 'agreement 1.00 (2 clips)': array([0, 2])}
    """
    found = [(level, np.flatnonzero(shares == level)) for level in np.unique(shares)]
    return {f"agreement {level:.2f} ({len(at)} clip{'s' * (len(at) > 1)})": at for level, at in found}


def samples_by_level(
    predictions: Predictions, clips: ClipDataset, count: int = 2, model: nn.Module | None = None
) -> dict[str, list[InParts]]:
    """Draw some clips of each level of agreement at random, always the same, with what their parts are taken for.

    Args:
        model: one that samples a clip itself shows the frames that it takes.

    Raises:
        InputError: no predictions for parts of clips, or clips that are not there.
    """
    from dfer.evaluation.heatmaps import frames_taken
    from dfer.evaluation.telling import rows_by_id

    def frames(row: int) -> NDArray[np.uint8]:
        clip = clips[row].clip  # (T, C, H, W)
        taken = None if model is None else frames_taken(model, clip)
        return clip.permute(0, 2, 3, 1).numpy() if taken is None else taken

    levels = places_by_level(agreement_of(predictions))
    assert predictions.clip_logits is not None
    taken = np.array(predictions.labels)[predictions.clip_logits.argmax(axis=2)]  # (N, M)
    rng = np.random.default_rng(0)
    found: dict[str, list[InParts]] = {}
    for name, places in levels.items():
        chosen = np.sort(rng.choice(places, min(count, len(places)), replace=False))
        rows = rows_by_id(clips, predictions.clip_id[chosen].tolist())
        labels = [predictions.labels[predictions.label[at]] for at in chosen]
        found[name] = [InParts(*one) for one in zip(map(frames, rows), labels, taken[chosen].tolist())]
    return found


def agreement(runs: list[Path], *, split: str = "test", format: Format = "terminal", json: bool = False) -> int:
    """Print how far the clips of a video agree, and how often a run is right where they do.

    Two tables by level of agreement and expression, from saved predictions: the share of each expression's videos, and
    the accuracy. Several runs count together.

    Args:
        runs: run folders.
        split: which saved predictions: ``test``, ``held-out``, ``train`` (after ``dfer audit``).
        format: of what is printed.
        json: print one JSON object, as ``--format json``.
    """
    if not runs:
        raise InputError("no run given; `dfer agreement runs/NAME`")
    counted = by_agreement([_saved(RunFolder(path), split) for path in runs])
    paths = [str(path) for path in runs]
    flags = [] if split == "test" else ["--split", split]
    text = written(
        agreement_tables(counted),
        "json" if json else format,
        title="Agreement of the clips of a video",
        command=shlex.join(["dfer", "agreement", *paths, *flags]),
        notes=[f"{counted.videos.sum()} predictions of {len(runs)} run{'s' * (len(runs) > 1)}, {split}. {ABOUT}"],
        about={"runs": paths, "split": split},
    )
    print(text, end="")
    return 0


def _saved(run: RunFolder, split: str) -> Predictions:
    run.read_manifest()
    path = run.predictions(split)
    if split != "train":
        named(split)  # refuses what is no name of predictions
    command = f"dfer {'audit' if split == 'train' else 'evaluate'} {run.path}"
    if split == "train" and not path.is_file():
        raise InputError(f"{path} not found; `{command}` predicts the training clips")
    if path.is_file() and not up_to_date(run, split):
        Predictions.load(path)  # says what is wrong with a damaged file
        raise InputError(f"{path} is of other weights than the run has now; run `{command}` again")
    found = Predictions.load(path)
    agreement_of(found, run.path)
    return found


def _with_sum(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.column_stack([counts, counts.sum(axis=1)])


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _cells(values: NDArray[np.float64]) -> list[Cell]:
    return [None if math.isnan(value) else value for value in values.tolist()]
