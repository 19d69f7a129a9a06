"""The files that `dfer data check` leaves, all beside each other."""

from pathlib import Path
from typing import Final

import numpy as np

from dfer.datasets.check.findings import class_counts
from dfer.datasets.check.report import MADE_BY, Report, as_json, as_list
from dfer.errors import InputError
from dfer.figures.clip_histograms import clip_histograms
from dfer.figures.style import render
from dfer.runs import write_atomically

LIST: Final = "what to leave out"
FINDINGS: Final = "everything, as JSON"
FIGURE: Final = "classes and lengths"
SHEET: Final = "similar pictures"


def refuse_foreign(out: Path) -> None:
    """Check that the list and the JSON would overwrite nothing but an earlier check's.

    Raises:
        InputError: another file is there, or the list would be one of the other files.
    """
    if out.suffix in (".json", ".svg") or out.is_dir():
        raise InputError(f"{out} cannot be the list; name a text file such as check.txt")
    for path in (out, out.with_suffix(".json")):
        try:
            with path.open("rb") as file:
                ours = MADE_BY.encode() in file.read(200)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InputError(
                f"cannot read {path}, which is in the way: {error.strerror}; name another --out"
            ) from error
        if not ours:
            raise InputError(f"{path} is there and no list of an earlier check; name another --out")


def write_files(report: Report, out: Path, sheet: bytes | None) -> InputError | None:
    """Write the list where something is wrong, the figure, the sheet and all findings; give what went wrong, if so.

    Args:
        sheet: of similar pictures, None where there are none.
    """
    survey = report.survey
    counts = {part.name: class_counts(survey.labels, part) for part in survey.parts}
    lengths = survey.index.counts[survey.entries()].astype(np.int64)
    contents: dict[str, tuple[Path, bytes | str]] = {}
    if report.found.problems:
        contents[LIST] = out, as_list(report)
    elif out.exists():
        report.found.notes.append(f"{out} is of an earlier check; by now nothing is to be left out")
    contents[FIGURE] = out.with_suffix(".svg"), render(clip_histograms(survey.labels, counts, lengths, report.frames))
    if sheet is not None:
        contents[SHEET] = out.with_name(f"{out.stem}-similar.jpg"), sheet
    try:
        for what, (path, content) in contents.items():
            write_atomically(path, content)
            report.files[what] = path
        report.files[FINDINGS] = out.with_suffix(".json")
        write_atomically(report.files[FINDINGS], as_json(report))
    except InputError as error:
        report.files.pop(FINDINGS, None)
        return error
    return None
