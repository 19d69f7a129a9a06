"""Opening a video file without trusting it: no other file, no blocking, no more memory than it is worth."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import av

from dfer.errors import ItemError
from dfer.video.images import MOST_PIXELS
from dfer.video.mp4_boxes import check_boxes
from dfer.video.regular_file import open_regular
from dfer.video.regular_file import shown as shown

av.logging.set_level(None)  # what is wrong with a file is said by the error, once

HEAD = 512
BUFFER = 1 << 17
MARGIN = 1 << 16  # decoders pad a frame; its true size is checked by us
UNDECLARED = ("flv", "mpeg", "mpegts")  # whose streams turn up late, past the limit on pixels
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot", b"styp", b"moof", b"sidx"}
SIGNATURES = {
    b"\x1a\x45\xdf\xa3": "matroska",
    b"FLV\x01": "flv",
    b"\x00\x00\x01\xba": "mpeg",
    b"OggS": "ogg",
    b"\x30\x26\xb2\x75": "asf",
    b"GIF8": "gif",
}


def container_format(head: bytes) -> str | None:
    """Name FFmpeg's reader from the first bytes of a file, None for anything that is no video container.

    A reader is never guessed by FFmpeg: playlists and edit lists, which open other files, have no name here.

    Example:
        >>> container_format(b"RIFF....AVI LIST"), container_format(b"#EXTM3U")
        ('avi', None)
    """
    if head[4:8] in MP4_BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:1] == b"G" and head[188:189] == b"G":
        return "mpegts"
    return SIGNATURES.get(head[:4])


@contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Turn whatever FFmpeg and the disk say about a file into one line."""
    try:
        yield
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise ItemError(
            f"{shown(path)} is damaged or cut off ({reason}); copy it again, or leave the clip out"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        if isinstance(error, ItemError):
            raise
        raise ItemError(f"cannot read {shown(path)}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def opened(path: Path, pixels: int = MOST_PIXELS) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first moving picture.

    FFmpeg reads through our file object and can open nothing else, whatever the file asks for.

    Args:
        pixels: the largest frame; more is refused as soon as the file claims it.

    Raises:
        ItemError: no regular file, no video, no moving picture, no decoder, or frames that are too large.
    """
    with blamed(path):
        file = open_regular(path)
    disk = _Disk(file)
    with file:
        try:
            with blamed(path):
                container = _container(path, disk, 2 * pixels + MARGIN)
            with container:
                yield container, _moving_picture(path, container, pixels)
        finally:
            if disk.failure is not None:
                reason = disk.failure.strerror or disk.failure
                raise ItemError(f"cannot read {shown(path)}: {reason}") from disk.failure


def announced_frames(container: Any, stream: Any) -> int:
    """Count the frames that the file's index lists, without those an edit list leaves out; 0: it has none."""
    if stream.frames and container.format.name.startswith("mov"):
        return len(stream.index_entries)
    frames: int = stream.frames
    return frames


class _Disk:
    """A file as FFmpeg reads it: where the disk fails the file ends, and the failure is kept to be said."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.failure = file, None

    failure: OSError | None

    def read(self, size: int) -> bytes:
        try:
            return self.file.read(size)
        except OSError as error:
            self.failure = error
            return b""

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self.file.seek(place, whence)
        except OSError:
            return -EINVAL  # a damaged file sends its reader before its beginning

    def tell(self) -> int:
        return self.file.tell()


def _container(path: Path, file: _Disk, pixels: int) -> Any:
    head = file.read(HEAD)
    if not head and file.failure is None:
        raise ItemError(f"{shown(path)} is empty (0 bytes); copy it again, or leave the clip out")
    name = container_format(head)
    if name is None:
        raise ItemError(f"{shown(path)} is no video file that can be read; convert it to mp4, or leave the clip out")
    if name == "mov":
        check_boxes(file.file, shown(path))
    file.seek(0)
    return av.open(
        file,
        format=name,
        options={"protocol_whitelist": "none", "max_pixels": str(pixels)},
        container_options={"codec_whitelist": "none"} if name in UNDECLARED else {},  # opening decodes nothing
        metadata_errors="replace",
        buffer_size=BUFFER,
        io_open=lambda *_: BytesIO(),  # any other file is an empty one
    )


def _moving_picture(path: Path, container: Any, pixels: int) -> Any:
    pictures = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not pictures:
        what = "pictures besides its cover" if container.streams.video else "pictures (sound only?)"
        raise ItemError(f"{shown(path)} holds no {what}; leave the clip out")
    context = pictures[0].codec_context
    if context is None:
        raise ItemError(f"{shown(path)} is coded in a way that cannot be read; convert it to H.264 in mp4")
    check_size(path, context.width, context.height, pixels)
    context.options = {"max_pixels": str(2 * pixels + MARGIN)}
    return pictures[0]


def is_whole(packet: Any, container: Any) -> bool:
    """Tell whether a piece of data can be decoded; in streams made for broadcast a hole in it is no lost frame."""
    return not packet.is_corrupt or container.format.name.startswith("mpeg")


def is_shown(packet: Any, stream: Any) -> bool:
    """Tell whether a piece of data makes a frame to show: not left out by an edit list, nor only referred to."""
    hidden = stream.codec_context.name == "vp8" and packet.size and not memoryview(packet)[0] & 0x10
    return not (packet.is_discard or hidden)


def check_size(path: Path, width: int, height: int, pixels: int) -> None:
    """Refuse frames of more pixels than allowed.

    Raises:
        ItemError: too large.
    """
    if width * height > pixels:
        raise ItemError(
            f"{shown(path)} has frames of {width} x {height}; at most {pixels:,} pixels are read; make it smaller"
        )
