"""The table of a packed copy: which bytes are which frame, and what they were made from; its own hash guards it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

FRAMES: Final = "frames.bin"
TABLE: Final = "table.safetensors"
FORMAT: Final = "1"

_NO_HASH: Final = "0" * 64


class TableError(ValueError):
    """What is wrong with a table; ``about`` is what could be read of it."""

    def __init__(self, reason: str, about: "About | None" = None) -> None:
        super().__init__(reason)
        self.about = about


@dataclass(frozen=True)
class About:
    """What a packed copy is.

    Args:
        name: the data set's class.
        place: the root that was packed, for messages alone: data may move.
        index: the index's name.
        media: of the data set's kinds; empty where there is one alone.
        size: side of the frames in pixels.
        raw: pixels, not JPEG.
        quality: of the JPEG; what was made otherwise is no part of a copy.
        originals: bytes of the files that were packed.
    """

    name: str
    place: str
    index: str
    media: str
    size: int
    raw: bool
    quality: str
    originals: int = 0


@dataclass(frozen=True)
class Table:
    """Where every frame of a packed copy lies, and what each clip was made from.

    Shape:
        bounds ``(F + 1,)`` int64: frame f is the bytes from one bound to the next, none where it could not be read;
        sums ``(F,)`` uint32: the CRC-32 of those bytes; first ``(N + 1,)`` int64: the first frame of each clip;
        stamps ``(N, 2)`` int64, as in the index; digests ``(N, 16)`` uint8: of a clip's files.
    """

    about: About
    clips: tuple[str, ...]
    bounds: NDArray[np.int64]
    sums: NDArray[np.uint32]
    first: NDArray[np.int64]
    stamps: NDArray[np.int64]
    digests: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """Give the content of the table's file; the same table gives the same bytes."""
        arrays: dict[str, NDArray[Any]] = {
            "bounds": self.bounds,
            "sums": self.sums,
            "first": self.first,
            "stamps": self.stamps,
            "digests": self.digests,
            "clips": np.frombuffer("".join(f"{clip}\0" for clip in self.clips).encode(errors="surrogateescape"), "u1"),
        }
        about = json.dumps({"sha256": _NO_HASH, "format": FORMAT, "about": asdict(self.about)})
        content = save(arrays, metadata={"packed": about})
        return content.replace(_NO_HASH.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def read_table(path: Path) -> Table:
    """Read a table and check it against its own hash.

    Raises:
        TableError: of another format, cut short, or damaged.
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    about = None
    try:
        length = int.from_bytes(content[:8], "little")
        packed = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["packed"])
        if packed["format"] != FORMAT:
            raise TableError(f"is of format {packed['format']}, not {FORMAT}")
        about = About(**packed["about"])
        if (
            hashlib.sha256(content.replace(packed["sha256"].encode(), _NO_HASH.encode(), 1)).hexdigest()
            != (packed["sha256"])
        ):
            raise TableError("is damaged or cut short", about)
        arrays = load(content)
        clips = arrays.pop("clips").tobytes().decode(errors="surrogateescape").split("\0")[:-1]
        return Table(about, tuple(clips), **arrays)
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError("is damaged or cut short", about) from error
