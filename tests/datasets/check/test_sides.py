"""On which side a clip stands."""

from typing import Any

from dfer.datasets import CSVClips
from dfer.datasets.check.sides import Sides
from dfer.datasets.dfew import DFEW


def test_train_against_test(trees: Any) -> None:
    sides = Sides(CSVClips.survey(trees.csv("clip,label,split\na,sad,train\nb,happy,test\nc,sad,train\n")).parts)
    a, b, c = (next(entry for entry, name in sides.ids.items() if name == clip) for clip in "abc")
    assert sides.opposed(a, b) == [("train", "test")]
    assert sides.opposed(b, a) == [("test", "train")]
    assert sides.opposed(a, c) == []
    assert sides.in_order([a, b, c]) == [b, a, c]  # what is tested is kept
    assert sides.in_pair(a, b) == (b, a)
    assert sides.against(a, b) == "which is in test, this in train; labels differ: sad, happy"
    assert sides.disagreement(a, c) == ""


def test_folds(trees: Any) -> None:
    sides = Sides(DFEW.survey(trees.dfew()).parts)
    entry = {name: entry for entry, name in sides.ids.items()}
    first, second, far = entry["00001"], entry["00008"], entry["00064"]  # tested in fold 1, fold 1 and fold 5
    assert sides.opposed(first, second) == []
    assert sides.opposed(first, far) == [("fold 1 test", "fold 1 train"), ("fold 5 train", "fold 5 test")]
    assert sides.against(far, first) == "which is in fold 1 test, this in fold 1 train (and so in 1 more)"
    assert sides.in_order([far, first]) == [first, far]


def test_what_is_not_on_disk_has_no_side(trees: Any) -> None:
    survey = CSVClips.survey(trees.csv("clip,label,split\na,sad,train\n"))
    part = survey.parts[0]
    assert Sides([part]).ids == {0: "a"}
    object.__setattr__(part, "entries", [-1])
    assert Sides([part]).ids == {}
