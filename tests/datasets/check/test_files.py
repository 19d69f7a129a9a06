"""The files that a check leaves."""

import json
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import CSVClips
from dfer.datasets.check.files import FIGURE, FINDINGS, LIST, SHEET, refuse_foreign, write_files
from dfer.datasets.check.findings import Findings
from dfer.datasets.check.report import Report
from dfer.datasets.listing import Problem
from dfer.errors import InputError


@pytest.fixture
def report(trees: Any) -> Report:
    file = trees.csv("clip,label,split\na,sad,train\nb,happy,test\n")
    found = Findings()
    found.add("odd", [Problem("a", "is odd")])
    return Report("CSVClips", file, CSVClips.survey(file), found, 16, {})


def test_all_lie_beside_the_list(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "new" / "mine.txt"
    assert write_files(report, out, b"a picture") is None
    assert {path.name for path in out.parent.iterdir()} == {"mine.txt", "mine.json", "mine.svg", "mine-similar.jpg"}
    assert list(report.files) == [LIST, FIGURE, SHEET, FINDINGS]
    assert out.read_text().splitlines()[1:] == ["a\tis odd"]
    assert json.loads((tmp_path / "new/mine.json").read_text())["files"][SHEET].endswith("mine-similar.jpg")
    assert (tmp_path / "new/mine-similar.jpg").read_bytes() == b"a picture"


def test_an_earlier_list_is_told_when_nothing_is_wrong(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "mine.txt"
    write_files(report, out, None)
    before = out.read_text()
    report.found.problems.clear()
    assert write_files(report, out, None) is None
    assert report.found.notes == [f"{out} is of an earlier check; by now nothing is to be left out"]
    assert out.read_text() == before


def test_where_nothing_can_be_written(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    failed = write_files(report, tmp_path / "file" / "mine.txt", None)
    assert isinstance(failed, InputError)
    assert report.files == {}


@pytest.mark.parametrize("name", ["x.json", "x.svg", "."])
def test_names_that_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the list; name a text file"):
        refuse_foreign(tmp_path / name)


@pytest.mark.parametrize("name", ["mine.txt", "mine.json"])
def test_nothing_else_is_overwritten(report: Report, tmp_path: Path, name: str) -> None:
    out = tmp_path / "mine.txt"
    refuse_foreign(out)
    write_files(report, out, None)
    refuse_foreign(out)
    (tmp_path / name).write_text("video_name,label\n")
    with pytest.raises(InputError, match=rf"{name} is there and no list of an earlier check; name another --out"):
        refuse_foreign(out)
