"""Reading annotation files in the forms that they come in: other separators, quotes, paths of another machine."""

import csv
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from dfer.datasets.index import VIDEOS
from dfer.datasets.listing import Listed, read_lines
from dfer.errors import InputError

_LAST_FIELD = re.compile(r"(.+?)[\s,;]+([^\s,;]+)[\s,;]*")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Row(NamedTuple):
    """One line of a table: its values by column, or what is wrong with it."""

    where: str
    values: dict[str, str]
    problem: str


def read_table(path: Path, required: Collection[str], optional: Collection[str] | None = None) -> list[Row]:
    """Read a table with a header, separated by commas, semicolons or tabs.

    Columns are known by name, in any order and capitals; quotes, and empty fields at the ends of lines, do not matter.

    Args:
        optional: columns that may be there too, besides one without a name; None: any, they are ignored.

    Raises:
        InputError: the file cannot be read, or its header lacks a column, has it twice, or has an unknown one.
    """
    lines = read_lines(path)
    belongs = f"{','.join(required)}{''.join(f'[,{name}]' for name in optional or ())}"
    if not lines:
        raise InputError(f"{path}:1: empty; the header {belongs!r} belongs there; restore the file")
    number, text = lines[0]
    for separator in (",", ";", "\t"):
        columns = [name.lower() for name in _without_tail(_fields(text, separator))]
        if set(required) <= set(columns):
            break
    else:
        raise InputError(f"{path}:{number}: {text[:60]!r} where the header {belongs!r} belongs; write it there")
    for name in filter(None, columns):
        if columns.count(name) > 1:
            raise InputError(f"{path}:{number}: the column {name!r} stands there twice; delete one")
        if optional is not None and name not in (*required, *optional):
            raise InputError(f"{path}:{number}: the column {name!r} is none of {belongs!r}; rename or delete it")
    rows = []
    for number, text in lines[1:]:
        fields = _fields(text, separator)
        fields = [*fields[: len(columns)], *_without_tail(fields[len(columns) :])]
        problem = ""
        if len(fields) != len(columns):
            problem = f"{text[:60]!r} has {len(fields)} fields where the header has {len(columns)}"
        rows.append(Row(f"{path}:{number}", dict(zip(columns, fields)), problem))
    return rows


def _fields(line: str, separator: str) -> list[str]:
    try:
        # Line by line: a stray quote spoils its own line alone.
        fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error:  # a field that is longer than any name
        fields = [line]
    return [field.strip() for field in fields]


def _without_tail(fields: list[str]) -> list[str]:
    """Take empty fields off the end."""
    while fields and not fields[-1]:
        fields = fields[:-1]
    return fields


def clip_and_label(line: str) -> tuple[str, str]:
    r"""Take a line without header apart at its last blank, comma, semicolon or tab; ``("", "")`` where it has none.

    Example:
        >>> clip_and_label("00025.mp4 anger"), clip_and_label(r'"D:\My data\00025.mp4";"anger";')
        (('00025.mp4', 'anger'), ('D:/My data/00025.mp4', 'anger'))
    """
    parts = _LAST_FIELD.fullmatch(line)
    if not parts:
        return "", ""
    clip, label = (part.strip(" \t\"'") for part in parts.groups())
    return clip.replace("\\", "/").rstrip("/"), label


def clip_number(name: str) -> int | None:
    r"""Read the number that names a clip, plain or in the path of a video or folder; None where there is none.

    Example:
        >>> clip_number("2522"), clip_number(r"D:\DFEW\02522.mp4"), clip_number("02522/1.jpg")
        (2522, 2522, None)
    """
    stem, dot, suffix = name.replace("\\", "/").rstrip("/").rpartition("/")[2].partition(".")
    known = not dot or suffix == "0" or f".{suffix.lower()}" in VIDEOS  # 2522.0: a table program made it a float
    return whole_number(stem) if known else None


def whole_number(text: str) -> int | None:
    """Read digits, None where there are others; or so many that no count is meant, which Python refuses to read."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def is_numeric(text: str) -> bool:
    """Say whether a text is a number, or stands for the lack of one: ``3``, ``-1``, ``3.0``, ``nan``."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_absolute(path: str) -> bool:
    r"""Say whether a path is absolute here or on Windows.

    Example:
        >>> is_absolute("/data/a"), is_absolute(r"D:\data\a"), is_absolute(r"\\host\a"), is_absolute("a/b")
        (True, True, True, False)
    """
    return path.startswith(("/", "\\\\")) or bool(_DRIVE.match(path))


def by_number(paths: Sequence[str], clips: Sequence[Listed]) -> list[int]:
    """Find each clip among paths by the number that names it, -1 where it is not there."""
    numbers: dict[int, int] = {}
    for entry, path in enumerate(paths):
        stem = path.rpartition("/")[2].partition(".")[0]
        if (number := whole_number(stem)) is not None:
            numbers.setdefault(number, entry)
    return [numbers.get(int(clip.clip_id), -1) for clip in clips]
