"""``dfer data synthesize``: drawn clips written in the exact layout of a data set."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from dfer.datasets.index import progress_bar
from dfer.datasets.synthetic.cache import drawing_workers
from dfer.datasets.synthetic.draw import draw_clip
from dfer.datasets.synthetic.knobs import DFEW_COUNTS, PRESETS, Knobs, Preset, Split
from dfer.datasets.synthetic.mark import mark_drawn
from dfer.datasets.synthetic.truth import make_truth
from dfer.errors import InputError
from dfer.labels import BASIC
from dfer.video.encode import write_video

Layout = Literal["dfew", "ferv39k", "folder", "csv"]

_FERV_TRAIN: Final = (5854.0, 5523.0, 7790.0, 5906.0, 2502.0, 1833.0, 1680.0)
_FERV_TEST: Final = (1473.0, 1393.0, 1958.0, 1487.0, 638.0, 467.0, 431.0)
_SCENES: Final = (
    *("Action", "Argue", "Business", "Conflict", "Contest", "Crime"),
    *("Crisis", "DailyLife", "ElegantArt", "Experiment", "History", "Interview"),
    *("Liveshow", "Medicine", "OfficialEvent", "ScholarReport", "School", "Social"),
    *("Speech", "Talkshow", "Terror", "War"),
)
_DFEW_FRAMES: Final = (11, 42, 48, 48, 58, 70, 72, 86, 96, 124, 847)
_FERV_FRAMES: Final = (8, 15, 19, 23, 25, 28, 31, 33, 36, 40, 47)


class Clips(NamedTuple):
    """The clips of one split: what they show, and where each goes (relative to the root)."""

    split: Split
    counts: NDArray[np.int64] | None
    knobs: Knobs
    place: Callable[[int, str, str], str]
    """``(row, class name, identity) -> path``"""


class Written(NamedTuple):
    """One clip as it was written."""

    path: str
    label: str
    split: Split
    identity: str


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
        layout: of DFEW (with its five folds), FERV39k, a folder per class, or a CSV file; in the first two, classes
            and lengths of clips are distributed as in the data set, and no label is wrong.
        clips: how many in all; as many as the data set (or the preset) has unless given.
        size: side of the frames in pixels.
        preset: how hard they are: ``easy`` or ``wild``.
        video: write mp4 files instead of frame folders (``folder`` and ``csv`` alone).
    """
    if layout not in WRITERS:
        raise InputError(f"layout {layout!r}; there are {', '.join(WRITERS)}")
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}; there are {', '.join(PRESETS)}")
    if clips is not None and clips < 2:
        raise InputError(f"cannot write {clips} clips; give at least 2")
    if video and layout in ("dfew", "ferv39k"):
        raise InputError(f"the layout {layout} is of face frames; give --layout folder or csv for video files")
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
            WRITERS[layout](partial, clips, size, seed, PRESETS[preset], video)
            mark_drawn(partial, layout=layout, preset=preset, size=size, seed=seed)
            partial.chmod(0o755)
            partial.replace(out.absolute())  # all of it or nothing
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}; free or choose another folder") from error
    print(out)
    return 0


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


def _dfew(root: Path, clips: int | None, size: int, seed: int, knobs: Knobs, video: bool) -> None:
    total = clips or int(sum(DFEW_COUNTS))
    # every clip is tested in some fold, and the counts must be DFEW's: no label is wrong
    knobs = replace(knobs, proportions=DFEW_COUNTS, clips=(total, 1), label_noise=0.0)
    counts = spread(_DFEW_FRAMES, total, np.random.default_rng([seed, 51]))
    plan = Clips("train", counts, knobs, lambda row, label, who: f"Clip/clip_224x224/{row + 1:05d}")
    written = _write(root, plan, size, seed, "{clip}_{frame:05d}.jpg")
    labels = np.array([BASIC.index(clip.label) for clip in written])
    fold = np.empty(total, dtype=np.int64)
    for k in range(len(BASIC)):
        for block, rows in enumerate(np.array_split(np.flatnonzero(labels == k), 5)):
            fold[rows] = block
    for number in range(5):
        for name, chosen in (("train", fold != number), ("test", fold == number)):
            lines = [f"{row + 1},{labels[row] + 1}" for row in np.flatnonzero(chosen)]
            file = root / "EmoLabel_DataSplit" / f"{name}(single-labeled)" / f"set_{number + 1}.csv"
            _text(file, ["video_name,label", *lines])


