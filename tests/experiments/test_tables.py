import csv
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dfer.experiments.declaration import Row
from dfer.experiments.results import Line, Results
from dfer.experiments.statistics import Difference, Summary
from dfer.experiments.tables import as_json, cells, comma_separated, footnotes, json_text, markdown, terminal


@pytest.fixture
def results(grid: Any) -> Results:
    plain, strong, full, theirs = grid.rows
    return Results(
        grid,
        (
            Line(
                plain,
                3,
                3,
                {"war": Summary(0.6, 0.01, 3), "nll": Summary(1.0, 0.1, 3), "parameters": Summary(2.1e6, 0.0, 3)},
            ),
            Line(
                strong,
                1,
                1,
                {"war": Summary(0.65, None, 1), "nll": Summary(0.9, None, 1)},
                {"war": Difference(0.05, 0.01, 0.09, 1), "nll": Difference(-0.1, -math.inf, math.inf, 1)},
            ),
            Line(
                full,
                1,
                3,
                {"war": Summary(0.61, None, 1)},
                {"war": Difference(0.01, -0.02, 0.04, 1)},
                ("full, seed 1: no good",),
            ),
            Line(theirs, 0, 0),
        ),
        ("held-out",),
        ("0123456789",),
        ("SyntheticFaces (drawn faces)",),
        (400,),
    )


def test_cells_put_the_published_number_beside_ours(results: Results) -> None:
    headers, rows = cells(results)
    table = [dict(zip(headers, row, strict=True)) for row in rows]
    assert table[0]["WAR %"] == "60.00 ± 1.00"
    assert table[0]["WAR % paper"] == "68.32"
    assert table[1]["WAR % paper"] == "73.42 ± 0.5"
    assert table[3]["WAR % paper"] == "70"
    assert table[3]["WAR %"] == "–"
    assert table[0]["NLL"] == "1.000 ± 0.100"
    assert table[0]["parameters, M"] == "2.10"


def test_cells_say_no_difference_where_there_is_none(results: Results) -> None:
    headers, rows = cells(results)
    delta = [row[headers.index("Δ WAR %")] for row in rows]
    assert delta == ["baseline", "+5.00 [+1.00, +9.00]", "+1.00 [-2.00, +4.00] no difference", ""]
    assert rows[2][headers.index("Δ NLL")] == "–"


def test_n_is_honest(results: Results) -> None:
    headers, rows = cells(results)
    assert [row[headers.index("n")] for row in rows] == ["3", "1", "1 of 3 (failed)", "paper"]
    notes = "\n".join(footnotes(results))
    assert "Unfinished: full has 1 of 3 runs." in notes
    assert "Failed: full, seed 1: no good" in notes
    assert "400 test clips; protocol held-out" in notes


def test_a_rows_own_baseline_is_told(results: Results) -> None:
    odd = Line(Row("x, noise", baseline="strong"), 1, 1, {"war": Summary(0.6, None, 1)})
    own = Line(Row("strong, noise", baseline="strong, noise"), 1, 1, {"war": Summary(0.6, None, 1)})
    several = replace(results, lines=(*results.lines, odd, own))
    assert any(
        note.startswith("Baseline: plain. Compared otherwise: x, noise with strong; ") for note in footnotes(several)
    )
    headers, rows = cells(several)
    assert [row[headers.index("Δ WAR %")] for row in rows[-2:]] == ["–", "baseline"]
    assert [row["baseline"] for row in as_json(several)["rows"][-2:]] == ["strong", "strong, noise"]


def test_a_published_metric_that_is_not_measured_keeps_its_column(results: Results) -> None:
    headers, rows = cells(results)
    assert rows[0][headers.index("UAR % paper")] == "58"


def test_csv_holds_fractions(results: Results) -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(results))))
    one = next(row for row in rows if row["row"] == "strong" and row["column"] == "war")
    assert float(one["mean"]) == 0.65
    assert (one["deviation"], float(one["low"]), float(one["published"])) == ("", 0.01, pytest.approx(0.7342))
    assert next(row for row in rows if row["row"] == "theirs")["published"] == "0.7"
    assert next(row for row in rows if row["row"] == "strong" and row["column"] == "nll")["low"] == ""


def test_json_is_plain(results: Results) -> None:
    content = json.loads(json_text(results))
    assert content == as_json(results)
    assert [row["baseline"] for row in content["rows"]] == ["plain", "plain", "plain", None]
    assert content["rows"][2]["differences"]["war"]["no_difference"] is True
    assert content["rows"][1]["differences"]["nll"]["low"] is None


def test_markdown_has_the_command_above_it(results: Results) -> None:
    text = markdown(results, "dfer table x --budget small")
    assert text.index("dfer table x --budget small") < text.index("| row | n |")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1


def test_names_with_bars_and_brackets_survive(results: Results) -> None:
    odd = Results(results.grid, (Line(Row("a|b [bold]x"), 0, 0), *results.lines), (), (), (), ())
    assert r"| a\|b [bold]x |" in markdown(odd, "c")
    console = Console(width=300, record=True)
    terminal(odd, console)
    assert "a|b [bold]x" in console.export_text()


def test_the_terminal_shows_every_cell(results: Results, tmp_path: Path) -> None:
    console = Console(width=300, record=True)
    terminal(results, console)
    shown = console.export_text()
    headers, rows = cells(results)
    for text in [*headers, *(text for row in rows for text in row)]:
        assert all(part in shown for part in re.split(r" (?=\[)|(?<=\]) ", text)), text
    assert "…" not in shown


def test_a_narrow_terminal_gets_several_tables(results: Results) -> None:
    console = Console(width=60, record=True)
    terminal(results, console)
    shown = console.export_text().split("Baseline")[0]
    assert shown.count("strong") > 1
    assert "…" not in shown
    assert "[+1.00, +9.00]" in shown
    assert max(map(len, shown.splitlines())) <= 60
