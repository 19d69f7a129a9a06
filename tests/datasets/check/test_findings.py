"""What annotation and index alone tell."""

from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import CSVClips
from dfer.datasets.check.findings import (
    IN_NO_TEST,
    IN_TWO_SETS,
    RELABELLED,
    SUBJECTS,
    Findings,
    class_counts,
    counts_over_tests,
    is_test,
    look_over,
)
from dfer.datasets.dfew import DFEW, set_path
from dfer.datasets.listing import Listing, Problem
from dfer.datasets.survey import Part, Survey


def looked(survey: Survey) -> Findings:
    found = Findings()
    look_over(survey, 16, found)
    return found


def test_subjects_on_both_sides(trees: Any) -> None:
    lines = "a,sad,train,Ann\nb,happy,test,Ann\nc,happy,train,Bob\nd,sad,train,Ann\n"
    file = trees.csv(f"clip,label,split,subject\n{lines}", ["a", "b", "c", "d"])
    found = looked(CSVClips.survey(file))
    assert [str(problem) for problem in found.problems[SUBJECTS]] == [
        "subjects with clips both in train (2) and in test (1): 1 (Ann); keep all clips of a subject on one side"
    ]
    assert found.to_leave_out() == {}  # it concerns no single clip
    assert found.details["subjects"] == {"train, test": ["Ann"]}
    apart = trees.csv("clip,label,split,subject\na,sad,train,Ann\nb,happy,test,Bob\n")
    assert SUBJECTS not in looked(CSVClips.survey(apart)).problems


def test_other_lengths_than_annotated_are_named(trees: Any) -> None:
    file = trees.csv("clip,label,split,frames\na,sad,train,3\nb,happy,test,2\nc,happy,train,\n")
    found = looked(CSVClips.survey(file))
    assert found.problems == {}
    assert "clips with another number of frames on disk than annotated: 1" in found.notes
    assert found.details["other_lengths"] == {"a": {"annotated": 3, "on disk": 2}}


def test_clips_of_no_test_set_where_all_test_sets_can_be_read(trees: Any) -> None:
    root = trees.dfew()
    survey = DFEW.survey(root)
    gone = survey.parts[3].listing.clips.pop()
    assert [problem.clip_id for problem in looked(survey).problems[IN_NO_TEST]] == [gone.clip_id]
    survey.parts[1].listing.clips.clear()
    assert IN_NO_TEST not in looked(survey).problems


def test_a_clip_that_folds_label_differently(trees: Any) -> None:
    root = trees.dfew()
    assert RELABELLED not in looked(DFEW.survey(root)).problems
    path = set_path(root, "train", 3)
    path.write_text(path.read_text().replace("\n1,2\n", "\n1,3\n"))
    found = looked(DFEW.survey(root))
    assert found.problems == {RELABELLED: [Problem("00001", "sad in fold 1 test, neutral in fold 3 train")]}
    assert list(found.to_leave_out()) == ["00001"]


def test_a_clip_in_two_sets_is_said_once_for_each_pair(trees: Any) -> None:
    survey = DFEW.survey(trees.dfew())
    survey.parts[0].listing.clips.append(survey.parts[1].listing.clips[0])
    clip_id = survey.parts[1].listing.clips[0].clip_id
    assert looked(survey).problems == {IN_TWO_SETS: [Problem(clip_id, "in fold 1 train and in fold 1 test")]}


def test_an_empty_listing_is_a_problem(trees: Any) -> None:
    index = CSVClips.survey(trees.csv("clip,label,split\na,sad,train\n")).index
    found = looked(Survey("", ("sad",), index, [Part("train", Listing([], []))]))
    assert [problem.reason for problem in found.all()] == ["train lists no clip"]


def test_counts(trees: Any) -> None:
    survey = DFEW.survey(trees.dfew())
    assert [part.name for part in survey.parts if is_test(part)] == [f"fold {fold} test" for fold in range(1, 6)]
    assert class_counts(survey.labels, survey.parts[1]) == (2,) * 7
    assert counts_over_tests(survey) == (10,) * 7


def test_problems_are_kept_once_and_reasons_are_joined() -> None:
    found = Findings()
    found.add("x", [])
    assert not found.problems
    found.add("x", [Problem("b", "one"), Problem("a", "two"), Problem("b", "one")])
    found.add("y", [Problem("b10", "three", "f:1"), Problem("b", "four"), Problem("", "of none")])
    assert [problem.clip_id for problem in found.all()] == ["a", "b", "", "b", "b10"]
    assert list(found.to_leave_out().items()) == [("a", ["two"]), ("b", ["one", "four"]), ("b10", ["f:1: three"])]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
