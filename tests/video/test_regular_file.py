import os
import stat
from pathlib import Path

import pytest

from dfer.errors import ItemError
from dfer.video.regular_file import open_regular, shown


def test_a_file_and_a_link_to_one(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.write_bytes(b"content")
    (tmp_path / "link").symlink_to(path)
    for one in (path, tmp_path / "link"):
        with open_regular(one) as file:
            assert file.read() == b"content"


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mknod(tmp_path / "plug", stat.S_IFSOCK | 0o600)
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, words in {"pipe": "a pipe", "plug": "a socket", "zero": "a device", "": "Is a directory"}.items():
        with pytest.raises(ItemError, match=f"cannot read .*{words}"):
            open_regular(tmp_path / name)


def test_what_is_not_there_is_the_callers_to_say(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("gone", "nowhere"):
        with pytest.raises(FileNotFoundError):
            open_regular(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "line"), [("a b.mp4", "a b.mp4"), ("a\nb\t\x1b[31m.mp4", r"a\nb\t\x1b[31m.mp4"), ("😀é", "😀é")]
)
def test_a_name_stays_on_one_line(name: str, line: str) -> None:
    assert shown(name) == line
    shown("\udcff").encode()  # a byte that is no letter can be printed
