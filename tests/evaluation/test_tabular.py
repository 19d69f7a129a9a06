"""Tables for people and for programs."""

import csv
import io
import json

import pytest

from dfer.evaluation.tabular import Mean, Tabular, written

FIRST = Tabular(
    "recall", "Recall [of all]", ("run", "by", "share", "clips"), [("a|b", "x", 0.125, 3), ("c", "y", None, 0)], 3
)
SECOND = Tabular("time", "Time", ("run", "seconds"), [("a|b", Mean(12.5, 0.25, 3))], 1)


def test_the_terminal_shows_titles_cells_and_notes() -> None:
    text = written([FIRST, SECOND], "terminal", title="unused", notes=["Note [1]."])
    assert all(part in text for part in ("Recall [of all]", "a|b", "0.125", " - ", "12.5 ", "± 0.2", "Note [1]."))
    assert "nan" not in text.lower()


def test_markdown_is_a_section_with_its_command() -> None:
    lines = written([FIRST, SECOND], "markdown", title="Both", command="dfer audit a", notes=["Note."]).splitlines()
    assert lines[:5] == ["## Both", "", "```bash", "dfer audit a", "```"]
    assert lines[lines.index("### Recall [of all]") + 2 :][:4] == [
        "| run   | by   |   share |   clips |",
        "|:------|:-----|--------:|--------:|",
        r"| a\|b  | x    |   0.125 |       3 |",
        "| c     | y    |       - |       0 |",
    ]
    assert "| a\\|b  | 12.5 ± 0.2 |" in lines
    assert lines[-1] == "Note."
    assert "```" not in written([SECOND], "markdown", title="Alone")


def test_long_csv_leaves_empty_cells_empty() -> None:
    rows = list(csv.DictReader(io.StringIO(written([FIRST, SECOND], "csv", title="unused"))))
    assert [(row["table"], row["row"], row["column"], row["value"], row["deviation"]) for row in rows] == [
        ("recall", "a|b / x", "share", "0.125", ""),
        ("recall", "a|b / x", "clips", "3", ""),
        ("recall", "c / y", "share", "", ""),
        ("recall", "c / y", "clips", "0", ""),
        ("time", "a|b", "seconds", "12.5", "0.25"),
    ]


def test_json_has_no_nan() -> None:
    found = json.loads(written([FIRST, SECOND], "json", title="unused", about={"runs": ["a"]}))
    assert found["runs"] == ["a"]
    assert found["recall"][1] == {"run": "c", "by": "y", "share": None, "clips": 0}
    assert found["time"][0]["seconds"] == {"mean": 12.5, "deviation": 0.25, "n": 3}


def test_a_row_that_is_too_short_is_a_fault() -> None:
    wrong = Tabular("x", "X", ("a", "b"), [("only",)])
    for format in ("csv", "json"):
        with pytest.raises(ValueError, match="shorter"):
            written([wrong], format, title="X")  # type: ignore[arg-type]


def test_a_terminal_that_is_too_narrow_gets_the_names_below_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a long name of a run", "agreement + loss", *(0.25 * place for place in range(5)))]
    wide = Tabular("wide", "Wide", ("run", "by", "one", "two", "three", "four", "five"), rows, 3)
    for width, lines in ((120, 1), (75, 2)):
        monkeypatch.setenv("COLUMNS", str(width))
        text = written([wide], "terminal", title="")
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert len([line for line in text.splitlines() if "a long name" in line or "agreement" in line]) == lines
