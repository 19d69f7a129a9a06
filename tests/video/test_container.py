from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import av
import pytest

from dfer.errors import ItemError
from dfer.video import container as module
from dfer.video.container import container_format, opened
from dfer.video.decode import frame_count
from dfer.video.stream import open_stream


@pytest.mark.parametrize(
    "head",
    [b"", b"#EXTM3U\n", b"ffconcat version 1.0", b"\xff\xd8\xff\xe0", b"<?xml version", b"v=0\r\no=", b"RIFF....WAVE"],
)
def test_no_reader_for_what_is_no_container(head: bytes) -> None:
    assert container_format(head) is None


def test_a_name_with_a_zero_byte() -> None:
    with pytest.raises(ItemError, match=r"cannot read a\\x00b.mp4: embedded null byte"), opened(Path("a\0b.mp4")):
        pass


@pytest.mark.parametrize(
    ("name", "reader", "options"),
    [
        ("playlist_named_mp4", "hls", {"allowed_extensions": "ALL"}),
        ("concat_named_mp4", "concat", {"safe": "0"}),
        ("elsewhere", "mov", {"enable_drefs": "1", "use_absolute_path": "1"}),
    ],
)
def test_no_other_file_is_opened(odd_video: Callable[[str], Path], name: str, reader: str, options: dict) -> None:
    """These files do lead FFmpeg elsewhere, if one lets it."""
    path = odd_video(name)
    with av.open(str(path), format=reader, options=options) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30
    with pytest.raises(ItemError), open_stream(path):
        pass


@pytest.mark.parametrize(
    ("name", "reader", "options"),
    [
        ("playlist_named_mp4", "hls", {"allowed_extensions": "ALL"}),
        ("concat_named_mp4", "concat", {"safe": "0"}),
        ("elsewhere", "mov", {"enable_drefs": "1", "use_absolute_path": "1"}),
    ],
)
def test_nor_if_its_reader_were_chosen(
    odd_video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str, reader: str, options: dict
) -> None:
    """Even FFmpeg's own readers of lists find nothing behind our file."""
    real = av.open
    monkeypatch.setattr(module, "container_format", lambda head: reader)
    monkeypatch.setattr(
        av, "open", lambda file, **more: real(file, **{**more, "options": {**more["options"], **options}})
    )
    with pytest.raises(ItemError), open_stream(odd_video(name)) as stream:
        assert list(stream) == []


def streamed(path: Path) -> int:
    with open_stream(path) as stream:
        return sum(1 for _ in stream)


class FailingDisk(FileIO):
    left = 3

    def read(self, size: int = -1) -> bytes:
        FailingDisk.left -= 1
        if FailingDisk.left < 0:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("left", [0, 1, 2, 3, 4])
def test_a_disk_that_fails(
    video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    left: int,
) -> None:
    path = video("mkv", options={"cluster_size_limit": "2000"})
    monkeypatch.setattr(module, "BUFFER", 16384)
    monkeypatch.setattr(module, "open_regular", lambda path: FailingDisk(path))
    for use in (frame_count, streamed):
        FailingDisk.left = left
        with pytest.raises(ItemError, match=f"cannot read {path}: Input/output error"):
            use(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["plain", "palette", "alpha"])
def test_opening_leaves_nothing_open(odd_video: Callable[[str], Path], name: str) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(5):
        with open_stream(odd_video(name)) as stream:
            next(iter(stream))
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_every_refusal_leaves_nothing_open(odd_case: NamedTuple) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no list of open files")
    before = len(list(Path("/proc/self/fd").iterdir()))
    try:
        with opened(odd_case.path):
            pass
    except ItemError:
        assert odd_case.refused
    assert len(list(Path("/proc/self/fd").iterdir())) == before
