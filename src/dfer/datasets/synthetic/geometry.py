"""From a face, its action units and its pose to the outlines of every feature, for all frames at once.

A unit's effect is written where it acts, so each function reads like the FACS manual's "appearance changes".
"""

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.synthetic.action_units import COLUMN
from dfer.datasets.synthetic.dynamics import Pose
from dfer.datasets.synthetic.identity import Identity

Array = NDArray[np.float64]
Curves = dict[str, Array]
"""Feature -> points in half face widths, ``(T, P, 3)``."""

_U = np.linspace(-1, 1, 13)
_EYE = np.linspace(-1, 1, 9)
_BROW = np.linspace(0, 1, 7)


class Activation:
    """The strength of each unit on each side of the face: ``on(6)`` is ``(T, 2)``, left half of the picture first."""

    def __init__(self, units: Array) -> None:
        self.units = units  # (T, A, 2)

    def on(self, unit: int) -> Array:
        return self.units[:, COLUMN[unit]]

    def mean(self, unit: int) -> Array:
        return self.on(unit).mean(axis=1)


def _depth(x: Array, y: Array) -> Array:
    """How far a point of the face lies in front of its silhouette."""
    return 0.75 * np.sqrt(np.clip(1 - (x / 1.1) ** 2 - (y / 1.75) ** 2, 0, 1))


def _curve(x: Array, y: Array, lift: float = 0.0) -> Array:
    x, y = np.broadcast_arrays(x, y)
    return np.stack([x, y, _depth(x, y) + lift], axis=-1)  # (T, P, 3)


def smooth(points: Array, closed: bool = True, steps: int = 4) -> Array:
    """Run a Catmull-Rom spline through points: ``(T, P, D) -> (T, about steps * P, D)``."""
    p = points
    if closed:
        before, after, after2 = np.roll(p, 1, 1), np.roll(p, -1, 1), np.roll(p, -2, 1)
    else:
        before = np.concatenate([p[:, :1], p[:, :-1]], 1)
        after = np.concatenate([p[:, 1:], p[:, -1:]], 1)
        after2 = np.concatenate([p[:, 2:], p[:, -1:], p[:, -1:]], 1)
    s = np.arange(steps)[None, None, :, None] / steps
    a, b, c, d = (q[:, :, None] for q in (before, p, after, after2))
    out = 0.5 * (2 * b + (c - a) * s + (2 * a - 5 * b + 4 * c - d) * s**2 + (3 * b - a - 3 * c + d) * s**3)
    return out.reshape(len(p), -1, p.shape[-1])


def _eyes(face: Identity, act: Activation, shut: Array, gaze: Array) -> Curves:
    out: Curves = {}
    for side, name in ((0, "left"), (1, "right")):
        sign = 2 * side - 1
        raised, cheek, tight, wince = act.on(5)[:, side], act.on(6)[:, side], act.on(7)[:, side], act.on(9)[:, side]
        sad = act.on(1)[:, side] * act.on(4)[:, side]
        up = face.eye_height * (1 + 0.85 * raised - 0.3 * tight - 0.3 * cheek - 0.25 * wince - 0.15 * sad)
        low = face.eye_height * (0.55 - 0.4 * cheek - 0.3 * tight - 0.3 * wince + 0.2 * raised)
        low = np.maximum(low, 0.06 * face.eye_height)
        up = np.maximum(up, 0.25 * face.eye_height) * (1 - shut) - shut * low * 0.9
        x = face.eye_x + face.eye_width * _EYE[None]  # inner corner first
        tilt = face.eye_y - face.eye_tilt * _EYE[None]
        lid = (1 - _EYE**2) ** 0.75 * (1 - 0.12 * _EYE)
        droop = 0.045 * sad[:, None] * np.clip(_EYE, 0, 1) ** 2
        upper = tilt - up[:, None] * lid + droop
        lower = tilt + low[:, None] * (1 - _EYE**2) * (1 + 0.15 * _EYE) + droop
        rim = face.eye_height * 0.9 + 0 * up
        crease = tilt - (rim + 0.35 * np.maximum(up, 0.0))[:, None] * (1 - 0.85 * _EYE**2) ** 0.7 - 0.03
        pouch = tilt + (face.eye_height * (1.35 - 0.35 * cheek))[:, None] * (1 - 0.8 * _EYE**2) + 0.02
        for part, y in (("upper", upper), ("lower", lower), ("crease", crease), ("pouch", pouch)):
            out[f"{name}_{part}"] = _curve(sign * x, y)
        centre_y = face.eye_y - 0.15 * face.eye_height - 0.02 * raised
        out[f"{name}_iris"] = _curve((sign * face.eye_x + gaze[:, 0])[:, None], (centre_y + gaze[:, 1])[:, None])
        feet = np.linspace(0, 1, 3)
        for k, slope in enumerate((-0.35, 0.02, 0.4)):
            foot_x = face.eye_x + face.eye_width * 1.25 + 0.15 * feet
            foot_y = face.eye_y + 0.02 + slope * 0.2 * (0.4 + feet) - 0.03 * cheek[:, None]
            out[f"{name}_foot{k}"] = _curve(sign * foot_x[None], foot_y)
    return out


