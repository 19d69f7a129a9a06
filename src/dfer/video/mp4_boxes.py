"""What the header of an mp4 file claims, read before a decoder reserves tables for it."""

import os
from dataclasses import dataclass, field
from struct import unpack_from
from typing import BinaryIO

import numpy as np

from dfer.errors import ItemError

MOST_ENTRIES = 10_000_000  # 24 hours of 115 frames per second; some 700 MB of tables
ALWAYS_FINE = 100_000
MOST_BOXES = 2_000_000
MOST_HEADER = 128 << 20
DEEPEST = 12
PARENTS = {
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"moof", b"traf", b"meta"),
    *(b"hoov", b"tref", b"sinf", b"schi", b"wave", b"avss", b"iprp", b"ipco", b"strk"),
}
PLAIN_SOUND = {  # a chunk, not a sample, is an entry
    *(b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"fl64", b"lpcm", b"alaw", b"ulaw", b"ima4", b"MAC3"),
    *(b"MAC6", b"NONE", b"ipcm", b"fpcm", b"QDM2", b"QDMC", b".mp3", b"mp4a", b"agsm", b"ms\0\x02", b"ms\0\x11"),
}


@dataclass
class _Track:
    samples: int = 0
    edits: int = 0
    chunks: int = 0
    per_chunk: int = 0
    handler: bytes = b""
    code: bytes = b""
    steady: bool = True

    def entries(self) -> int:
        """How many rows a decoder's table of this track would have."""
        sound = self.steady and self.handler == b"soun" and self.code in PLAIN_SOUND
        rows = self.chunks * (self.per_chunk // 1024 + 1) if sound else self.samples
        return rows * max(1, self.edits)


@dataclass
class _Claims:
    tracks: list[_Track] = field(default_factory=lambda: [_Track()])
    others: int = 0
    boxes: int = 0
    packed: bool = False

    def entries(self) -> int:
        return self.others + sum(track.entries() for track in self.tracks)


def check_boxes(file: BinaryIO, name: str) -> None:
    """Refuse an mp4 file whose header asks for far larger tables than its data could fill.

    A few bytes can claim a billion frames, and a decoder reserves memory for all of them.

    Args:
        name: how the file is called in the message.

    Raises:
        ItemError: more frames and samples than bytes, or than ten million; or a header that hides its size.
    """
    size, at, claims = file.seek(0, os.SEEK_END), 0, _Claims()
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        begin, end = _extent(head, 0, size - at)
        if end < begin:
            break
        if head[4:8] in PARENTS or head[12:16] in (b"mvhd", b"cmov"):  # a decoder finds the latter anywhere
            if end > MOST_HEADER:
                raise ItemError(f"{name} has a header of {end >> 20} MB, which is not read; leave it out")
            file.seek(at)
            _walk(file.read(end), 0, end, claims, 0)
        claims.boxes += 1
        if claims.boxes > MOST_BOXES:
            raise ItemError(f"{name} has a header of over {MOST_BOXES:,} parts, which is not read; leave it out")
        at += end
    if claims.packed:
        raise ItemError(f"{name} has a compressed header, which is not read; convert it to plain mp4")
    if claims.entries() > min(MOST_ENTRIES, max(size, ALWAYS_FINE)):
        raise ItemError(
            f"{name} claims {claims.entries():,} frames and samples in {size:,} bytes, which is not read; leave it out"
        )


def _extent(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of the box at a place begins and ends; it ends first where this is no box."""
    length = unpack_from(">I", data, at)[0]
    if length == 1 and len(data) >= at + 16:
        return at + 16, min(at + unpack_from(">Q", data, at + 8)[0], end)
    return at + 8, end if length == 0 else min(at + length, end)


def _walk(data: bytes, at: int, end: int, claims: _Claims, depth: int) -> None:
    end = min(end, len(data))
    while at + 8 <= end and depth <= DEEPEST and claims.boxes <= MOST_BOXES:
        begin, stop = _extent(data, at, end)
        kind = data[at + 4 : at + 8]
        if stop < begin:
            return
        claims.boxes += 1
        if kind == b"trak":
            claims.tracks.append(_Track())
        if kind == b"meta":  # with or without four bytes before its first box
            begin = max(begin, data.find(b"hdlr", begin, begin + 64) - 4)
        if kind in PARENTS or data[begin + 4 : begin + 8] in (b"mvhd", b"cmov"):
            _walk(data, begin, stop, claims, depth + 1)
        elif stop - begin >= 8:
            _note(kind, data, begin, stop, claims)
        at = stop


def _note(kind: bytes, data: bytes, begin: int, end: int, claims: _Claims) -> None:
    """Take down what one box claims."""
    track = claims.tracks[-1]
    count = unpack_from(">I", data, begin + 4)[0]
    if kind == b"cmov":
        claims.packed = True
    elif kind in (b"stsz", b"stz2") and end - begin >= 12:
        track.samples = max(track.samples, unpack_from(">I", data, begin + 8)[0])
        track.steady &= count > 0
    elif kind == b"elst":
        track.edits = max(track.edits, count)
    elif kind in (b"stco", b"co64"):
        track.chunks = max(track.chunks, count)
    elif kind == b"stts":
        track.steady &= count == 1 and data[begin + 12 : begin + 16] == b"\0\0\0\1"
    elif kind == b"stsc":
        numbers = np.frombuffer(data[begin + 8 : begin + 8 + 12 * min(count, (end - begin - 8) // 12)], ">u4")
        track.per_chunk = max(track.per_chunk, int(numbers[1::3].max(initial=0)))
    elif kind == b"hdlr":
        track.handler = track.handler or data[begin + 8 : begin + 12]
    elif kind == b"stsd":
        track.code = data[begin + 12 : begin + 16]
    elif kind == b"trun":
        claims.others += count
    elif kind in (b"iinf", b"iloc"):
        claims.others += _items(kind, data, begin)


def _items(kind: bytes, data: bytes, begin: int) -> int:
    version, at = data[begin], begin + (4 if kind == b"iinf" else 6)
    wide = version > (0 if kind == b"iinf" else 1)
    return int.from_bytes(data[at : at + (4 if wide else 2)], "big")
