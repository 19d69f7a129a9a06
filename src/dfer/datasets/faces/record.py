"""What a folder of face clips says of itself: how they were cut, and which videos are done."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

from dfer.datasets.faces.clips import MAX_RATE, Clip, Cut, CutSettings, writable
from dfer.datasets.faces.sources import Source
from dfer.errors import InputError
from dfer.runs import held, write_atomically
from dfer.video.crop import FaceGeometry
from dfer.video.detect import FaceDetector
from dfer.video.whole_frame import WholeFrame

ABOUT: Final = "faces.json"
_FORMAT: Final = 1
_PACKAGES: Final = {"blaze_face": ("mediapipe",), "cascade": ("scikit-image",)}
_COMPARED: Final = ("layout", "detector", "detector_model", "geometry", "settings")


def describe(layout: str, detector: FaceDetector, model: Path | None, settings: CutSettings) -> dict[str, Any]:
    """Describe how clips are cut, plain JSON, as ``faces.json`` holds it.

    Clips of whole frames have no geometry: their faces lie anywhere.

    Raises:
        InputError: the detector's model cannot be read.
    """
    chosen = asdict(settings)
    geometry = chosen.pop("geometry")
    known = {} if isinstance(detector, WholeFrame) else {"geometry": geometry}
    try:
        digest = None if model is None else hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read the face detector {model}: {error.strerror or error}") from error
    return {
        "format": _FORMAT,
        "layout": layout,
        **known,
        "detector": detector.name,
        "detector_model": digest,
        "settings": {**chosen, "max_rate": MAX_RATE},
        "versions": {name: version(name) for name in ("dfer", "av", "torch", *_PACKAGES.get(detector.name, ()))},
    }


def read_faces(place: Path) -> dict[str, Any] | None:
    """Read how the clips of a data set were cut; None where nothing says it.

    Args:
        place: the data set's folder, or a file in it.

    Raises:
        InputError: ``faces.json`` is damaged.
    """
    path = (place if place.is_dir() else place.parent) / ABOUT
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text())
        if about["format"] != _FORMAT or not isinstance(about["detector"], str):
            raise ValueError(f"format {about['format']}")
        if "geometry" in about:
            FaceGeometry.from_dict(about["geometry"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or of another version; make the clips again, or delete it: how they were cut is then "
            "unknown"
        ) from error
    return dict(about)


class FaceRecord:
    """The videos that are done, each with what became of it, in ``OUT/.dfer/faces.jsonl``: one line a video.

    Use it in a ``with``: it holds a lock, and throws away what an interrupted run left half.
    """

    def __init__(self, out: Path, root: Path) -> None:
        self.out, self.root = out, root
        self.hidden = out / ".dfer"
        self.partial = self.hidden / "cutting"
        self._path = self.hidden / "faces.jsonl"
        self._done: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        with writable(self.out):
            self.hidden.mkdir(parents=True, exist_ok=True)
            self._holding = ExitStack()
            self._holding.enter_context(held(self.out))
        shutil.rmtree(self.partial, ignore_errors=True)
        for line in self._path.read_text().splitlines() if self._path.is_file() else ():
            with suppress(ValueError):  # torn: the disk was full, or the machine stopped
                entry = json.loads(line)
                self._done[entry["video"]] = entry
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        self._holding.close()

    @property
    def videos(self) -> frozenset[str]:
        """Name the videos that are done."""
        return frozenset(self._done)

    def start(self, about: Mapping[str, Any], overwrite: bool) -> None:
        """Begin; or go on, where the settings are the same.

        Raises:
            InputError: the clips that are there were cut otherwise.
        """
        if overwrite:
            for video in list(self._done):
                self.forget(video)
            with writable(self.out):
                self._path.unlink(missing_ok=True)
        elif difference := _difference(read_faces(self.out) or about, about):
            raise InputError(
                f"{self.out} holds clips cut with other settings ({difference}); give the same, name another folder, "
                "or cut all again with --overwrite"
            )
        write_atomically(self.out / ABOUT, json.dumps(about, indent=2) + "\n")

    def find(self, source: Source) -> Cut | None:
        """Tell what became of a video that is as it was; None where it must be cut (again).

        What could not be read is tried again: rights change without a trace.
        """
        entry = self._done.get(source.video)
        if entry is None or entry["fault"] == "unreadable" or entry["clip"] != source.clip:
            return None
        if [entry["size"], entry["mtime_ns"]] != _stamp(self.root / source.video):
            return None
        cut = Cut(tuple(Clip(*clip) for clip in entry["clips"]), entry["fault"], entry["detail"])
        return cut if all((self.out / clip.clip).is_dir() for clip in cut.clips) else None

    def add(self, source: Source, stamp: list[int], cut: Cut) -> None:
        """Write down what became of a video.

        Args:
            stamp: as `stamp` gave it before the video was read.
        """
        entry = {"video": source.video, "clip": source.clip, "size": stamp[0], "mtime_ns": stamp[1]}
        entry |= {"clips": [list(clip) for clip in cut.clips], "fault": cut.fault, "detail": cut.detail}
        self._write(entry)
        self._done[source.video] = entry

    def stamp(self, source: Source) -> list[int]:
        """Give a video's size and time of change, by which a change is noticed."""
        return _stamp(self.root / source.video)

    def forget(self, video: str) -> None:
        """Remove the clips of a video, and folders that they leave empty."""
        entry = self._done.pop(video, None)
        for clip, *_ in entry["clips"] if entry else ():
            folder = self.out / clip
            with writable(self.out):
                if folder.is_dir():
                    self.partial.mkdir(exist_ok=True)
                    folder.replace(self.partial / "removed")  # at once, then frame by frame
                    shutil.rmtree(self.partial / "removed")
            with suppress(OSError):
                for parent in folder.relative_to(self.out).parents[:-1]:
                    (self.out / parent).rmdir()

    def _write(self, entry: Mapping[str, Any]) -> None:
        with writable(self.out), self._path.open("a") as file:
            file.write("\n" * (file.tell() > 0) + json.dumps(entry))  # what was torn before harms no new line


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the first setting that differs; empty where none does."""
    for name in _COMPARED:
        one, other = before.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
            if keys:
                return f"{keys[0]} {one.get(keys[0])}, now {other.get(keys[0])}"
        elif one != other:
            return f"{name.replace('_', ' ')} {one}, now {other}"
    return ""


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [-1, -1]
    return [found.st_size, found.st_mtime_ns]
