"""``dfer data synthesize``: drawn clips written in the exact layout of a data set."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from dfer.datasets.synthetic.film_layouts import write_dfew, write_ferv39k, write_mafw
from dfer.datasets.synthetic.knobs import PRESETS, Preset
from dfer.datasets.synthetic.mark import mark_drawn
from dfer.datasets.synthetic.own_layouts import write_csv, write_folder
from dfer.datasets.synthetic.posed_layouts import write_ckplus, write_crema_d, write_ravdess
from dfer.datasets.synthetic.writing import Order
from dfer.errors import InputError

Layout = Literal["dfew", "ferv39k", "mafw", "ravdess", "crema-d", "ckplus", "folder", "csv"]


class Writer(NamedTuple):
    """How a layout is written, with how many clips it can be (``why`` says why not with fewer), and in which form."""

    write: Callable[[Order], None]
    fewest: int = 2
    why: str = ""
    most: int | None = None
    frames: bool = True
    videos: bool = True


WRITERS: Final[dict[str, Writer]] = {
    "dfew": Writer(write_dfew),
    "ferv39k": Writer(write_ferv39k),
    "mafw": Writer(write_mafw, 11, "one of each class"),
    "ravdess": Writer(write_ravdess, 12, "two actors in each of six folds", most=1440, frames=False),
    "crema-d": Writer(
        write_crema_d, 14, "four bad ones, and two actors in each of five folds", most=7442, frames=False
    ),
    "ckplus": Writer(write_ckplus, 20, "two subjects in each of ten folds", videos=False),
    "folder": Writer(write_folder),
    "csv": Writer(write_csv),
}


def synthesize(
    out: Path,
    *,
    layout: Layout = "folder",
    clips: int | None = None,
    size: int = 112,
    seed: int = 0,
    preset: Preset = "wild",
    video: bool = False,
) -> int:
    """Write drawn clips in a data set's exact layout.

    Args:
        out: a folder that does not exist yet, or is empty.
        layout: of DFEW, MAFW, FERV39k, RAVDESS, CREMA-D or CK+ with their folds, a folder per class, or a CSV file.
            Except in the last two, classes and lengths of clips are spread as in the data set, or nearly so, and no
            label is wrong. In those of RAVDESS, CREMA-D and CK+ each actor has a face of its own, filmed in a studio.
        clips: how many in all; as many as the data set (or the preset) has unless given.
        size: side of the frames in pixels.
        preset: how hard they are: ``easy`` or ``wild``.
        video: write video files instead of frame folders, where the data set comes with them (``ravdess`` and
            ``crema-d`` are always videos, ``ckplus`` is always frames).
    """
    if layout not in WRITERS:
        raise InputError(f"layout {layout!r}; there are {', '.join(WRITERS)}")
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}; there are {', '.join(PRESETS)}")
    writer = WRITERS[layout]
    if clips is not None and clips < writer.fewest:
        why = f" ({writer.why} of the layout {layout})" if writer.why else ""
        raise InputError(f"cannot write {clips} clips; give at least {writer.fewest}{why}")
    if clips is not None and writer.most is not None and clips > writer.most:
        raise InputError(f"cannot write {clips} clips; the layout {layout} has names for {writer.most}")
    if video and not writer.videos:
        raise InputError(f"the layout {layout} is of frames; leave --video out")
    video = video or not writer.frames
    if size < 16 or seed < 0 or (video and size % 2):
        raise InputError(
            f"cannot draw size {size}, seed {seed}; give at least 16 pixels (even for video), seed 0 or up"
        )
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} exists and is not empty; name a new folder")
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=".dfer-synthesize-"))
        try:
            writer.write(Order(partial, clips, size, seed, PRESETS[preset], video))
            mark_drawn(partial, layout=layout, preset=preset, size=size, seed=seed)
            partial.chmod(0o755)
            partial.replace(out.absolute())  # all of it or nothing
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}; free or choose another folder") from error
    print(out)
    return 0
