"""What tells drawn clips: a mark on disk, so that a model trained on them says so, and where their eyes are."""

import json
from pathlib import Path
from typing import Final

from dfer.runs import write_atomically
from dfer.video.crop import FaceGeometry

MARK: Final = "drawn.json"
DRAWN_GEOMETRY: Final = FaceGeometry(eye_distance=0.32, eye_height=0.455)
"""Where drawn clips have their eyes: where `BlazeFace` sees them, and 5 % nearer, as training crops them on average
(``benchmarks/drawn_scene.py`` measures what that is worth)."""


def mark_drawn(root: Path, **settings: str | int) -> None:
    """Mark a folder of clips as drawn.

    Args:
        settings: how they were drawn.
    """
    write_atomically(root / MARK, json.dumps({"drawn": True, **settings}) + "\n")


def is_drawn(place: Path) -> bool:
    """Tell whether clips are drawn: whether their folder, or the one that it or their list lies in, is marked.

    Example:
        >>> is_drawn(Path("/nowhere/at/all"))
        False
    """
    return any((folder / MARK).is_file() for folder in (place, place.parent))
