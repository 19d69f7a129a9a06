"""What the service allows: sizes, times, how many at once."""

import math
from dataclasses import dataclass
from typing import Final

from dfer.errors import InputError

MEGABYTE: Final = 1_000_000
OVERHEAD: Final = 16 * 1024
"""Bytes that a form may have around its video."""
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """Limits of the service; every one of them is checked before memory or time is spent.

    Args:
        max_pixels: of a frame.
        max_seconds: of a video.
        deadline: seconds from a request's first byte to its answer: upload, waiting and recognition.
        workers: processes that recognise, one video each.
        queue: requests that may wait, or upload, beside the ones being recognised.
        hosts: names under which the service may be asked; empty: any. Keeps a foreign page, whose name was made to
            point at this machine, from reading answers.

    Raises:
        InputError: a limit of zero or less.
    """

    max_megabytes: float = 200
    max_pixels: int = 8192 * 4320
    max_seconds: float = 300.0
    deadline: float = 300.0
    workers: int = 1
    queue: int = 1
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_pixels", "max_seconds", "deadline", "workers"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name.replace('_', '-')} is {value}; it must be more than 0")
        if self.queue < 0:
            raise InputError(f"--queue is {self.queue}; it must be 0 or more")

    @property
    def max_bytes(self) -> int:
        """The largest video, in bytes."""
        return int(self.max_megabytes * MEGABYTE)

    @property
    def places(self) -> int:
        """Requests that are let in at the same time."""
        return self.workers + self.queue
