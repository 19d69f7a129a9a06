"""How a packed copy is made: clip after clip, with a journal, so that what was stopped goes on where it was."""

import functools
import hashlib
import json
import os
import signal
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
import simplejpeg
from torch.utils.data import DataLoader, Dataset, Subset

from dfer.datasets.index import FOLDER, ClipIndex, progress_bar
from dfer.datasets.packed.packed import Packed, digest
from dfer.datasets.packed.table import FORMAT, FRAMES, TABLE, About, Table
from dfer.errors import InputError, ItemError, one_line
from dfer.runs import write_atomically
from dfer.transforms.presets import Frame
from dfer.transforms.spatial import resize
from dfer.video.decode import read_frames
from dfer.video.images import read_image

JOURNAL: Final = "journal.jsonl"
# Measured on faces, JPEG of 256 px and 14 KB squeezed to 128 px, against the same pixels before they are encoded: mean
# difference in grey levels of 255, share of the disk, time to decode. 4:2:0 1.1, 0.54, 90 us; 4:2:2 1.0, 0.58, 105 us;
# 4:4:4 0.8, 0.64, 115 us. At quality 90 4:2:0 differs by 1.7 and is 10 us quicker.
QUALITY: Final = 96
SUBSAMPLING: Final = "420"

_AT_ONCE: Final = 2**28  # bytes of decoded video


class Piece(NamedTuple):
    """One clip as it was packed; ``data`` is what goes into the file."""

    data: bytes
    lengths: list[int]
    sums: list[int]
    digest: bytes
    originals: int

    def line(self) -> bytes:
        """Give the clip's line of the journal."""
        return json.dumps([self.lengths, self.sums, self.digest.hex(), self.originals]).encode() + b"\n"


class Packing(Dataset[Piece]):
    """The work of packing these entries of an index; item = one clip.

    Args:
        old: an earlier copy of the same kind; clips that it holds as they are now are taken from it.
    """

    def __init__(self, index: ClipIndex, entries: Sequence[int], about: About, old: Packed | None = None) -> None:
        self.index, self.entries, self.about = index, entries, about
        same = old is not None and (old.size, old.raw) == (about.size, about.raw)
        self.old = old if same and old is not None and old.table.about.quality == about.quality else None

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, n: int) -> Piece:
        entry = self.entries[n]
        seen, originals = digest(self.index, entry)  # first: what changes from here on is noticed when it is read
        pieces = self._from_old(entry, seen) or [self._encode(*found) for found in self._frames(entry)]
        return Piece(
            b"".join(pieces), [len(one) for one in pieces], [zlib.crc32(one) for one in pieces], seen, originals
        )

    def key(self) -> str:
        """Give what tells this work from another: everything that decides a byte of it."""
        whole = hashlib.sha256(json.dumps([FORMAT, asdict(self.about)]).encode())
        for entry in self.entries:
            whole.update(os.fsencode(self.index.clips[entry]) + b"\0" + self.index.stamps[entry].tobytes())
        return whole.hexdigest()

    def table(self, pieces: Sequence[Piece]) -> Table:
        """Give the table of the whole copy."""
        lengths = [length for piece in pieces for length in piece.lengths]
        return Table(
            about=replace(self.about, originals=sum(piece.originals for piece in pieces)),
            clips=tuple(self.index.clips[entry] for entry in self.entries),
            bounds=np.cumsum([0, *lengths], dtype=np.int64),
            sums=np.array([one for piece in pieces for one in piece.sums], np.uint32),
            first=np.cumsum([0, *(len(piece.lengths) for piece in pieces)], dtype=np.int64),
            stamps=self.index.stamps[list(self.entries)],
            digests=np.frombuffer(b"".join(piece.digest for piece in pieces), np.uint8).reshape(-1, 16),
        )

    def _from_old(self, entry: int, seen: bytes) -> list[bytes]:
        """Take a clip from the earlier copy, if it is whole there and has not changed; nothing otherwise."""
        row = int(self.old.rows[entry]) if self.old is not None else -1
        if self.old is None or row < 0 or self.old.table.digests[row].tobytes() != seen or self.old.damaged(entry):
            return []
        first, end = self.old.table.first[row : row + 2]
        pieces = [bytes(self.old.stored(at)) for at in range(first, end)]
        return pieces if all(pieces) else []  # what could not be read then may be readable now

    def _frames(self, entry: int) -> Iterator[tuple[Frame | None, bytes]]:
        """Decode a clip; give each frame (None where it cannot be read) and the file that it alone is in."""
        path = Path(self.index.path(entry))
        if self.index.kinds[entry] != FOLDER:
            for frame in _video(path, int(self.index.counts[entry])):
                yield frame, b""
            return
        for name in self.index.frame_names(entry):
            try:
                data = (path / name).read_bytes()
                yield read_image(data), data
            except PermissionError as error:
                raise InputError(f"cannot read {path / name}: {error.strerror}; allow it") from error
            except (OSError, ItemError):
                yield None, b""

    def _encode(self, frame: Frame | None, original: bytes) -> bytes:
        """Give a frame's bytes in the copy."""
        if frame is None:
            return b""
        size = self.about.size
        if self.about.raw:
            return resize([frame], size).numpy().tobytes()  # planes, as the transform wants them
        if max(frame.shape[:2]) <= size:
            if _is_jpeg_of(original, frame):
                return original
        else:
            frame = resize([frame], size)[0].permute(1, 2, 0).contiguous().numpy()
        return bytes(simplejpeg.encode_jpeg(frame, quality=QUALITY, colorsubsampling=SUBSAMPLING))