def _ferv39k(root: Path, clips: int | None, size: int, seed: int, knobs: Knobs, video: bool) -> None:
    whole = int(sum(_FERV_TRAIN) + sum(_FERV_TEST))
    total = clips or whole
    train = min(total - 1, max(1, round(total * sum(_FERV_TRAIN) / whole)))
    knobs = replace(knobs, clips=(train, total - train), label_noise=0.0)  # the counts must be the published ones
    numbers: dict[str, int] = {}
    scenes = np.random.default_rng([seed, 52]).choice(_SCENES, total)
    for split, published, first in (("train", _FERV_TRAIN, 0), ("test", _FERV_TEST, train)):
        chosen: Split = "train" if split == "train" else "test"

        def place(row: int, label: str, who: str, first: int = first) -> str:
            folder = f"{scenes[first + row]}/{label.capitalize()}"
            numbers[folder] = numbers.get(folder, 0) + 1
            return f"2_ClipsforFaceCrop/{folder}/{numbers[folder]:04d}"

        count = knobs.clips[chosen == "test"]
        counts = spread(_FERV_FRAMES, count, np.random.default_rng([seed, 53, first]))
        plan = Clips(chosen, counts, replace(knobs, proportions=published), place)
        written = _write(root, plan, size, seed, "{frame:02d}.jpg")
        lines = [f"{clip.path.removeprefix('2_ClipsforFaceCrop/')} {clip.label.capitalize()}" for clip in written]
        _text(root / "4_setups" / "All_scenes" / f"{chosen}_All.csv", lines)


def _folder(root: Path, clips: int | None, size: int, seed: int, knobs: Knobs, video: bool) -> None:
    suffix = ".mp4" if video else ""
    for split, knobs_of in _halves(knobs, clips):
        plan = Clips(split, None, knobs_of, lambda row, label, who, s=split: f"{s}/{label}/{row + 1:05d}{suffix}")  # type: ignore[misc]
        _write(root, plan, size, seed, "{frame:04d}.jpg", video)


def _csv(root: Path, clips: int | None, size: int, seed: int, knobs: Knobs, video: bool) -> None:
    lines = ["clip,label,split,subject"]
    suffix = ".mp4" if video else ""
    for split, knobs_of in _halves(knobs, clips):
        plan = Clips(split, None, knobs_of, lambda row, label, who, s=split: f"clips/{s}-{row + 1:05d}{suffix}")  # type: ignore[misc]
        written = _write(root, plan, size, seed, "{frame:04d}.jpg", video)
        lines += [f"{clip.path},{clip.label},{clip.split},{clip.identity}" for clip in written]
    _text(root / "clips.csv", lines)


WRITERS: Final[dict[str, Callable[[Path, int | None, int, int, Knobs, bool], None]]] = {
    "dfew": _dfew,
    "ferv39k": _ferv39k,
    "folder": _folder,
    "csv": _csv,
}


def _halves(knobs: Knobs, clips: int | None) -> list[tuple[Split, Knobs]]:
    if clips is not None:
        test = max(1, round(clips / 4))
        knobs = replace(knobs, clips=(clips - test, test))
    return [("train", knobs), ("test", knobs)]


class _Writing(Dataset[int]):
    """Item = one clip written: a data set only so that a loader's workers share out the clips."""

    def __init__(self, root: Path, plan: Clips, size: int, seed: int, name: str, video: bool) -> None:
        self.root, self.size, self.seed, self.name, self.video = root, size, seed, name, video
        self.split, self.knobs = plan.split, plan.knobs
        truth = make_truth(plan.split, plan.knobs.clips[plan.split == "test"], plan.knobs, seed, plan.counts)
        self.truth = truth.to_dict("records")
        given = [(BASIC[int(row["label"])], str(row["identity"])) for row in self.truth]
        self.clips = [Written(plan.place(row, *what), what[0], plan.split, what[1]) for row, what in enumerate(given)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> int:
        frames = draw_clip(self.truth[row], self.split, row, self.size, self.knobs, self.seed)  # type: ignore[arg-type]
        path = self.root / self.clips[row].path
        if self.video:
            write_video(path, frames, fps=25.0)
            return row
        path.mkdir(parents=True)
        for number, frame in enumerate(frames, start=1):
            file = path / self.name.format(clip=path.name, frame=number)
            file.write_bytes(simplejpeg.encode_jpeg(frame, quality=92))
        return row


def _write(root: Path, plan: Clips, size: int, seed: int, name: str, video: bool = False) -> list[Written]:
    writing = _Writing(root, plan, size, seed, name, video)
    loader = DataLoader(
        writing, batch_size=None, num_workers=drawing_workers(sum(row["frames"] for row in writing.truth))
    )
    with progress_bar() as progress:
        task = progress.add_task(f"drawing {plan.split} clips", total=len(writing))
        for _ in loader:
            progress.advance(task)
    return writing.clips


def _text(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
