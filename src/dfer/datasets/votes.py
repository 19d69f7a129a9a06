"""DFEW's votes: what each of the ten annotators of a clip saw."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.annotation import whole_number
from dfer.errors import InputError
from dfer.labels import BASIC, canonical

_COLUMNS = "order,1happy,2sad,3neutral,4angry,5surprise,6disgust,7fear"
_log = logging.getLogger("dfer")


def read_votes(path: Path) -> dict[str, NDArray[np.int64]]:
    """Read how many annotators saw each expression in a clip: clip id to ``(7,)``, in the order of ``BASIC``.

    The first row of a sheet names its columns, ``order,1happy,...,7fear``, in any order; others are ignored. An empty
    cell is no vote; a clip that nobody voted on is left out.

    Raises:
        InputError: no such file, no workbook, a column is missing, a row's votes are no counts, a clip stands there
            twice.
    """
    votes: dict[str, NDArray[np.int64]] = {}
    places: dict[str, int] = {}
    for number, clip, cells in _read(path):
        order = _count(clip)
        if order is None:
            raise InputError(f"{path}:{number}: {clip!r:.30} in the column order is no clip number; restore the row")
        clip_id = f"{order:05d}"
        if clip_id in places:
            raise InputError(f"{path}:{number}: clip {clip_id} stands in row {places[clip_id]} too; delete one of the "
                             "two rows")  # fmt: skip
        counts = [0 if cell is None else _count(cell) for cell in cells]
        if None in counts:
            bad = counts.index(None)
            raise InputError(f"{path}:{number}: {cells[bad]!r:.30} of clip {clip_id} is no number of votes for "
                             f"{BASIC[bad]}; restore the row")  # fmt: skip
        places[clip_id] = number
        if any(counts):  # else it may be one of the clips that stand in no set
            votes[clip_id] = np.array(counts, np.int64)
    return votes


def shares_of(path: Path, clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Give the share of votes of each clip, ``(N, 7)``; rows sum to 1.

    Raises:
        InputError: as `read_votes`; clips without votes.
    """
    votes = read_votes(path)
    if missing := [clip_id for clip_id in clip_ids if clip_id not in votes]:
        raise InputError(f"{path} has no votes of {len(missing)} of {len(clip_ids)} clips, the first is {missing[0]}; "
                         "take the file that comes with the data set, or exclude these clips")  # fmt: skip
    counts = np.array([votes[clip_id] for clip_id in clip_ids], np.float64).reshape(len(clip_ids), len(BASIC))
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)


def ambiguity(votes: NDArray[Any]) -> NDArray[np.float64]:
    """Say how far annotators disagree: the entropy of their votes over that of a tie of all classes, 0 to 1.

    Args:
        votes: counts or shares; each row's sum is positive.

    Shape:
        ``(N, K)`` -> ``(N,)``.

    Example:
        >>> ambiguity(np.array([[10, 0], [5, 5], [9, 1]])).round(3).tolist()
        [0.0, 1.0, 0.469]
    """
    share = np.asarray(votes, np.float64)
    share = share / share.sum(axis=1, keepdims=True)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    entropy = np.abs((share * logarithm).sum(axis=1))  # (N,); abs: -0.0 would be shown
    return np.asarray(np.minimum(entropy / np.log(share.shape[1]), 1.0), np.float64)


def warn_of_other_labels(
    path: Path, shares: NDArray[np.float32], targets: NDArray[np.int64], ids: Sequence[str]
) -> None:
    """Log how many clips most annotators saw something else in than their label says."""
    most = shares.max(axis=1)
    of_label = shares[np.arange(len(targets)), targets]
    if len(other := np.flatnonzero(of_label < most)):
        _log.warning("%s: of %d clips, %d have most votes for another class than their label, the first is %s",
                     path, len(targets), len(other), ids[other[0]])  # fmt: skip


class _Row(NamedTuple):
    number: int
    clip: object
    votes: list[object]
    """In the order of ``BASIC``."""


def _read(path: Path) -> list[_Row]:
    """Read the rows of the first sheet that has the columns."""
    if not path.is_file():
        raise InputError(f"{path} not found; take the file that comes with DFEW")
    try:
        with path.open("rb") as file:
            start = file.read(20)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not start.startswith(b"PK"):
        raise InputError(f"{path} is no xlsx workbook (it begins with {start!r}); save it as .xlsx")
    from openpyxl import load_workbook  # slow to import, and few ask for votes

    try:
        with warnings.catch_warnings(action="ignore"):  # of styles and the like, which say nothing of votes
            workbook = load_workbook(path, read_only=True, data_only=True)
            try:
                sheets = [_table(sheet) for sheet in workbook.worksheets]
            finally:
                workbook.close()
    except Exception as error:  # a damaged workbook fails in whatever layer the damage reaches
        raise InputError(f"{path} cannot be read as a workbook ({type(error).__name__}); restore it") from error
    for rows in sheets:
        if rows is not None:
            return rows
    raise InputError(f"{path}: no sheet with the columns {_COLUMNS}; take the file that comes with DFEW")


def _table(sheet: Any) -> list[_Row] | None:
    """Read the rows of a sheet that are not empty; None where its columns are others."""
    sheet.reset_dimensions()  # some programs write wrong ones
    rows = sheet.iter_rows(values_only=True)
    header = [_column(cell) for cell in next(rows, ())]
    wanted = ("order", *BASIC)
    if any(header.count(name) != 1 for name in wanted):
        return None
    first, *others = (header.index(name) for name in wanted)
    found = []
    for number, cells in enumerate(rows, 2):
        if any(cell is not None for cell in cells):
            whole = (*cells, *(None,) * (len(header) - len(cells)))
            found.append(_Row(number, whole[first], [whole[i] for i in others]))
    return found


def _column(cell: object) -> str:
    """Name a column: ``1happy`` is happy."""
    return canonical(str(cell).strip().lstrip("0123456789")) if cell is not None else ""


def _count(cell: object) -> int | None:
    """Read a whole number that is not negative, None where it is none."""
    if isinstance(cell, str):
        return whole_number(cell.strip())
    if isinstance(cell, int | float) and not isinstance(cell, bool) and 0 <= cell < 1e9 and float(cell).is_integer():
        return int(cell)
    return None
