"""What ``dfer predict`` has done in a folder: a line per video, and whose output is whose."""

import csv
import hashlib
import io
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from dfer.errors import InputError
from dfer.runs import held, write_atomically
from dfer.video.container import shown

KIND: Final = "dfer predict"
FORMAT: Final = 1
LONGEST: Final = 100
"""Bytes of an output's name, before its endings."""
PATIENCE: Final = 20
"""The summary is written again after so many times as long as writing it took."""
State = Literal["done", "damaged", "failed"]


@dataclass(frozen=True)
class Entry:
    """What became of one video.

    ``damaged`` videos were read in part; ``error`` says what is wrong with them, and with those that failed. ``asked``
    stands for the model and the settings, ``size`` and ``modified`` for the video as it was. ``label`` is shown
    longest, for ``share`` of the faces' time; None where nothing is said.
    """

    video: str
    name: str
    state: State
    error: str = ""
    seconds: float | None = None
    faces: int | None = None
    label: str | None = None
    share: float | None = None
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    asked: str = ""
    size: int = -1
    modified: int = -1


@dataclass
class Summary:
    """The folder's ``summary.json``, by which a second run knows what is done, and ``summary.csv`` for people."""

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    _next: float = 0.0

    @classmethod
    def open(cls, folder: Path) -> "Summary":
        """Read what was done in a folder, which may be new.

        Raises:
            InputError: no folder, one of other files, or a damaged summary.
        """
        path = folder / "summary.json"
        try:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"--out {shown(folder)} is a file; give a folder")
            if path.is_file():
                return cls(folder, _read(path))
            if folder.is_dir() and any(folder.iterdir()):
                raise InputError(
                    f"--out {shown(folder)} holds other files and no summary.json; give a new folder, so that "
                    "nothing is overwritten"
                )
        except OSError as error:
            raise InputError(f"cannot read {shown(folder)}: {error.strerror or error}; give another --out") from error
        return cls(folder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder to oneself, and know what others did in it until now.

        Raises:
            InputError: another run writes to it, or it cannot be written to.
        """
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.folder))
            except OSError as error:
                reason = error.strerror or error
                raise InputError(f"cannot write {shown(self.folder)}: {reason}; give another --out") from error
            if (self.folder / "summary.json").is_file():
                self.entries = _read(self.folder / "summary.json")
            yield

    def name(self, video: Path) -> str:
        """Give a video the name of its outputs: its own, made safe, and apart from those of all other videos."""
        source = str(video.absolute())
        if source in self.entries:
            return self.entries[source].name
        taken = {entry.name.casefold() for entry in self.entries.values()}
        plain = safe(video.stem)
        if plain.casefold() not in taken and plain.casefold() != "summary":
            return plain
        digest = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()
        numbered = (f"{plain}-{digest[:size]}" for size in range(6, 65))
        return next(name for name in numbered if name.casefold() not in taken)

    def finished(self, video: Path, asked: str, endings: Sequence[str]) -> Entry | None:
        """Find what was made of a video, if neither it nor what is asked has changed, and all of it is still there.

        Args:
            endings: of the outputs that are wanted.
        """
        entry = self.entries.get(str(video.absolute()))
        if entry is None or entry.state == "failed" or entry.asked != asked:
            return None
        if (entry.size, entry.modified) != stamp(video):
            return None
        wanted = {f"{entry.name}{ending}" for ending in endings}
        there = all((self.folder / name).is_file() for name in wanted)
        return entry if wanted <= set(entry.outputs) and there else None

    def add(self, entry: Entry) -> None:
        """Note what became of a video; now and then all is written."""
        self.entries[entry.video] = entry
        if time.monotonic() >= self._next:
            self.save()

    def save(self) -> None:
        """Write all that is known.

        Raises:
            InputError: the folder cannot be written to.
        """
        begin = time.monotonic()
        found = [asdict(entry) for entry in self.entries.values()]
        whole = {"kind": KIND, "format": FORMAT, "files": found}
        write_atomically(self.folder / "summary.json", json.dumps(whole, indent=1) + "\n")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = ["video", "state", "seconds", "faces", "label", "share", "error", "outputs", "notes"]
        writer.writerow(columns)
        for one in self.entries.values():
            lists = {"outputs": " ".join(one.outputs), "notes": " ".join(one.notes), "video": shown(one.video)}
            writer.writerow([{**asdict(one), **lists}[name] for name in columns])
        write_atomically(self.folder / "summary.csv", text.getvalue().encode(errors="backslashreplace"))
        now = time.monotonic()
        self._next = now + PATIENCE * (now - begin)


def safe(stem: str) -> str:
    """Make a name that no shell, file system or web server stumbles over, as near to a video's own as can be.

    Example:
        >>> safe("-my clip\\n(1) %d.final"), safe("Übung 3"), safe("…")
        ('my_clip_1_d.final', 'Übung_3', 'video')
    """
    kept = re.sub(r"[^\w.-]+", "_", stem.encode(errors="replace").decode()).strip("-_.")
    kept = kept.encode()[:LONGEST].decode(errors="ignore").strip("-_.")
    return kept or "video"


def stamp(path: Path) -> tuple[int, int]:
    """Tell a file's size and when it was changed; (-1, -1) if it is not there."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _read(path: Path) -> dict[str, Entry]:
    wrong = InputError(
        f"{shown(path)} is no summary of dfer predict, or damaged; give a new --out, or remove the folder"
    )
    try:
        content: Any = json.loads(path.read_text())
        if content["kind"] != KIND or content["format"] != FORMAT:
            raise wrong
        lists = ("outputs", "notes")
        entries = [Entry(**{**one, **{name: tuple(one[name]) for name in lists}}) for one in content["files"]]
        if any(entry.name != safe(entry.name) for entry in entries):
            raise wrong  # names are joined to the folder: none may lead out of it
    except (ValueError, KeyError, TypeError) as error:
        raise wrong from error
    return {entry.video: entry for entry in entries}
