"""Opening a file that may be anything: a pipe that never ends, a device, a link to nowhere."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from dfer.errors import ItemError

KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFIFO: "it is a pipe, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
    stat.S_IFCHR: "it is a device, not a file",
    stat.S_IFBLK: "it is a device, not a file",
}


def shown(path: Path | str) -> str:
    """Write a path on one line: what cannot be printed is escaped.

    Example:
        >>> shown("two\\nlines.mp4")
        'two\\\\nlines.mp4'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it, without a buffer; never waits.

    Raises:
        ItemError: a folder, a pipe, a socket or a device.
        OSError: it is missing, or may not be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):  # asked before opening: a pipe would block, some devices act
        raise ItemError(f"cannot read {shown(path)}: {KINDS.get(stat.S_IFMT(mode), 'it is not a file')}")
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    return os.fdopen(handle, "rb", buffering=0)
