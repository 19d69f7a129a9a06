"""Ten people vote, and at least seven agree."""

from pathlib import Path

import numpy as np
from openpyxl import load_workbook

from dfer.datasets.synthetic.truth import CONFUSION
from dfer.datasets.synthetic.votes_sheet import draw_votes, write_votes

LABELS = np.arange(7).repeat(2000)


def test_seven_of_ten_agree() -> None:
    votes = draw_votes(LABELS, 0)
    own = votes[np.arange(len(LABELS)), LABELS]
    assert (votes.sum(axis=1) == 10).all()
    assert sorted(set(own.tolist())) == [7, 8, 9, 10]
    assert (votes.argmax(axis=1) == LABELS).all()


def test_the_others_err_as_people_do() -> None:
    votes = draw_votes(LABELS, 0)
    for label in range(7):
        others = votes[label == LABELS].sum(axis=0)
        others[label] = 0
        assert np.abs(others / others.sum() - CONFUSION[label]).max() < 0.03


def test_a_seed_decides() -> None:
    assert (draw_votes(LABELS, 4) == draw_votes(LABELS, 4)).all()
    assert (draw_votes(LABELS, 4) != draw_votes(LABELS, 5)).any()


def test_the_sheet(tmp_path: Path) -> None:
    labels = np.array([2, 0, 6])
    write_votes(tmp_path / "Annotation" / "annotation.xlsx", labels, 1)
    rows = list(load_workbook(tmp_path / "Annotation" / "annotation.xlsx").worksheets[0].values)
    names = ("order", "1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "annotation")
    assert rows[0] == names
    votes = draw_votes(labels, 1).tolist()
    assert rows[1:] == [(1, *votes[0], 3), (2, *votes[1], 1), (3, *votes[2], 7)]
