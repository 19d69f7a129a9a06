"""Drawn faces as a data set like any other, with the truth of every clip known."""

from collections.abc import Sequence
from dataclasses import asdict, replace
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


class SyntheticFaces(ClipDataset):
    """Parametric faces moved by action units; deterministic in ``(seed, row)``.

    Labels of the training split may be wrong (``truth.noisy``), those of the test split are right. No face is in
    both splits. A keyword left out (None) is the preset's.

    Args:
        size: side of the drawn frames in pixels.
        seed: of what is drawn; augmentation has the data set's own ``seed``, as everywhere.
        preset: ``easy`` (balanced, clean) or ``wild`` (DFEW's proportions, wrong labels, distractors, occlusion,
            sources that the test split alone has); see `Knobs`.
        clips: training clips; the test split has half as many.
        frames: shortest and longest clip.
        proportions: of the seven true classes, in any unit.
        intensity: range of the key expression's strength.
        label_noise: share of wrong training labels; ``noise``: ``symmetric`` or ``confusion``.
        distractors, occlusion: probability per clip.
        style_strength: how far sources differ from a clean picture.
        cache: keep drawn frames on disk; otherwise a frame is drawn whenever it is read.

    Example:
        >>> faces = SyntheticFaces("train", size=32, clips=14, cache=False)
        >>> faces.labels[0], len(faces), faces.class_counts.tolist(), faces[0].clip.shape
        ('happy', 14, [2, 2, 2, 2, 2, 2, 2], torch.Size([16, 3, 32, 32]))
    """

    def __init__(
        self,
        split: Split,
        size: int = 112,
        seed: int = 0,
        *,
        preset: Preset = "easy",
        clips: int | None = None,
        frames: tuple[int, int] | None = None,
        proportions: Sequence[float] | None = None,
        intensity: tuple[float, float] | None = None,
        label_noise: float | None = None,
        noise: Noise | None = None,
        distractors: float | None = None,
        occlusion: float | None = None,
        style_strength: float | None = None,
        cache: bool = True,
        transform: ClipTransform | None = None,
    ) -> None:
        if split not in ("train", "test"):
            raise InputError(f"split {split!r}; drawn faces have train and test")
        if preset not in PRESETS:
            raise InputError(f"preset {preset!r}; there are {', '.join(PRESETS)}")
        if size < 16 or size % 2:
            raise InputError(f"size {size} cannot be drawn; give an even number of at least 16 pixels")
        given: dict[str, Any] = {
            "frames": None if frames is None else tuple(frames),
            "proportions": None if proportions is None else tuple(proportions),
            "intensity": None if intensity is None else tuple(intensity),
            "label_noise": label_noise,
            "noise": noise,
            "distractors": distractors,
            "occlusion": occlusion,
            "style_strength": style_strength,
            "clips": None if clips is None else (clips, max(1, clips // 2)),
        }
        changed = {name: value for name, value in given.items() if value is not None}
        self.knobs: Knobs = replace(PRESETS[preset], **changed)
        self.split: Split = split
        self.size = size
        self.drawn_from = seed
        self.truth = make_truth(split, self.knobs.clips[split == "test"], self.knobs, seed)
        arguments = {"size": size, "seed": seed, "preset": preset, **changed, "clips": clips, "cache": cache}
        super().__init__(
            labels=BASIC,
            targets=self.truth["label"].to_numpy(np.int64),
            clip_ids=[f"{split}-{row:05d}" for row in range(len(self.truth))],
            transform=transform or EvalTransform(),
            description={"class": "SyntheticFaces", "args": arguments},
        )
        self._counts = self.truth["frames"].to_numpy(np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._frames = None
        if cache:
            what = {"version": GENERATOR_VERSION, "split": split, "size": size, "seed": seed, **asdict(self.knobs)}
            self._frames = cached_frames(what, self._counts, size, _Drawn(self))

    def frame_count(self, row: int) -> int:
        """Count the frames of a clip."""
        return int(self._counts[row])

    def read(self, row: int, wanted: NDArray[np.int64]) -> Sequence[Frame]:
        """Take frames from the cache, or draw them."""
        if self._frames is not None:
            return [np.asarray(self._frames[self._starts[row] + index]) for index in wanted]
        return list(self.draw(row, wanted))

    def draw(self, row: int, wanted: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Draw a clip, or some frames of it, ``(T, S, S, 3)``."""
        return draw_clip(self.truth.iloc[row], self.split, row, self.size, self.knobs, self.drawn_from, wanted)  # type: ignore[arg-type]

    def groups(self) -> NDArray[np.str_]:
        """Name the face of each clip."""
        return self.truth["identity"].to_numpy().astype(np.str_)


class _Drawn(Dataset[NDArray[np.uint8]]):
    def __init__(self, faces: SyntheticFaces) -> None:
        self.faces = faces

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        return self.faces.draw(row)
