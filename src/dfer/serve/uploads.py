"""A video out of a multipart form into a file that is gone when the request is."""

import asyncio
import io
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from dfer.serve.desk import Visit
from dfer.serve.problems import RequestError
from dfer.serve.settings import OVERHEAD

T = TypeVar("T")
FIELD: Final = "video"
LONGEST_NAME: Final = 100
BUFFER: Final = 1 << 20
SILENCE: Final = 20.0
"""Seconds for which a client may send nothing and keep its place."""
logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # a bad form is its sender's to hear of
HINT: Final = f"send the video as the field {FIELD!r} of a form (curl -F {FIELD}=@FILE)"


@dataclass(frozen=True)
class Upload:
    """A video that has arrived: where it lies, what its sender called it, safe to show, and its bytes."""

    path: Path
    name: str
    size: int


def shown_name(claimed: str) -> str:
    """Make a client's file name safe to show: its last part, one line, nothing that cannot be printed.

    Example:
        >>> shown_name("../../etc/pass" + chr(10) + "wd"), shown_name(chr(0)), shown_name("C:/a %22b%22.mp4")
        ('passwd', 'video', 'a "b".mp4')
    """
    for letter, sent in (('"', "%22"), ("\n", "%0A"), ("\r", "%0D")):  # as browsers send these three, and no other
        claimed = claimed.replace(sent, letter)
    last = claimed.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(letter for letter in last if letter.isprintable()).strip()
    return kept[:LONGEST_NAME] or FIELD


def check_length(request: Request, limit: int) -> None:
    """Refuse a body that says itself that it is too large.

    Raises:
        RequestError: it does (413).
    """
    claimed = request.headers.get("content-length", "0")
    if claimed.isdecimal() and int(claimed) > limit + OVERHEAD:
        raise _too_large(limit)


@asynccontextmanager
async def received(request: Request, folder: Path, limit: int, visit: Visit) -> AsyncIterator[Upload]:
    """Write the form's video into ``folder`` as it comes in; the file goes when the block is left.

    Raises:
        RequestError: not a form, no video in it or more than one (422), more than ``limit`` bytes (413), nothing came
            for too long (408), no room (507).
        ClientDisconnect: the client has left.
    """
    reader = _Reader(request.headers.get("content-type", ""), limit)
    path = folder / f"upload-{token_hex(8)}"
    with_file = ExitStack()
    with_file.callback(path.unlink, missing_ok=True)
    try:
        file = await _in_thread(lambda: with_file.enter_context(io.FileIO(path, "xb", opener=_private)))
        name = await _store(request, reader, file, visit)
        yield Upload(path, name, reader.video)
    finally:
        await _in_thread(with_file.close)


async def _store(request: Request, reader: "_Reader", file: io.FileIO, visit: Visit) -> str:
    length = request.headers.get("content-length", "")
    total = float(length) if length.isdecimal() else None
    chunks = request.stream()
    while (chunk := await _next(chunks)) is not None:
        reader.read(chunk)
        visit.at("uploading", reader.bytes, total)
        if len(reader.pending) >= BUFFER:
            await _in_thread(partial(_write, file, reader.take()))
    name = reader.end()
    await _in_thread(partial(_write, file, reader.take()))
    return name


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(SILENCE):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise RequestError(408, "slow", f"nothing came for {SILENCE:g} s; send the video again") from error


def _write(file: io.FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


async def _in_thread(work: Callable[[], T]) -> T:
    """Do what may have to wait for the disk without keeping other requests waiting.

    It is always done to its end, also when the request is broken off meanwhile.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
    except OSError as error:
        text = f"the upload could not be stored ({error.strerror or error})"
        raise RequestError(507, "no_room", text) from error


class _Reader:
    """Takes a multipart body in pieces and keeps the bytes of its video until they are written."""

    def __init__(self, content_type: str, limit: int) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RequestError(422, "not_multipart", f"the body is no multipart form; {HINT}")
        self.bytes = 0
        self.pending = bytearray()
        self._limit = limit
        self.video = 0  # bytes of it
        self._name: str | None = None
        self._over = False
        self._header, self._value = bytearray(), bytearray()
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise RequestError(422, "not_multipart", f"the form's boundary is too long; {HINT}") from error

    def read(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self.bytes > self._limit + OVERHEAD:
            raise _too_large(self._limit)
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise RequestError(422, "not_multipart", f"the form is damaged; {HINT}") from error

    def take(self) -> bytes:
        taken = bytes(self.pending)
        self.pending.clear()
        return taken

    def end(self) -> str:
        if not self._over:
            raise RequestError(422, "not_multipart", f"the form is empty or cut off; {HINT}")
        if self._name is None:
            raise RequestError(422, "no_video_field", f"the form has no field {FIELD!r}; {HINT}")
        return self._name

    def _begin_part(self) -> None:
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header.clear()
        self._value.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = options.get(b"name", b"").decode(errors="replace")
        if field != FIELD:
            text = f"the form has a field {shown_name(field)!r}, which is not known; {HINT}, options in the address"
            raise RequestError(422, "bad_form", text)
        if self._name is not None:
            raise RequestError(422, "bad_form", f"the form has more than one field {FIELD!r}; send one video at a time")
        self._name = shown_name(options.get(b"filename", b"").decode(errors="replace"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.video += end - start
        if self.video > self._limit:
            raise _too_large(self._limit)
        self.pending += data[start:end]

    def _end(self) -> None:
        self._over = True


def _too_large(limit: int) -> RequestError:
    return RequestError(413, "too_large", f"the upload is larger than {limit / 1e6:g} MB, which is the limit")
