"""Which test clips are worth a look."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dfer.datasets import ClipDataset, SyntheticFaces
from dfer.datasets.synthetic.draw import draw_clip
from dfer.errors import InputError
from dfer.predictions import Predictions

SHOWN = 3


def rows_by_id(test: ClipDataset, wanted: Sequence[str]) -> list[int]:
    """Find test clips by their ids.

    Raises:
        InputError: there is no such clip.
    """
    row_of = {test.clip_id(row): row for row in range(len(test))}
    if absent := [clip for clip in wanted if clip not in row_of]:
        raise InputError(f"no test clip {', '.join(absent)}; ids are such as {next(iter(row_of))}")
    return [row_of[clip] for clip in wanted]


def telling_clips(test: ClipDataset, predictions: Sequence[Predictions]) -> list[tuple[str, str]]:
    """Choose clips by what makes them hard, among those that every run recognises, else any, else all.

    Of drawn faces the darkest, the most occluded and the one with the head turned farthest away, where there are such;
    of other data, which do not tell, three that the runs recognise and are least sure of, of different classes.

    Returns:
        what is special about a clip, and its id.
    """
    first = predictions[0]
    place = [{clip: at for at, clip in enumerate(one.clip_id.tolist())} for one in predictions]
    order = np.array([[of[clip] for clip in first.clip_id.tolist()] for of in place])  # (R, N)
    right = np.stack([(one.logits.argmax(1) == one.label)[at] for one, at in zip(predictions, order)])
    pool = next(kind for kind in (right.all(0), right.any(0), np.ones(len(first), bool)) if kind.any())
    candidates = np.flatnonzero(pool)
    if not isinstance(test, SyntheticFaces):
        own = np.stack(
            [one.probabilities(1.0)[np.arange(len(one)), one.label][at] for one, at in zip(predictions, order)]
        ).mean(0)
        return [("unsure", str(first.clip_id[at])) for at in _different(candidates, own, first.label)]
    rows = np.array(rows_by_id(test, first.clip_id[candidates].tolist()))
    occluded, turned = hidden(test, rows), turns(test, rows)
    scores = {"dark": -brightness(test, rows), "occluded": occluded, "non-frontal": turned}
    chosen: dict[int, str] = {}
    for what, score in scores.items():
        free = [at for at in np.argsort(-score, kind="stable") if at not in chosen and score[at] != 0]
        if free:
            chosen[int(free[0])] = what
    return [(what, test.clip_id(int(rows[at]))) for at, what in chosen.items()]


def _different(candidates: NDArray[np.int64], sure: NDArray[np.float64], label: NDArray[np.int64]) -> list[int]:
    """Take the least sure clip of each class, then the least sure of these classes."""
    ordered = candidates[np.argsort(sure[candidates], kind="stable")]
    leading = [int(at) for n, at in enumerate(ordered) if label[at] not in label[ordered[:n]]]
    rest = [int(at) for at in ordered if at not in leading]
    return (leading + rest)[:SHOWN]


def brightness(faces: ClipDataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the pixels of each clip, 0 to 255."""
    return np.array([float(faces[int(row)].clip.float().mean()) for row in rows])


def hidden(faces: SyntheticFaces, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Measure the share of the picture that an occlusion covers: where the same clip without it looks different."""
    return _changed(faces, rows, occlusion="none")


def turns(faces: SyntheticFaces, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Measure how much of the picture a head would change if it looked straight ahead."""
    return _changed(faces, rows, head_pose=0.0)


def _changed(
    faces: SyntheticFaces, rows: NDArray[np.int64], occlusion: str | None = None, head_pose: float | None = None
) -> NDArray[np.float64]:
    """Draw clips' middle frames in clean light, as they are and otherwise; compare."""
    clean = dataclasses.replace(faces.knobs, style_strength=0.0)
    other = clean if head_pose is None else dataclasses.replace(clean, head_pose=head_pose)
    shares = np.zeros(len(rows))
    for place, row in enumerate(rows.tolist()):
        truth = {str(key): value for key, value in faces.truth.iloc[row].items()}
        changed = truth if occlusion is None else truth | {"occlusion": occlusion}
        if changed == truth and other == clean:
            continue
        middle = np.array([truth["frames"] // 2])
        drawn, straight = (
            draw_clip(of, faces.split, row, faces.size, knobs, faces.drawn_from, middle).astype(np.int64)
            for of, knobs in ((truth, clean), (changed, other))
        )
        shares[place] = (np.abs(drawn - straight).max(axis=-1) > 16).mean()
    return shares
