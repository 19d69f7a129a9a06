"""A face cut out of a frame: upright, its eyes always at the same place."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.errors import InputError
from dfer.video.detect import Box
from dfer.video.images import Frame

NEAREST_EYES = 0.3  # of the box's side, which is 2.45 eye distances of a frontal face; nearer in profile
FARTHEST_EYES = 0.6  # of the box's side; what is more is a mistake of the detector
STEEPEST = math.radians(45)  # beyond, detectors guess the eyes
Row = tuple[float, float, float]
MARGIN = 2  # pixels that cubic sampling looks at beyond its place


@dataclass(frozen=True)
class FaceGeometry:
    """Where a crop has its eyes, as fractions of its side; their middle is at x = 0.5.

    The defaults show a face from its forehead to its chin.

    Raises:
        ValueError: a size below 1, or a fraction outside (0, 1).
    """

    size: int = 224
    eye_distance: float = 0.27
    eye_height: float = 0.42

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size {self.size}: a crop has at least 1 pixel")
        for name, share in (("eye_distance", self.eye_distance), ("eye_height", self.eye_height)):
            if not 0 < share < 1:
                raise ValueError(f"{name} {share}: a fraction of the crop's side lies between 0 and 1")

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Raises:
            InputError: a value is missing, of the wrong kind or out of range.

        Example:
            >>> FaceGeometry.from_dict({"size": 112, "eye_distance": 0.3, "eye_height": 0.4}).size
            112
        """
        try:
            size, distance, height = values["size"], values["eye_distance"], values["eye_height"]
            if isinstance(size, bool) or int(size) != size:
                raise ValueError(f"size {size!r}: no whole number")
            return cls(int(size), float(distance), float(height))
        except KeyError as error:
            raise InputError(f"the geometry of the faces is damaged: {error.args[0]} is missing") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"the geometry of the faces is damaged: {error}") from error


class Pose(NamedTuple):
    """How a face lies in a frame: the middle of its eyes, their distance in pixels, their line's angle in radians."""

    x: float
    y: float
    distance: float
    angle: float


def face_pose(eyes: NDArray[np.float64], box: Box) -> Pose:
    """Read a face's pose off its eyes, and where these deceive, off its box.

    In profile the eyes close up: their distance is kept at a share of the box's side, so that the crop does not
    grow into them, and their angle, then mostly noise, fades to level. No angle is steeper than 45 degrees.

    Shape:
        eyes ``(2, 2)``: x, y of the left one in the picture, then of the right one.
    """
    x, y = (float(value) for value in eyes.mean(axis=0))
    across, down = (float(value) for value in eyes[1] - eyes[0])
    found, least = math.hypot(across, down), NEAREST_EYES * box.side
    trust = min(1.0, found / least) if least > 0 else 1.0
    angle = trust * max(-STEEPEST, min(STEEPEST, math.atan2(down, across)))
    distance = max(least, min(found, FARTHEST_EYES * box.side)) if least > 0 else found
    return Pose(x, y, max(distance, 1.0), angle)


def align(frame: Frame, eyes: NDArray[np.float64], box: Box, geometry: FaceGeometry) -> Frame:
    """Cut a face out so that its eyes lie where the geometry wants them.

    Shape:
        frame ``(H, W, 3)``, eyes ``(2, 2)`` -> ``(S, S, 3)``.
    """
    return crop_pose(frame, face_pose(eyes, box), geometry)


def crop_pose(frame: Frame, pose: Pose, geometry: FaceGeometry) -> Frame:
    """Cut the face of a pose out: shifted, turned and scaled, never sheared.

    Shrinking averages over all pixels that a new one covers, enlarging is cubic. Beyond its edge the frame goes on
    with its last pixels: black would tell the model where in the frame a face is, a mirror would draw half a second
    face.

    Shape:
        frame ``(H, W, 3)`` -> ``(S, S, 3)``.
    """
    size, high, wide = geometry.size, frame.shape[0], frame.shape[1]
    scale = pose.distance / (geometry.eye_distance * size)  # pixels of the frame per pixel of the crop
    cos, sin = scale * math.cos(pose.angle), scale * math.sin(pose.angle)
    # frame x = cos * u - sin * v + left, frame y = sin * u + cos * v + top, for a place (u, v) of the crop
    left = pose.x - cos * size / 2 + sin * size * geometry.eye_height
    top = pose.y - sin * size / 2 - cos * size * geometry.eye_height
    corners_x = [left + cos * u - sin * v for u in (0, size) for v in (0, size)]
    corners_y = [top + sin * u + cos * v for u in (0, size) for v in (0, size)]
    shrink = max(scale, 1.0)
    x0, x1 = _span(min(corners_x) - MARGIN * shrink, max(corners_x) + MARGIN * shrink, wide)
    y0, y1 = _span(min(corners_y) - MARGIN * shrink, max(corners_y) + MARGIN * shrink, high)
    part = Image.fromarray(np.ascontiguousarray(frame[y0:y1, x0:x1]))
    columns, rows = (max(1, round(length / shrink)) for length in part.size)
    if (columns, rows) != part.size:  # to the crop's scale first: this step averages, the next one only turns
        part = part.resize((columns, rows), Image.Resampling.BICUBIC, reducing_gap=3.0)
    to_x = _row(cos, -sin, left - x0, x1 - x0, size)
    to_y = _row(sin, cos, top - y0, y1 - y0, size)
    turned = _sample(np.asarray(part, np.float32), _grid(to_x, to_y, size))
    crop: Frame = np.ascontiguousarray(np.rint(turned).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
    return crop


def _sample(pixels: NDArray[np.float32], grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Look up places cubically, ``(H, W, 3)`` and ``(S, S, 2)`` -> ``(3, S, S)``.

    All else is numpy's: torch would call other threads to each small step and, where cores are busy, wait for them.
    """
    import torch  # here, because a command's help takes none of its seconds
    from torch.nn.functional import grid_sample

    picture, places = torch.from_numpy(pixels).permute(2, 0, 1)[None], torch.from_numpy(grid)[None]
    turned = grid_sample(picture, places, mode="bicubic", padding_mode="border", align_corners=False)
    return np.asarray(turned[0].numpy())


def _grid(to_x: Row, to_y: Row, size: int) -> NDArray[np.float32]:
    """Say which place each pixel of the crop shows, ``(S, S, 2)``, as `torch.nn.functional.affine_grid` does."""
    middles = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    across, down = middles[None, :], middles[:, None]
    places = [by_u * across + by_v * down + start for by_u, by_v, start in (to_x, to_y)]
    return np.stack(places, axis=-1).astype(np.float32)


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """Round a stretch outward to whole pixels inside the frame; at least the nearest one of them."""
    start = min(max(math.floor(low), 0), length - 1)
    return start, max(min(math.ceil(high), length), start + 1)


def _row(by_u: float, by_v: float, start: float, length: int, size: int) -> Row:
    """Write ``by_u * u + by_v * v + start`` with both sides' places counted from -1 to 1, as torch counts them."""
    return size * by_u / length, size * by_v / length, (size * (by_u + by_v) + 2 * start) / length - 1
