from pathlib import Path

import numpy as np
import pytest

from dfer.datasets.listing import (
    Listed,
    Listing,
    Problem,
    check_fold,
    choose,
    contents,
    existing_root,
    one_of_each,
    order_labels,
    read_excluded,
    read_lines,
    warn_of_misspelt,
)
from dfer.errors import InputError
from dfer.labels import BASIC, EXTENDED


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two\xc2\x85 \n\nthree")
    assert read_lines(path) == [(1, "one"), (3, "two"), (5, "three")]
    assert read_lines(path)[0][1] == "one"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\r\nb\r\n", [(1, "a"), (2, "b")]),
        (b"a\rb\r\rc", [(1, "a"), (2, "b"), (4, "c")]),
        (b"a\r\r\nb", [(1, "a"), (2, "b")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", [(1, "a")]),
        ("é\nb\n".encode("utf-16"), [(1, "é"), (2, "b")]),
        ("\ufeffé\r\nb".encode("utf-16-be"), [(1, "é"), (2, "b")]),
        (b"", []),
        (b"\xef\xbb\xbf \n", []),
    ],
)
def test_encodings_and_line_ends(tmp_path: Path, content: bytes, lines: list[tuple[int, str]]) -> None:
    (tmp_path / "x.txt").write_bytes(content)
    assert read_lines(tmp_path / "x.txt") == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\r\nb\0\r\n", r"x.txt:2: a NUL byte, so the file is damaged or no UTF-8 text; restore it, or save it as"),
        ("a\nb".encode("utf-16-le"), r"x.txt:1: a NUL byte"),
        ("a\nb".encode("utf-32"), r"x.txt:1: (a NUL byte|this is no UTF-16)"),
        (b"a\rb\r\xe9", r"x.txt:3: this is no UTF-8 text \(byte 4\); save it as UTF-8"),
        (b"PK\x03\x04...", r"x.txt is a workbook or zip file, no text; save it as CSV"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_lines(tmp_path / "x.txt")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        read_lines(tmp_path)


@pytest.mark.parametrize("fold", [1, 5, np.int64(3)])
def test_folds(fold: int) -> None:
    found = check_fold("X", fold, 5)
    assert found == fold
    assert type(found) is int


@pytest.mark.parametrize("fold", [0, 6, -1, "1", True, 1.0, None, np.int64(6)])
def test_no_folds(fold: object) -> None:
    with pytest.raises(InputError, match=r"^X has no fold .*; choose 1 to 5$"):
        check_fold("X", fold, 5)


ONE = Listing([Listed("a", "sad", "f:1"), Listed("b", "sad", "f:2")], [])
OTHER = Listing([Listed("c", "sad", "g:1"), Listed("a", "sad", "g:2")], [])


def test_clips_of_both_splits(tmp_path: Path) -> None:
    found = ONE.apart(OTHER)
    assert [clip.clip_id for clip in found.clips] == ["b"]
    assert [str(problem) for problem in found.problems] == [
        "f:1: clip a stands in the other split too (g:2); delete one of the two lines, or exclude the clip"
    ]
    with pytest.raises(InputError, match="clip a stands in the other split too"):
        choose(ONE, OTHER, None, Path("f"), "X root")
    (tmp_path / "x.txt").write_text("a\n")
    assert choose(ONE, OTHER, tmp_path / "x.txt", Path("f"), "X root") == ONE.clips[1:]
    (tmp_path / "x.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"^f lists no clip"):
        choose(ONE, OTHER, tmp_path / "x.txt", Path("f"), "X root")


def test_excluded_clips_that_nothing_knows_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.txt"
    path.write_text("a\nc\n00001.mp4\n1\n")
    for _ in range(2):
        choose(ONE, OTHER, path, Path("f"), "X root")
    assert caplog.messages == [
        "of 4 clips to exclude 2 are unknown to X root, such as '00001.mp4'; clip ids look like 'a'"
    ]
    caplog.clear()
    path.write_text("a\nc\nd\n")  # d's line is wrong, which is why it is left out
    choose(ONE, OTHER._replace(problems=[Problem("d", "bad")]), path, Path("f"), "X root")
    choose(ONE.without({"a"}), Listing([], []), path, Path("f"), "X root")  # the other split is not there
    assert not caplog.messages


def test_excluded(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("# said\n00001\treason\n#7\na b\t\n\n")
    assert read_excluded(path) == {"00001", "#7", "a b"}
    assert read_excluded(None) == frozenset()
    with pytest.raises(InputError, match=r"cannot read .*none"):
        read_excluded(tmp_path / "none")


def test_excluding_a_clip_excludes_what_is_wrong_with_it() -> None:
    listing = Listing([Listed("a", "sad", ""), Listed("b", "sad", "")], [Problem("c", "bad"), Problem("", "worse")])
    left = listing.without({"a", "c"})
    assert [clip.clip_id for clip in left.clips] == ["b"]
    assert left.problems == [Problem("", "worse")]
    with pytest.raises(InputError, match=r"^worse$"):
        left.checked(Path("f"), "command")


def test_only_the_first_mention_is_kept() -> None:
    clips = [Listed("a", "sad", "f:1"), Listed("b", "sad", "f:2"), Listed("a", "happy", "f:3")]
    kept = one_of_each(clips)
    assert kept.clips == clips[:2]
    assert [str(problem) for problem in kept.problems] == ["f:3: clip a stands at f:1 too; delete one of the two lines"]


def test_label_order() -> None:
    assert order_labels(reversed(EXTENDED)) == EXTENDED
    assert order_labels({"zeal", "awe", *BASIC}) == (*BASIC, "awe", "zeal")


def test_names_that_are_nearly_known_ones_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        warn_of_misspelt([*EXTENDED, "bored", "hapy", "calm"], Path("here.csv"))
    assert caplog.messages == ["here.csv: 'hapy' is a class of its own; correct it where 'happy' is meant"]


def test_roots(tmp_path: Path) -> None:
    assert existing_root(str(tmp_path)) == tmp_path
    assert contents(tmp_path) == "nothing"
    for i in range(9):
        (tmp_path / f"f{i}").touch()
    assert contents(tmp_path) == "f0, f1, f2, f3, f4, f5, ..."
    with pytest.raises(InputError, match="f0 is no folder"):
        existing_root(tmp_path / "f0")
