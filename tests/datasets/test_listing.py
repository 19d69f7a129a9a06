from pathlib import Path

import pytest

from dfer.datasets.listing import (
    Listed,
    Listing,
    Problem,
    contents,
    existing_root,
    one_of_each,
    order_labels,
    read_excluded,
    read_lines,
)
from dfer.errors import InputError
from dfer.labels import BASIC, EXTENDED


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two\xc2\x85 \n\nthree")
    assert read_lines(path) == [(1, "one"), (3, "two"), (5, "three")]
    assert read_lines(path)[0][1] == "one"


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
    assert [str(problem) for problem in kept.problems] == ["f:3: clip a stands at f:1 too"]


def test_label_order() -> None:
    assert order_labels(reversed(EXTENDED)) == EXTENDED
    assert order_labels({"zeal", "awe", *BASIC}) == (*BASIC, "awe", "zeal")


def test_roots(tmp_path: Path) -> None:
    assert existing_root(str(tmp_path)) == tmp_path
    assert contents(tmp_path) == "nothing"
    for i in range(9):
        (tmp_path / f"f{i}").touch()
    assert contents(tmp_path) == "f0, f1, f2, f3, f4, f5, ..."
    with pytest.raises(InputError, match="f0 is no folder"):
        existing_root(tmp_path / "f0")
