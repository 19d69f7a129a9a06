"""One clip, drawn: who, what they do when, seen by which camera."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dfer.datasets.synthetic.action_units import EXPRESSIONS, halves, strengths
from dfer.datasets.synthetic.dynamics import blinks, envelope, pose, speech
from dfer.datasets.synthetic.face import Muscles, Shape, face
from dfer.datasets.synthetic.identity import make_identity
from dfer.datasets.synthetic.knobs import Knobs, Split
from dfer.datasets.synthetic.occlusion import occlude
from dfer.datasets.synthetic.style import Camera, Style, make_style
from dfer.datasets.synthetic.truth import row_generator

SUPERSAMPLING: Final = 2
FACE: Final = 0.345
"""Half a face width, as a fraction of the picture's side."""


def draw_clip(
    truth: Mapping[str, Any],
    split: Split,
    row: int,
    size: int,
    knobs: Knobs,
    seed: int,
    wanted: NDArray[np.int64] | None = None,
) -> NDArray[np.uint8]:
    """Draw the clip of a row of the truth table, or some frames of it; pixels do not depend on what else is drawn.

    Shape:
        -> ``(T, S, S, 3)``.
    """
    frames = int(truth["frames"])
    who = make_identity(seed, int(str(truth["identity"]).removeprefix("face-")))
    style = make_style(int(str(truth["style"]).removeprefix("source-")), knobs.style_strength)
    rng = row_generator(seed, split, row, 1)
    expression = EXPRESSIONS[int(truth["true_label"])]
    key, other = strengths(expression, rng), strengths(str(truth["distractor"]).replace("none", "neutral"), rng)
    tilt = knobs.asymmetry * rng.uniform(-1, 1)
    key_left, key_right = halves(expression, key, -tilt)
    amount = np.zeros(frames)
    if expression != "neutral":
        times = truth["centre"], truth["width"], truth["onset"], truth["offset"]
        amount = float(truth["peak"]) * envelope(frames, *map(float, times))
    second = np.zeros(frames)
    if truth["distractor"] != "none":
        width = float(truth["distractor_width"])
        second = float(truth["distractor_peak"]) * envelope(
            frames, float(truth["distractor_centre"]), width, width * 0.6, width * 0.6
        )
    shut, talk = blinks(frames, rng), speech(frames, knobs.speech, rng)
    head = pose(frames, knobs.head_pose, knobs.camera_shake, rng)
    clip_seed = int(rng.integers(2**31))
    backdrop = _backdrop(style, size)
    camera = Camera(style, size, rng)
    chosen = np.arange(frames) if wanted is None else wanted
    out = np.empty((len(chosen), size, size, 3), dtype=np.uint8)
    for place, frame in enumerate(chosen):
        picture_noise = row_generator(seed, split, row, 2 + int(frame))
        left = np.clip(amount[frame] * key_left + second[frame] * other, 0, 1)
        right = np.clip(amount[frame] * key_right + second[frame] * other, 0, 1)
        quiet = float(talk[frame] * (1 - min(1.0, amount[frame] + second[frame])))
        gaze = (float(head.gaze[frame, 0]), float(head.gaze[frame, 1]))
        muscles = Muscles((left * (1 + min(tilt, 0)), right * (1 - max(tilt, 0))), float(shut[frame]), quiet, gaze)
        shapes = face(who, muscles) + occlude(str(truth["occlusion"]), who, frame / max(frames - 1, 1), clip_seed)
        turn = float(head.yaw[frame]), float(head.pitch[frame]), float(head.roll[frame])
        place_at = (0.5 + head.shift[frame, 0], 0.49 + head.shift[frame, 1])
        picture = _paint(backdrop, shapes, turn, float(head.scale[frame]), place_at, size)
        out[place] = camera(picture, picture_noise)
    return out


def _backdrop(style: Style, size: int) -> Image.Image:
    low, high = (np.array(colour, dtype=np.float32) for colour in style.backdrop)
    side = size * SUPERSAMPLING
    fade = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    pixels = np.broadcast_to(low + fade * (high - low), (side, side, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def _paint(
    backdrop: Image.Image,
    shapes: list[Shape],
    turn: tuple[float, float, float],
    scale: float,
    at: tuple[float, float],
    size: int,
) -> Image.Image:
    picture = backdrop.copy()
    draw = ImageDraw.Draw(picture)
    side = size * SUPERSAMPLING
    unit = FACE * scale * side
    points = np.concatenate([shape.points for shape in shapes])
    lengths = [len(shape.points) for shape in shapes]
    depth = np.repeat([shape.depth for shape in shapes], lengths)
    pixels = _project(points, depth, turn) * unit + (at[0] * side, at[1] * side)
    start = 0
    for shape, count in zip(shapes, lengths):
        corners = pixels[start : start + count].ravel().tolist()
        start += count
        if shape.width:
            width = max(1, round(shape.width * unit))
            draw.line(corners, fill=shape.colour, width=width, joint="curve" if width > 4 else None)
        else:
            draw.polygon(corners, fill=shape.colour)
    return picture.reduce(SUPERSAMPLING)


def _project(
    points: NDArray[np.float64], depth: NDArray[np.float64], turn: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Turn the points of a head, an ellipsoid with features lifted by ``depth``, and drop the third dimension."""
    yaw, pitch, roll = turn
    x, y = points[:, 0], points[:, 1]
    z = 0.75 * np.sqrt(np.maximum(0.0, 1 - np.minimum(1, x * x * 0.8) - np.minimum(1, (y / 1.9) ** 2) * 0.6)) + depth
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y = y * np.cos(pitch) - z * np.sin(pitch) + 0.5 * np.sin(pitch)
    return np.stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)], axis=1)
