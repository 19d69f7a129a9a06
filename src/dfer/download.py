"""Files that others publish: fetched once, kept, and verified each time they are used."""

import hashlib
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from dfer.errors import InputError
from dfer.runs import write_atomically

PATIENCE = 30.0  # seconds without a byte; torch itself waits for ever

log = logging.getLogger("dfer")


def cached(url: str) -> Path:
    """Name the file that `download` keeps of an address, there or not: in torch's cache, as all weights."""
    import torch.hub  # here, because it takes a second

    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2].partition("?")[0]


def download(url: str, digest: str | None = None, *, instead: str = "give its path as weights") -> Path:
    """Fetch a file once into torch's cache and verify its SHA-256 each time.

    The digest is the one given; else that whose first eight digits torchvision's file names end in. Then the whole
    digest is recorded beside the file at first use, said aloud, and verified ever after.

    Args:
        instead: what to do with a file that was fetched elsewhere.

    Raises:
        InputError: no network, or a file that is not what it was.
    """
    path = cached(url)
    if not path.is_file():
        _fetch(url, path, instead)
    name = path.name
    record = path.with_name(f"{name}.sha256")
    hashed = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    known = digest or (record.read_text().strip() if record.is_file() else hashed[1] if hashed else "")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(known.lower()):
        raise InputError(f"{path} has SHA-256 {found}, not {known}; delete it and fetch it again")
    if not digest and not record.is_file():
        write_atomically(record, found + "\n")
        log.warning("%s: recorded SHA-256 %s at first use; it is verified from now on", name, found)
    return path


def _fetch(url: str, path: Path, instead: str) -> None:
    import torch.hub

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _patience():
            torch.hub.download_url_to_file(url, str(path))
    except (OSError, HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise InputError(f"cannot fetch {url} ({reason}); fetch it elsewhere and {instead}") from error


@contextmanager
def _patience() -> Iterator[None]:
    """Give up on a silent server; torch's download takes no time limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
