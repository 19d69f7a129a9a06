"""A data set from its plain description, and the names of all data sets."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from dfer.datasets.base import ClipDataset
from dfer.datasets.ckplus import CKPlus
from dfer.datasets.crema_d import CREMAD
from dfer.datasets.csv_clips import CSVClips
from dfer.datasets.dfew import DFEW
from dfer.datasets.ferv39k import FERV39k
from dfer.datasets.folder import FolderClips
from dfer.datasets.mafw import MAFW
from dfer.datasets.ravdess import RAVDESS
from dfer.datasets.synthetic import SyntheticFaces
from dfer.errors import InputError
from dfer.transforms.presets import ClipTransform

DATASETS: dict[str, type[ClipDataset]] = {
    "DFEW": DFEW,
    "FERV39k": FERV39k,
    "MAFW": MAFW,
    "RAVDESS": RAVDESS,
    "CREMAD": CREMAD,
    "CKPlus": CKPlus,
    "FolderClips": FolderClips,
    "CSVClips": CSVClips,
    "SyntheticFaces": SyntheticFaces,
}


def full_name(name: str) -> str:
    """Find a data set's name however it is written, also by its layout's name (``folder``, ``csv``).

    Raises:
        InputError: there is none; the nearest names are listed.

    Example:
        >>> full_name("dfew"), full_name("folder"), full_name("CREMA-D"), full_name("ck+")
        ('DFEW', 'FolderClips', 'CREMAD', 'CKPlus')
    """
    plain = re.sub("[-_ ]", "", name.lower()).replace("+", "plus")
    known = {key.lower(): key for key in DATASETS} | {key.lower().removesuffix("clips"): key for key in DATASETS}
    if plain in known:
        return known[plain]
    near = dict.fromkeys(known[match] for match in get_close_matches(plain, known, cutoff=0.5))
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(DATASETS)}"
    raise InputError(f"there is no data set {name!r}; {hint}")


def build(description: Mapping[str, Any], split: str, transform: ClipTransform | None = None) -> ClipDataset:
    """Make a data set again from its ``description``.

    Args:
        transform: ``EvalTransform()`` unless given.

    Raises:
        InputError: no such data set, or it does not take these arguments.
    """
    name = full_name(str(description.get("class", "")))
    arguments = dict(description.get("args", {}))
    try:
        make: Callable[..., ClipDataset] = DATASETS[name]
        return make(**arguments, split=split, transform=transform)
    except TypeError as error:
        raise InputError(f"cannot make {name} of {arguments}: {error}") from error
