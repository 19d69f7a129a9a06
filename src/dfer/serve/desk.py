"""Who is let in, and how far each request is."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from dfer.serve.problems import RequestError

Stage = Literal["none", "uploading", "waiting", "recognising"]
"""``none``: no request with this id is under way, not yet or no more."""


@dataclass
class Visit:
    """A request that was let in: bytes are counted while it uploads, seconds of video while it is recognised."""

    stage: Stage = "uploading"
    done: float = 0.0
    total: float | None = None

    def at(self, stage: Stage, done: float = 0.0, total: float | None = None) -> None:
        """Note how far it is."""
        self.stage, self.done, self.total = stage, done, total


NOBODY: Final = Visit("none")


class Desk:
    """Lets in as many requests as there are places; the others are told at once to come back.

    Example:
        >>> desk = Desk(places=1)
        >>> with desk.admitted(None):
        ...     desk.taken
        1
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self.visits: dict[str, Visit] = {}
        self._typical = 1.0

    @contextmanager
    def admitted(self, name: str | None) -> Iterator[Visit]:
        """Take a place; with a name its progress can be asked for.

        Raises:
            RequestError: no place is free (429), or the name is another request's (409).
        """
        if name in self.visits:
            raise RequestError(409, "id_taken", "a request with this id is under way; choose another id")
        if self.taken >= self.places:
            wait = self.retry_after()
            text = f"{self.taken} videos are being worked on, which is the limit; try again in {wait} s"
            raise RequestError(429, "busy", text, retry_after=wait)
        visit = Visit()
        self.taken += 1
        if name is not None:
            self.visits[name] = visit
        try:
            yield visit
        finally:
            self.taken -= 1
            if name is not None:
                del self.visits[name]

    def took(self, seconds: float) -> None:
        """Learn how long a recognition takes, the last ones counting most."""
        self._typical += 0.3 * (seconds - self._typical)

    def retry_after(self) -> int:
        """Say in how many whole seconds a place may be free."""
        return max(1, min(60, math.ceil(self._typical)))
