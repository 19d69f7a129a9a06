from pathlib import Path

import pytest

from dfer.errors import ItemError
from dfer.video.container import container_format, opened, shown


@pytest.mark.parametrize(
    "head",
    [b"", b"#EXTM3U\n", b"ffconcat version 1.0", b"\xff\xd8\xff\xe0", b"<?xml version", b"v=0\r\no=", b"RIFF....WAVE"],
)
def test_no_reader_for_what_is_no_container(head: bytes) -> None:
    assert container_format(head) is None


@pytest.mark.parametrize(
    ("name", "line"), [("a b.mp4", "a b.mp4"), ("a\nb\t\x1b[31m.mp4", r"a\nb\t\x1b[31m.mp4"), ("😀é", "😀é")]
)
def test_a_name_stays_on_one_line(name: str, line: str) -> None:
    assert shown(name) == line


def test_a_name_with_a_zero_byte() -> None:
    with pytest.raises(ItemError, match=r"cannot read a\\x00b.mp4: embedded null byte"), opened(Path("a\0b.mp4")):
        pass