def _brows(face: Identity, act: Activation) -> Curves:
    out: Curves = {}
    for side, name in ((0, "left"), (1, "right")):
        sign = 2 * side - 1
        inner, outer, lower = (act.on(u)[:, side, None] for u in (1, 2, 4))
        wince = act.on(9)[:, side, None]
        x = 0.17 + 0.56 * _BROW[None] - (0.075 * lower + 0.03 * wince) * (1 - _BROW)
        rest = face.brow_y - face.brow_arch * np.sin(np.pi * _BROW**0.8) - face.brow_tilt * (_BROW - 0.5)
        raise_inner = 0.20 * inner * (1 - _BROW) ** 1.3 + 0.05 * inner * _BROW * (1 - _BROW)
        raise_outer = 0.18 * outer * np.sin(np.pi * np.clip(0.15 + 0.65 * _BROW, 0, 1)) * (0.35 + 0.65 * _BROW)
        knit = lower * (1 - 0.75 * inner)  # corrugator against frontalis: with unit 1 the brow tilts, alone it drops
        drop = 0.19 * knit * (1 - 0.8 * _BROW) + 0.05 * lower * _BROW + 0.11 * wince * (1 - 0.7 * _BROW)
        y = rest - raise_inner - raise_outer + drop
        half = face.brow_thickness * (0.55 + 0.45 * np.sin(np.pi * (0.12 + 0.6 * _BROW))) * (1 - 0.7 * _BROW**3)
        edge = np.concatenate([y - half, (y + half)[:, ::-1]], axis=1)
        out[f"{name}_brow"] = smooth(_curve(sign * np.concatenate([x, x[:, ::-1]], 1), edge, 0.05), steps=2)
        knot_x = 0.085 - 0.03 * lower + 0.02 * np.array([1.0, 0.2, 0.6])
        out[f"{name}_frown"] = _curve(
            sign * knot_x, face.brow_y + np.array([-0.08, 0.04, 0.16]) + 0.5 * drop[:, :1], 0.05
        )
    lift = (act.mean(1) + act.mean(2))[:, None] / 2
    for k in range(3):
        x = np.linspace(-0.52 + 0.06 * k, 0.52 - 0.06 * k, 7)[None]
        wave = 0.03 * np.cos(2 * np.pi * x / 1.0) - 0.05 * act.mean(1)[:, None] * np.exp(-((x / 0.25) ** 2))
        out[f"forehead{k}"] = _curve(x, face.brow_y - 0.2 - 0.115 * k - 0.05 * lift + wave)
    return out


def _nose(face: Identity, act: Activation) -> Curves:
    out: Curves = {}
    up = 0.075 * act.mean(9)[:, None]
    wide = face.nose_width * (1 + 0.14 * act.mean(9) + 0.08 * act.mean(12))[:, None]
    y = face.nose_y - up
    bridge_y = np.array([-0.22, 0.0, 0.2])
    for name, sign in (("left", -1), ("right", 1)):
        wing_x = sign * wide * np.array([0.62, 0.95, 1.0, 0.7])
        wing_y = y + np.array([-0.13, -0.09, 0.0, 0.035])
        out[f"{name}_wing"] = smooth(_curve(wing_x, wing_y, 0.12), closed=False, steps=2)
        out[f"{name}_nostril"] = _curve(sign * wide * 0.5, y + 0.025, 0.2)
        flank = sign * np.array([0.09, 0.075, 0.11])
        out[f"{name}_flank"] = _curve(
            np.concatenate([flank + 0 * y, sign * wide * 1.02, sign * wide * 0.5], 1),
            np.concatenate([bridge_y + 0 * y, y - 0.02, y - 0.06], 1),
            0.12,
        )
        for k in range(2):
            x = sign * np.array([0.03, 0.08, 0.14])
            out[f"{name}_snarl{k}"] = _curve(x + 0 * y, 0.09 * k - 0.12 + np.array([0.03, 0.0, 0.045]) + 0 * y, 0.15)
    out["bridge"] = _curve(
        np.array([[-0.045, 0.045, 0.055, -0.055]]) + 0 * y, np.array([-0.2, -0.2, 0.22, 0.22]) + 0 * y, 0.2
    )
    out["tip"] = _curve(0 * y, y - 0.06, 0.25)
    under = np.array([-0.8, -0.35, 0.0, 0.35, 0.8])
    out["under_nose"] = _curve(wide * under, y + np.array([0.01, 0.045, 0.055, 0.045, 0.01]), 0.1)
    return out


