"""The votes of ten people on every drawn clip, as DFEW's annotation has them."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.synthetic.truth import CONFUSION

HEADER: Final = ("order", "1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "annotation")
VOTERS: Final = 10
AGREED: Final = 7
"""A clip has a single label where at least so many agree."""


def draw_votes(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Let ten people vote: at least seven for a clip's class, the others as people confuse classes.

    Shape:
        labels ``(N,)`` -> ``(N, 7)``.
    """
    votes = np.zeros((len(labels), len(CONFUSION)), np.int64)
    rng = np.random.default_rng([seed, 55])
    for row, label in enumerate(labels):
        agreed = int(rng.integers(AGREED, VOTERS + 1))
        votes[row] = rng.multinomial(VOTERS - agreed, CONFUSION[label])
        votes[row, label] = agreed
    return votes


def write_votes(path: Path, labels: NDArray[np.int64], seed: int) -> None:
    """Write a sheet with a line for each clip: its number from 1, its votes, its label from 1."""
    from openpyxl import Workbook  # slow to import, and needed here alone

    book = Workbook(write_only=True)
    sheet = book.create_sheet("annotation")
    sheet.append(HEADER)
    for number, (label, votes) in enumerate(zip(labels.tolist(), draw_votes(labels, seed).tolist()), start=1):
        sheet.append([number, *votes, label + 1])
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
