from pathlib import Path

import pytest

from dfer.datasets.annotation import by_number, clip_and_label, clip_number, is_absolute, is_numeric, read_table
from dfer.datasets.listing import Listed
from dfer.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "x.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "A; B\n1;2\n", 'b\ta\n"2"\t1\n', "\n\na,b,,\n1,2,\n", ",x,b,a\n9,,2,1\n", '"a",b\n"1", "2"\n'],
)
def test_columns_are_known_by_name(tmp_path: Path, text: str) -> None:
    (row,) = read_table(write(tmp_path, text), ("a", "b"))
    assert (row.values["a"], row.values["b"], row.problem) == ("1", "2", "")


def test_lines_keep_their_numbers_and_spoil_none_but_themselves(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n\n1,2\n"3,4\n5\n6,7,8\n9,"1,0"\n')
    rows = read_table(path, ("a", "b"))
    assert [row.where for row in rows] == [f"{path}:{number}" for number in (3, 4, 5, 6, 7)]
    assert [row.problem for row in rows] == [
        "",
        "'\"3,4' has 1 fields where the header has 2",
        "'5' has 1 fields where the header has 2",
        "'6,7,8' has 3 fields where the header has 2",
        "",
    ]
    assert rows[-1].values == {"a": "9", "b": "1,0"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x.csv:1: empty; the header 'a,b\[,c\]' belongs there; restore the file"),
        ("\n1,2\n", r"x.csv:2: '1,2' where the header 'a,b\[,c\]' belongs; write it there"),
        ("a b\n1 2\n", r"x.csv:1: 'a b' where the header"),
        ("a,b,a\n1,2,3\n", r"x.csv:1: the column 'a' stands there twice; delete one"),
        ("a,b,d\n1,2,3\n", r"x.csv:1: the column 'd' is none of 'a,b\[,c\]'; rename or delete it"),
        ("x" * 300, r"x.csv:1: 'x{60}' where the header"),
        ("x" * 200_000 + ",b", r"x.csv:1: 'x{60}' where the header"),
    ],
)
def test_wrong_headers(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path, text), ("a", "b"), ("c",))


def test_a_header_alone_lists_nothing(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a,b,d\n"), ("a", "b")) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a/b c", ("a/b", "c")),
        ("a/b,c,", ("a/b", "c")),
        ("a b ; c;", ("a b", "c")),
        ('"a b"\t"c"', ("a b", "c")),
        ("'a' , 'c'", ("a", "c")),
        (r"C:\a b\c d", ("C:/a b/c", "d")),
        ("a", ("", "")),
        (",", ("", "")),
        ("", ("", "")),
    ],
)
def test_lines_without_header(line: str, found: tuple[str, str]) -> None:
    assert clip_and_label(line) == found


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("00001", 1),
        ("00001.mp4", 1),
        ("1.AVI", 1),
        ("1.0", 1),
        ("D:\\DFEW\\00001.mp4", 1),
        ("/data/00001/", 1),
        ("00001/1.jpg", None),
        ("1.5", None),
        ("-1", None),
        ("", None),
        ("²", None),
        ("١", None),
        ("x1", None),
        ("9" * 5000, None),
        ("1.mp4.mp4", None),
    ],
)
def test_numbers(name: str, number: int | None) -> None:
    assert clip_number(name) == number


@pytest.mark.parametrize(
    ("text", "numeric"), [("3", 1), ("-1", 1), ("3.0", 1), ("nan", 1), ("sad", 0), ("", 0), ("3a", 0)]
)
def test_numeric(text: str, numeric: bool) -> None:
    assert is_numeric(text) == numeric


@pytest.mark.parametrize("path", ["/a", "D:\\a", "d:/a", "\\\\host\\a"])
def test_absolute(path: str) -> None:
    assert is_absolute(path)


@pytest.mark.parametrize("path", ["a", "./a", "..\\a", "ab:/c", "D:a", "a\\b"])
def test_not_absolute(path: str) -> None:
    assert not is_absolute(path)


def test_clips_are_found_by_number() -> None:
    clips = [Listed(f"{i:05d}", "sad", "") for i in (1, 2, 30)]
    assert by_number(["x/00030", "x/1.mp4", "x/notes", "x/00001"], clips) == [1, -1, 0]