def _mouth(face: Identity, act: Activation, talk: Array) -> tuple[Curves, Array]:
    smile, down, stretch, press = (act.on(u) for u in (12, 15, 20, 23))  # (T, 2)
    jaw = np.maximum(act.mean(26), 0.6 * talk)
    part, lower_lip, sneer = act.mean(25), act.mean(16), act.mean(9)
    across = face.mouth_width + 0.13 * smile + 0.17 * stretch - 0.07 * press - 0.02 * down
    across = across - 0.1 * (act.mean(26) * (1 - np.clip(2 * act.mean(20), 0, 1)))[:, None] - 0.03 * talk[:, None]
    middle = face.mouth_y + 0.05 * jaw - 0.03 * sneer - 0.02 * down.mean(1) + 0.01 * smile.mean(1)
    corner = middle[:, None] - face.mouth_curve - 0.17 * smile + 0.16 * down + 0.05 * stretch
    side = (_U > 0).astype(int)
    x = across[:, side] * _U
    bend = np.abs(_U) ** 1.8
    line = middle[:, None] + (corner[:, side] - middle[:, None]) * bend
    square = np.clip(stretch.mean(1), 0, 1)[:, None]
    profile = (1 - np.abs(_U) ** (2 + 3 * square)) ** (0.75 + 0 * square)
    opened = 0.34 * jaw * (1 - 0.25 * square[:, 0]) + 0.05 * stretch.mean(1)
    grin = part * (0.11 * smile.mean(1) + 0.05 * sneer + 0.03)
    upper_gap = 0.14 * opened + 0.06 * sneer * np.maximum(part, lower_lip) + 0.35 * grin
    lower_gap = 0.86 * opened + 0.075 * lower_lip + 0.65 * grin
    thin = (1 - 0.55 * press - 0.22 * smile - 0.2 * stretch)[:, side] * (1 - 0.12 * jaw)[:, None]
    dome = np.sqrt(np.clip(1 - _U**2, 0, 1))
    bow = dome * (1 - 0.22 * np.exp(-((_U / 0.12) ** 2))) * (1 - 0.25 * _U**2)
    upper_in = line - upper_gap[:, None] * profile
    lower_in = line + lower_gap[:, None] * profile
    upper_out = upper_in - face.upper_lip * thin * bow - 0.02 * sneer[:, None] * dome
    lower_out = lower_in + face.lower_lip * thin * dome * (1 + 0.25 * lower_lip[:, None])
    teeth = np.minimum(upper_in + 0.085 * profile, lower_in)
    gums = np.maximum(lower_in - (0.055 * np.maximum(lower_lip, square[:, 0]))[:, None] * profile, teeth)
    tongue = np.maximum(lower_in - 0.5 * np.maximum(opened - 0.1, 0)[:, None] * dome**0.5, teeth)
    out = {
        "upper_in": _curve(x, upper_in, 0.08),
        "lower_in": _curve(x, lower_in, 0.06),
        "upper_out": _curve(x, upper_out, 0.08),
        "lower_out": _curve(x, lower_out, 0.06),
        "teeth": _curve(x, teeth, 0.05),
        "gums": _curve(x, gums, 0.05),
        "tongue": _curve(x, tongue, 0.05),
    }
    for index, name in ((0, "left"), (1, "right")):
        sign = 2 * index - 1
        cx, cy = across[:, index, None], corner[:, index, None]
        pull = smile[:, index, None]
        fold_x = np.concatenate(
            [0 * cx + face.nose_width * 1.12, cx * 0.55 + 0.19 + 0.07 * pull, cx + 0.12, cx + 0.1], 1
        )
        nose = face.nose_y - 0.09 - 0.06 * sneer[:, None]
        fold_y = np.concatenate([nose, 0.45 * nose + 0.55 * cy - 0.08, cy - 0.03, cy + 0.1 - 0.05 * pull], 1)
        out[f"{name}_fold"] = smooth(_curve(sign * fold_x, fold_y, 0.02), closed=False, steps=2)
        out[f"{name}_corner"] = _curve(
            sign * (cx + np.array([-0.03, 0.035, 0.05])), cy + np.array([0.0, 0.0, 0.06]) + 0.03 * down[:, index, None]
        )
    out["chin_dent"] = _curve(np.array([[-0.16, 0.0, 0.16]]) + 0 * cx, lower_out[:, 6:7] + np.array([0.1, 0.075, 0.1]))
    return out, jaw


