"""The mark that drawn clips carry on disk, so that a model trained on them says so."""

import json
from pathlib import Path
from typing import Final

from dfer.runs import write_atomically

MARK: Final = "drawn.json"


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
