"""Drawn clips to files: which clip goes where, and in which form."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from dfer.datasets.index import progress_bar
from dfer.datasets.synthetic.action_units import EXPRESSIONS
from dfer.datasets.synthetic.cache import Clip, drawing_workers
from dfer.datasets.synthetic.draw import draw_clip
from dfer.datasets.synthetic.knobs import Knobs, Split
from dfer.datasets.synthetic.truth import Role, cast, make_truth
from dfer.video.encode import write_video

Save = Callable[[Path, Clip], None]


class Order(NamedTuple):
    """What to write: ``clips`` in all, or as many as the data set has; ``video`` files instead of frames."""

    root: Path
    clips: int | None
    size: int
    seed: int
    knobs: Knobs
    video: bool


class Planned(NamedTuple):
    """One clip before it is drawn: where it goes (relative to the root), what it shows, and whom."""

    path: str
    label: str
    identity: str
    split: Split
    row: int
    truth: dict[str, Any]


def plan_split(
    order: Order,
    knobs: Knobs,
    split: Split,
    place: Callable[[int, str], str],
    frame_counts: NDArray[np.int64] | None = None,
) -> list[Planned]:
    """Plan the clips of a split as ``SyntheticFaces`` does.

    Args:
        place: ``(row, class name) -> path``.
    """
    table = make_truth(split, knobs.clips[split == "test"], knobs, order.seed, frame_counts)
    return _planned(table.to_dict("records"), split, place)


def plan_roles(order: Order, knobs: Knobs, roles: Sequence[Role], paths: Sequence[str]) -> list[Planned]:
    """Plan clips of which expression and face are given."""
    return _planned(cast(roles, knobs, order.seed), "train", lambda row, label: paths[row])


def _planned(truth: list[dict[Any, Any]], split: Split, place: Callable[[int, str], str]) -> list[Planned]:
    labels = [EXPRESSIONS[row["label"]] for row in truth]
    return [
        Planned(place(row, label), label, str(one["identity"]), split, row, one)
        for row, (label, one) in enumerate(zip(labels, truth))
    ]


def write(order: Order, knobs: Knobs, clips: Sequence[Planned], save: Save) -> None:
    """Draw clips and save each, on all cores."""
    work = sum(clip.truth["frames"] for clip in clips)
    loader = DataLoader(_Writing(order, knobs, clips, save), batch_size=None, num_workers=drawing_workers(work))
    with progress_bar() as progress:
        task = progress.add_task("drawing clips", total=len(clips))
        for _ in loader:
            progress.advance(task)


class _Writing(Dataset[int]):
    """Item = one clip written: a data set only so that a loader's workers share out the clips."""

    def __init__(self, order: Order, knobs: Knobs, clips: Sequence[Planned], save: Save) -> None:
        self.order, self.knobs, self.clips, self.save = order, knobs, clips, save

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: int) -> int:
        clip = self.clips[item]
        frames = draw_clip(clip.truth, clip.split, clip.row, self.order.size, self.knobs, self.order.seed)
        self.save(self.order.root / clip.path, frames)
        return item


def save_jpegs(folder: Path, frames: Clip, name: str) -> None:
    """Save a folder of JPEG files; the name may use ``{clip}``, the folder's, and ``{frame}``, counted from 1."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        file = folder / name.format(clip=folder.name, frame=number)
        file.write_bytes(simplejpeg.encode_jpeg(frame, quality=92))


def save_pngs(folder: Path, frames: Clip, name: str, grey: bool = False) -> None:
    """Save a folder of PNG files; the name may use ``{parent}``, ``{clip}`` and ``{frame}``, as above."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        picture = Image.fromarray(frame)
        if grey:
            picture = picture.convert("L")
        picture.save(folder / name.format(parent=folder.parent.name, clip=folder.name, frame=number), compress_level=1)


def save_video(path: Path, frames: Clip, fps: float = 25.0) -> None:
    """Save a video file."""
    write_video(path, frames, fps)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Save a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def spread(deciles: Sequence[int], clips: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw clip lengths with the given minimum, deciles and maximum; extremes are as rare as they are.

    Example:
        >>> spread((8, 15, 19, 23, 25, 28, 31, 33, 36, 40, 47), 4, np.random.default_rng(0)).tolist()
        [31, 21, 10, 9]
    """
    place = rng.random(clips) * 10
    part, within = place.astype(int), place % 1
    if deciles[-1] > 2 * deciles[-2]:  # a long tail: DFEW's longest clip is seven times its last decile
        within = np.where(part == 9, within**9, np.where(part == 0, 1 - (1 - within) ** 14, within))
    low, high = np.asarray(deciles)[part], np.asarray(deciles)[part + 1]
    return np.asarray(low + within * (high - low), dtype=np.int64)