def pack(partial: Path, work: Packing, workers: int) -> Table:
    """Fill a folder with a packed copy, from where an earlier start left off, if it was of the same work.

    Args:
        workers: processes; 0 works here.

    Raises:
        InputError: the folder cannot be written to, the disk is full, or a file may not be read.
        KeyboardInterrupt: stopped by Ctrl-C; what was done stays done.
    """
    pieces: list[Piece] = []
    try:
        with _opened(partial / FRAMES) as blob, _opened(partial / JOURNAL) as journal, progress_bar() as progress:
            task = progress.add_task("packing", total=len(work))
            for piece in _resume(blob, journal, work):
                pieces.append(piece)
                progress.advance(task)
            if pieces:
                print(f"{len(pieces)} of {len(work)} clips are packed already", file=sys.stderr)
            for piece in _shared_out(Subset(work, range(len(pieces), len(work))), workers):
                blob.write(piece.data)
                blob.flush()
                journal.write(piece.line())
                journal.flush()
                pieces.append(piece._replace(data=b""))
                progress.advance(task)
            os.fsync(blob.fileno())
        table = work.table(pieces)
        write_atomically(partial / TABLE, table.to_bytes())
        return table
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"stopped: {_so_far(pieces, work)}") from error
    except InputError as error:
        raise InputError(f"{one_line(error)}; {_so_far(pieces, work)}") from error
    except OSError as error:
        raise InputError(f"cannot write {partial}: {error.strerror or error}; {_so_far(pieces, work)}") from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        hint = "give fewer --workers if memory ran out"
        raise InputError(f"a process that decodes was ended ({hint}); {_so_far(pieces, work)}") from error


def _shared_out(work: Subset[Piece], workers: int) -> Iterator[Piece]:
    """Go over clips in order, some processes ahead of us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever wants more processes than cores shall have them
        begin = functools.partial(_begin, os.getpid())
        loader = DataLoader(work, batch_size=None, num_workers=workers, collate_fn=_same, worker_init_fn=begin)
    yield from loader


def _begin(parent: int, worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the main process ends the others
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the main process was killed: a worker that waits to hand over a clip would, and keep the lock."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _so_far(pieces: Sequence[Piece], work: Packing) -> str:
    return f"{len(pieces)} of {len(work)} clips are packed, and the same command goes on from there"


def _opened(path: Path) -> IO[bytes]:
    path.touch()
    return path.open("r+b")


def _resume(blob: IO[bytes], journal: IO[bytes], work: Packing) -> Iterator[Piece]:
    """Give the clips that an earlier start finished, each checked; put both files to where the next one goes."""
    header = json.dumps({"work": work.key()}).encode() + b"\n"
    lines = journal.readlines()
    kept = end = 0
    if lines[:1] == [header]:
        kept = len(header)
        for line in lines[1 : len(work) + 1]:
            piece = _parsed(line)
            if piece is None or not _holds(blob, piece):
                break
            yield piece
            kept, end = kept + len(line), end + sum(piece.lengths)
    for file, length in ((blob, end), (journal, kept)):
        file.truncate(length)
        file.seek(length)
    if not kept:
        journal.write(header)
        journal.flush()


def _parsed(line: bytes) -> Piece | None:
    """Read a line of a journal; None where it was not written whole."""
    try:
        lengths, sums, seen, originals = json.loads(line)
        return Piece(b"", lengths, sums, bytes.fromhex(seen), originals) if line.endswith(b"\n") else None
    except (ValueError, TypeError):
        return None


def _holds(blob: IO[bytes], piece: Piece) -> bool:
    """Read a clip on from where the file stands, and say whether it is whole: a power cut may have lost some of it."""
    for length, known in zip(piece.lengths, piece.sums):
        data = blob.read(length)
        if len(data) != length or zlib.crc32(data) != known:
            return False
    return True


def _video(path: Path, count: int) -> Iterator[Frame | None]:
    """Decode all frames of a video, some at once; None for those that others would stand in for."""
    start, many = 0, 16
    while start < count:
        wanted = list(range(start, min(start + many, count)))
        found = _decoded(path, wanted)
        if len({id(frame) for frame in found}) == len(wanted):
            yield from found
            many = max(1, _AT_ONCE // found[0].nbytes)
        else:  # a frame asked for alone has none to stand in for it
            for i in wanted:
                yield next(iter(_decoded(path, [i])), None)
        start += len(wanted)


def _decoded(path: Path, wanted: Sequence[int]) -> list[Frame]:
    """Decode frames of a video; none where half of them cannot be."""
    try:
        return read_frames(path, np.array(wanted))
    except (ItemError, IndexError):
        return []


def _is_jpeg_of(data: bytes, frame: Frame) -> bool:
    """Say whether plain decoding of a file gives this frame, so that the file itself can be kept."""
    try:
        return data[:2] == b"\xff\xd8" and np.array_equal(simplejpeg.decode_jpeg(data), frame)
    except ValueError:
        return False


def _same(piece: Any) -> Any:
    return piece