def _head(face: Identity, act: Activation, jaw: Array) -> Curves:
    """Outline of the head, ears and neck; the jaw carries the lower points down."""
    half_x = np.array([0.0, 0.5, 0.84, 0.98, 1.0, 0.95, face.jaw, face.chin_width, 0.0])
    top, chin = face.crown_y, face.chin_y
    half_y = np.array([top, top + 0.1, top + 0.42, -0.42, -0.02, 0.42, 0.86, chin - 0.08, chin])
    carried = np.array([0, 0, 0, 0, 0, 0.12, 0.45, 0.95, 1.0])
    y = half_y + 0.25 * jaw[:, None] * carried  # (T, 9)
    x = half_x + 0.03 * act.mean(12)[:, None] * np.array([0, 0, 0, 0, 0.3, 1, 0.6, 0, 0])
    full_x = np.concatenate([x, -x[:, -2:0:-1]], axis=1)
    full_y = np.concatenate([y, y[:, -2:0:-1]], axis=1)
    outline = np.stack([full_x, full_y, 0 * full_x], axis=-1)
    out = {"head": smooth(outline, steps=3)}
    for name, sign in (("left", -1), ("right", 1)):
        ear_x = sign * np.array([0.94, 1.06, 1.12, 1.06, 0.94])
        ear_y = np.array([-0.2, -0.24, -0.05, 0.2, 0.26])
        one = np.stack([ear_x, ear_y, np.full(5, -0.25)], -1)
        out[f"{name}_ear"] = smooth(np.repeat(one[None], len(jaw), 0), steps=2)
        cheek = act.mean(6)[:, None]
        out[f"{name}_cheek"] = _curve(sign * 0.55 + 0 * cheek, 0.33 - 0.1 * cheek)
    return out


def outlines(face: Identity, units: Array, shut: Array, talk: Array, gaze: Array) -> tuple[Curves, Array]:
    """Shape every feature in every frame; also how far the jaw has dropped.

    Shape:
        units ``(T, A, 2)``, shut and talk ``(T,)``, gaze ``(T, 2)`` -> curves ``(T, P, 3)`` each, jaw ``(T,)``.
    """
    act = Activation(units)
    mouth, jaw = _mouth(face, act, talk)
    return {
        **_head(face, act, jaw),
        **_eyes(face, act, shut, gaze),
        **_brows(face, act),
        **_nose(face, act),
        **mouth,
    }, jaw


def project(points: Array, pose: Pose, size: int) -> Array:
    """Turn the head and take its picture: ``(T, P, 3)`` in half face widths -> ``(T, P, 2)`` in pixels."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    sin, cos = np.sin(pose.yaw)[:, None], np.cos(pose.yaw)[:, None]
    x, z = x * cos + z * sin, z * cos - x * sin
    sin, cos = np.sin(pose.pitch)[:, None], np.cos(pose.pitch)[:, None]
    y, z = y * cos + z * sin, z * cos - y * sin
    near = 1 + 0.08 * z
    sin, cos = np.sin(pose.roll)[:, None], np.cos(pose.roll)[:, None]
    x, y = near * (x * cos - y * sin), near * (x * sin + y * cos)
    unit = 0.335 * size * pose.scale[:, None]
    centre = size * (np.array([0.5, 0.5]) + pose.shift)
    return np.stack([centre[:, :1] + unit * x, centre[:, 1:] + unit * y], axis=-1)
