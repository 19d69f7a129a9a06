"""Faces drawn by our own code, as a data set with known truth."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dfer.datasets.base import ClipDataset
from dfer.datasets.synthetic.cache import cached_frames
from dfer.datasets.synthetic.draw import draw_clip
from dfer.datasets.synthetic.knobs import GENERATOR_VERSION, PRESETS, Knobs, Noise, Preset, Split
from dfer.datasets.synthetic.truth import make_truth
from dfer.errors import InputError
from dfer.labels import BASIC
from dfer.transforms.presets import ClipTransform, EvalTransform, Frame

Clips = int | tuple[int, int]


class SyntheticFaces(ClipDataset):
    """Draw clips of parametric faces that show the seven basic expressions as FACS action units.

    A clip depends on the arguments and its row alone: not on who draws it, when, or what else is drawn. ``targets`` are
    the given labels: ``label_noise`` of them are wrong in training, ``test_noise`` (0 in both presets) in the test
    split. ``truth`` has one row per clip: ``label``, ``true_label``, ``noisy``; ``centre`` and ``width`` (full width at
    half maximum) of the key expression in frames, its ``peak``; ``distractor`` and where it is; ``identity``,
    ``style``, ``test_style`` (a source that the training split never shows), ``occlusion``.

    Args:
        size: side of the frames in pixels.
        seed: of what is drawn; ``self.seed``, of augmentation, is another one, as in every data set.
        preset: a named setting of all knobs; the other arguments change single ones. ``Knobs`` tells their meaning.
        clips: training clips, and half as many in the test split; or a pair, of training and test.
        cache: keep the drawn frames in the cache folder (``$DFER_CACHE``, else ``~/.cache/dfer``); the first time takes
            a while. False draws each clip whenever it is read.
        transform: ``EvalTransform`` of this size unless given.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> faces = SyntheticFaces("train", size=48, clips=14, cache=False)
        >>> faces.class_counts.tolist(), faces[0].clip.shape
        ([2, 2, 2, 2, 2, 2, 2], torch.Size([16, 3, 48, 48]))
    """

    def __init__(
        self,
        split: Split,
        size: int = 112,
        seed: int = 0,
        *,
        preset: Preset = "easy",
        clips: Clips | None = None,
        clips_per_identity: int | None = None,
        frames: tuple[int, int] | None = None,
        proportions: Sequence[float] | None = None,
        intensity: tuple[float, float] | None = None,
        key_width: tuple[float, float] | None = None,
        asymmetry: float | None = None,
        label_noise: float | None = None,
        test_noise: float | None = None,
        noise: Noise | None = None,
        distractors: float | None = None,
        occlusion: float | None = None,
        styles: int | None = None,
        test_styles: int | None = None,
        style_strength: float | None = None,
        head_pose: float | None = None,
        camera_shake: float | None = None,
        speech: float | None = None,
        cache: bool = True,
        transform: ClipTransform | None = None,
    ) -> None:
        if split not in ("train", "test"):
            raise InputError(f"split {split!r}; drawn faces have train and test")
        if preset not in PRESETS:
            raise InputError(f"preset {preset!r}; there are {', '.join(PRESETS)}")
        if size < 16 or seed < 0:
            raise InputError(f"cannot draw size {size}, seed {seed}; give at least 16 pixels and no negative seed")
        changed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
            for name, value in (
                ("clips", (clips, max(1, clips // 2)) if isinstance(clips, int) else clips),
                ("clips_per_identity", clips_per_identity),
                ("frames", frames),
                ("proportions", proportions),
                ("intensity", intensity),
                ("key_width", key_width),
                ("asymmetry", asymmetry),
                ("label_noise", label_noise),
                ("test_noise", test_noise),
                ("noise", noise),
                ("distractors", distractors),
                ("occlusion", occlusion),
                ("styles", styles),
                ("test_styles", test_styles),
                ("style_strength", style_strength),
                ("head_pose", head_pose),
                ("camera_shake", camera_shake),
                ("speech", speech),
            )
            if value is not None
        }
        try:
            self.knobs: Knobs = dataclasses.replace(PRESETS[preset], **changed)
        except ValueError as error:
            raise InputError(str(error)) from error
        self.split: Split = split
        self.size = size
        self.drawn_from = seed
        self.truth = make_truth(split, self.knobs.clips[split == "test"], self.knobs, seed)
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}
        counts = self.truth["frames"].to_numpy(np.int64)
        self._drawing = _Drawing(self.truth.to_dict("records"), split, size, self.knobs, seed)
        file = None
        if cache:
            what = {"version": GENERATOR_VERSION, "split": split, "size": size, "seed": seed}
            file = cached_frames(what | dataclasses.asdict(self.knobs), counts, size, self._drawing)
        super().__init__(
            source=_DrawnFrames(self._drawing, counts, file),
            labels=BASIC,
            targets=self.truth["label"].to_numpy(np.int64),
            clip_ids=[f"{split}-{row:05d}" for row in range(len(self.truth))],
            transform=transform or EvalTransform(size=size),
            description={
                "class": "SyntheticFaces",
                "args": {"size": size, "seed": seed, "preset": preset, **plain, "cache": cache},
            },
            groups=self.truth["identity"].to_numpy().astype(np.str_),
        )

    def draw(self, row: int, wanted: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Draw a clip, or some frames of it, ``(T, S, S, 3)``."""
        return self._drawing.draw(row, wanted)


class _Drawing(Dataset[NDArray[np.uint8]]):
    """Item = one clip as it is drawn."""

    def __init__(self, records: list[dict[Any, Any]], split: Split, size: int, knobs: Knobs, seed: int) -> None:
        self.records, self.split, self.size, self.knobs, self.seed = records, split, size, knobs, seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        return self.draw(row)

    def draw(self, row: int, wanted: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        return draw_clip(self.records[row], self.split, row, self.size, self.knobs, self.seed, wanted)


class _DrawnFrames:
    """Frames from the cache, or drawn whenever they are read."""

    def __init__(self, drawing: _Drawing, counts: NDArray[np.int64], file: Path | None) -> None:
        self.drawing, self.counts, self.file = drawing, counts, file
        self.starts = np.cumsum(counts) - counts
        self.pages: NDArray[np.uint8] | None = None

    def frame_count(self, row: int) -> int:
        return int(self.counts[row])

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> Sequence[Frame]:
        if self.file is None:
            return list(self.drawing.draw(row, wanted))
        if self.pages is None:
            self.pages = np.memmap(self.file, np.uint8, "r").reshape(-1, self.drawing.size, self.drawing.size, 3)
        return [np.array(self.pages[self.starts[row] + index]) for index in wanted]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pages": None}  # a worker maps the file itself; pickling a map would copy it
