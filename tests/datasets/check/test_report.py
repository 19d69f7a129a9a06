"""What is printed, and what a program reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import CSVClips
from dfer.datasets.check.findings import Findings, class_counts, counts_over_tests
from dfer.datasets.check.report import Report, as_json, as_list, print_report, summary
from dfer.datasets.dfew import DFEW
from dfer.datasets.listing import Problem
from dfer.datasets.survey import Part, Survey


def report_of(survey: Survey, **changes: Any) -> Report:
    return Report("DFEW", Path("root"), survey, Findings(), 16, {}, **changes)


@pytest.fixture
def survey(trees: Any) -> Survey:
    return CSVClips.survey(trees.csv("clip,label,split\na,sad,train\nb,happy,test\nc,happy,train\n"))


def published(survey: Survey, wrong: int = 0) -> Survey:
    """The same, with its own counts as the published ones."""
    parts = []
    for part in survey.parts:
        first, *rest = class_counts(survey.labels, part)
        parts.append(Part(part.name, part.listing, part.entries, (first + wrong, *rest), part.trial))
    return Survey(survey.media, survey.labels, survey.index, parts)


def test_the_first_line_is_the_verdict(survey: Survey) -> None:
    assert report_of(survey).verdict() == "DFEW in root: whole and right"
    assert report_of(published(survey)).verdict() == "DFEW in root: whole and right"
    assert report_of(published(survey, 1)).verdict() == "DFEW in root: nothing is wrong, but it is not as published"
    wrong = report_of(survey)
    wrong.found.add("x", [Problem("a", "r"), Problem("a", "s"), Problem("b", "r")])
    assert wrong.verdict() == "DFEW in root: 1 thing is wrong; clips to leave out: 2"
    wrong.found.add("y", [Problem("", "r")])
    assert wrong.verdict() == "DFEW in root: 2 things are wrong; clips to leave out: 2"


def test_totals_over_all_test_sets(trees: Any, capsys: pytest.CaptureFixture[str]) -> None:
    survey = DFEW.survey(trees.dfew(clips=14))
    parts = [Part(part.name, part.listing, part.entries, None, part.trial) for part in survey.parts]
    totals = counts_over_tests(survey)
    assert report_of(Survey("", survey.labels, survey.index, parts)).as_published() is None
    assert report_of(Survey("", survey.labels, survey.index, parts, totals)).as_published() is True
    other = report_of(Survey("", survey.labels, survey.index, parts, (9, *totals[1:])))
    assert other.as_published() is False
    print_report(other)
    assert "all tests 2/9" in " ".join(capsys.readouterr().out.split())


def test_the_table_shows_published_counts_where_they_differ(survey: Survey, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report_of(published(survey)))
    said = capsys.readouterr().out
    assert "/" not in said.split("3 clips")[0]
    assert "all counts are as published" in said
    print_report(report_of(published(survey, 5)))
    said = capsys.readouterr().out
    assert "1/6" in said
    assert "as published" not in said.split("\n", 1)[1]


def test_of_many_folds_the_test_sets_are_shown(trees: Any, capsys: pytest.CaptureFixture[str]) -> None:
    survey = DFEW.survey(trees.dfew(clips=14))
    more = Survey("", survey.labels, survey.index, survey.parts * 2)
    print_report(report_of(more))
    said = capsys.readouterr().out
    assert said.count("fold 1 test") == 2
    assert "fold 1 train" not in said
    assert "10 training sets: see the JSON" in said


def test_a_narrow_terminal_keeps_the_table(
    survey: Survey, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    report = report_of(survey)
    report.found.notes.append("a note that is longer than the terminal [bold]is wide[/bold]")
    print_report(report)
    said = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["set", "Hap", "Sad", "all", "<16"] for line in said)
    assert "note: a note that is longer than the terminal [bold]is wide[/bold]" in said


def test_at_most_five_of_each(survey: Survey, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(survey)
    report.found.notes += [f"note {number}" for number in range(8)]
    for number in range(7):
        report.found.add(f"kind {number}", [Problem("a", f"reason {number}")])
    print_report(report)
    said = capsys.readouterr().out
    assert said.count("note: ") == 6
    assert "note: 3 more" in said
    assert said.count("WRONG") == 6
    assert "WRONG 2 more: kind 5, kind 6" in said


def test_one_line_for_a_kind() -> None:
    assert summary("k", [Problem("a", "reason")]) == "a: reason"
    assert summary("k", [Problem("a", "clip a is odd", "f.csv:3")]) == "f.csv:3: clip a is odd"
    assert summary("k", [Problem("a", "one"), Problem("b", "two")]) == "k: 2, first a: one"
    assert (
        summary("k", [Problem("a", "one"), Problem("a", "two"), Problem("", "x"), Problem("", "y")])
        == "k: 3, first a: one"
    )
    many = [Problem(f"{number}", "gone") for number in range(7)]
    assert summary("gone", many) == "clips gone: 7 (0, 1, 2, 3, 4, ...)"


def test_the_list(survey: Survey) -> None:
    report = report_of(survey)
    report.found.notes.append("a remark")
    report.found.add(
        "x", [Problem("b", "two"), Problem("", "of none", "f:1"), Problem("a", "one"), Problem("b", "three")]
    )
    assert as_list(report) == (
        "# dfer data check DFEW root: what follows can be passed as exclude\n"
        "# f:1: of none\n# a remark\na\tone\nb\ttwo; three\n"
    )


def test_json_holds_everything(survey: Survey) -> None:
    report = report_of(published(survey, 1), files={"list": Path("x.txt")})
    report.found.add("x", [Problem("b", "two", "f:1")])
    report.found.details["more"] = [1]
    said = json.loads(as_json(report))
    assert said["right"] is False
    assert said["as_published"] is False
    assert said["problems"] == [{"kind": "x", "clip_id": "b", "reason": "two", "where": "f:1"}]
    assert said["sets"]["train"] == {"trial": "", "clips": 2, "counts": [1, 1], "published": [2, 1], "short": 2}
    assert said["on_disk"] == {"clips": 3, "frames": 6}
    assert said["lengths"] == [2.0] * 11
    assert (said["more"], said["files"]) == ([1], {"list": "x.txt"})
    assert as_json(report) == as_json(report)
