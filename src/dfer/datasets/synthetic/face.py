"""From action units to the shapes of a face: where skin, eyes, brows, nose and mouth lie."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.synthetic.action_units import COLUMN
from dfer.datasets.synthetic.identity import Colour, Identity

Points = NDArray[np.float64]


class Shape(NamedTuple):
    """A filled polygon, or with ``width`` (in half face widths) an open line.

    Shape:
        points ``(N, 2)`` in half face widths; ``depth`` lifts them off the head's surface.
    """

    points: Points
    colour: Colour
    width: float = 0.0
    depth: float = 0.0


class Muscles(NamedTuple):
    """What the face does in one frame; units ``(A,)`` for each half of the face, left first."""

    units: tuple[NDArray[np.float64], NDArray[np.float64]]
    blink: float
    speech: float
    gaze: tuple[float, float]


_ARC: Final = np.linspace(0.0, 1.0, 9)
_BOW: Final = 1 - (2 * _ARC - 1) ** 2  # 0 at the corners, 1 in the middle
_CIRCLE: Final = np.stack([np.cos(np.linspace(0, 2 * np.pi, 16)), np.sin(np.linspace(0, 2 * np.pi, 16))], axis=1)
_DARK: Final = (34, 14, 16)
_TEETH: Final = (240, 236, 226)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Blend two colours.

    Example:
        >>> mix((0, 0, 0), (100, 200, 50), 0.5)
        (50, 100, 25)
    """
    return tuple(round(x + share * (y - x)) for x, y in zip(a, b))  # type: ignore[return-value]


def face(who: Identity, muscles: Muscles) -> list[Shape]:
    """Lay out a face, back to front."""
    left, right = muscles.units
    both = (left + right) / 2
    jaw_drop = 0.26 * both[COLUMN[26]] + 0.10 * muscles.speech
    shapes = _head(who, jaw_drop)
    shapes += _creases(who, both)
    shapes += _dimple(who, left, -1) + _dimple(who, right, 1)
    for side, units in ((-1, left), (1, right)):
        shapes += _eye(who, units, side, muscles)
        shapes += _brow(who, units, side)
    shapes += _nose(who, both)
    shapes += _mouth(who, left, right, jaw_drop, muscles.speech)
    return shapes + _glasses(who)


def _head(who: Identity, jaw_drop: float) -> list[Shape]:
    chin = who.chin_y + jaw_drop
    outline = np.array(
        [
            *((0, who.crown_y), (0.55, who.crown_y + 0.12), (0.9, -0.75), (1.0, -0.2), (0.96, 0.35), (who.jaw, 0.8)),
            *((who.chin_width + 0.12, chin - 0.17), (who.chin_width * 0.62, chin - 0.02)),
        ]
    )
    outline = np.concatenate([outline, [(0, chin + 0.02)], outline[:0:-1] * (-1, 1)])
    skin = who.skin
    shade = mix(skin, (60, 30, 30), 0.28)
    shapes = []
    if who.hairstyle == "long":
        back = _CIRCLE * (1.22, 1.5) + (0, 0.05)
        shapes.append(Shape(back, mix(who.hair, (0, 0, 0), 0.25), depth=-0.6))
    if who.hairstyle == "bun":
        shapes.append(Shape(_CIRCLE * (0.4, 0.34) + (0, who.crown_y - 0.28), who.hair, depth=-0.3))
    neck = np.array([(-0.52, 0.9), (0.52, 0.9), (0.6, 2.2), (-0.6, 2.2)])
    shirt = np.array([(-2.6, 2.4), (-1.9, 1.85), (-0.6, 1.6), (0, 1.8), (0.6, 1.6), (1.9, 1.85), (2.6, 2.4)])
    shapes += [Shape(neck, shade, depth=-0.5), Shape(shirt, who.clothes, depth=-0.5)]
    for side in (-1, 1):
        shapes.append(Shape(_CIRCLE * (0.13, 0.27) + (side * 1.0, 0.06), mix(skin, (150, 60, 50), 0.2), depth=-0.25))
    edge_tone = mix(skin, (70, 30, 26), 0.2)
    rounded = _smooth(outline)
    for step in range(6):  # nested outlines, each a little lighter: the head is round
        inset = 1 - 0.06 * step
        shapes.append(Shape(rounded * inset + (0, 0.04 * (1 - inset)), mix(edge_tone, skin, step / 5)))
    for side in (-1, 1):
        for step in range(3):
            glow = mix(skin, mix(skin, (255, 255, 255), 0.05 + 0.15 * skin[0] / 255), 0.25 * (step + 1))
            shapes.append(Shape(_CIRCLE * (0.24 - 0.06 * step, 0.18 - 0.045 * step) + (side * 0.54, 0.3), glow))
            socket = mix(skin, (70, 30, 26), 0.045 * (step + 1))
            middle = (side * who.eye_x, who.eye_y - 0.06)
            shapes.append(Shape(_CIRCLE * (0.31 - 0.03 * step, 0.24 - 0.03 * step) + middle, socket))
    if who.beard in ("full", "stubble"):
        cover = 0.85 if who.beard == "full" else 0.22
        edge = np.array([(-0.95, 0.3), (-0.75, 0.62), (-0.42, 0.56), (0, 0.5), (0.42, 0.56), (0.75, 0.62), (0.95, 0.3)])
        low = [(who.jaw, 0.82), (who.chin_width + 0.1, chin - 0.16), (0, chin + 0.03)]
        low += [(-who.chin_width - 0.1, chin - 0.16), (-who.jaw, 0.82)]
        shapes.append(Shape(np.concatenate([edge, low]), mix(skin, who.hair, cover)))
    return shapes + _hair(who)


def _hair(who: Identity) -> list[Shape]:
    if who.hairstyle == "bald":
        return []
    top = np.array(
        [(-1.06, -0.25), (-1.1, -0.85), (-0.8, -1.36), (0, -1.55), (0.8, -1.36), (1.1, -0.85), (1.06, -0.25)]
    )
    if who.hairstyle == "curly":
        top[1:-1] *= 1.1
    line = who.hairline + (0.22 if who.hairstyle == "fringe" else 0.0)
    wave = 0.05 * np.sin(np.arange(5) * 2.1 + who.hair_seed % 7)
    inner = np.array(
        [(0.93, -0.45), (0.72, line), (0.3, line - 0.06), (-0.3, line - 0.03), (-0.72, line), (-0.93, -0.45)]
    )
    inner[:5, 1] += wave
    return [Shape(_smooth(np.concatenate([top, inner])), who.hair, depth=0.08)]


def _creases(who: Identity, units: NDArray[np.float64]) -> list[Shape]:
    """Lines that skin folds into: forehead, between the brows, beside the nose, around the mouth."""
    shapes = []
    line = mix(who.skin, (70, 28, 24), 0.55)
    raised = max(units[COLUMN[1]], units[COLUMN[2]]) * 0.8 + 0.35 * who.wrinkles
    if raised > 0.12:
        across = np.linspace(-0.45, 0.45, 7)
        for height in (-0.6, -0.7):
            curve = np.stack([across, height - 0.03 * np.cos(2.4 * across)], axis=1)
            shapes.append(Shape(curve, mix(who.skin, line, min(1, raised)), 0.02))
    frown = units[COLUMN[4]]
    if frown > 0.1:
        for x in (-0.07, 0.07):
            curve = np.array([(x, who.brow_y - 0.08), (x * 0.85, who.brow_y + 0.16)])
            shapes.append(Shape(curve, mix(who.skin, line, frown), 0.035))
    wrinkle = units[COLUMN[9]]
    if wrinkle > 0.1:
        for height in (-0.16, -0.05, 0.05):
            curve = np.array([(-0.13, height - 0.03), (0, height + 0.02), (0.13, height - 0.03)])
            shapes.append(Shape(curve, mix(who.skin, line, wrinkle), 0.028))
    fold = min(1.0, 0.9 * units[COLUMN[12]] + 0.95 * wrinkle + 0.4 * units[COLUMN[20]] + 0.5 * who.wrinkles)
    if fold > 0.1:
        out = 0.12 * units[COLUMN[12]] + 0.1 * units[COLUMN[20]]
        for side in (-1, 1):
            curve = np.array(
                [(0.2, who.nose_y - 0.08 - 0.08 * wrinkle), (0.36 + out / 2, 0.46), (0.47 + out, who.mouth_y - 0.06)]
            )
            shapes.append(Shape(curve * (side, 1), mix(who.skin, line, fold), 0.03))
    down = units[COLUMN[15]]
    if down > 0.1:
        for side in (-1, 1):
            curve = np.array([(0.42, who.mouth_y + 0.14), (0.47, who.mouth_y + 0.3)])
            shapes.append(Shape(curve * (side, 1), mix(who.skin, line, down), 0.03))
    cheek = units[COLUMN[6]]
    if cheek > 0.1:
        for side in (-1, 1):
            blush = mix(who.skin, (214, 96, 82), 0.22 * cheek)
            shapes.insert(0, Shape(_CIRCLE * (0.25, 0.17) + (side * 0.56, 0.32), blush))
            for dy in (-0.06, 0.03, 0.11):
                curve = np.array([(0.69, who.eye_y + dy * 0.6), (0.8, who.eye_y + dy * 1.5)])
                shapes.append(Shape(curve * (side, 1), mix(who.skin, line, cheek), 0.022))
    return shapes


def _dimple(who: Identity, units: NDArray[np.float64], side: int) -> list[Shape]:
    """The pit beside a lip corner that is drawn into the cheek."""
    depth = units[COLUMN[14]]
    if depth <= 0.1:
        return []
    x, y = who.mouth_width + 0.13 + 0.13 * units[COLUMN[12]], who.mouth_y - 0.05 - 0.15 * units[COLUMN[12]]
    curve = np.array([(x - 0.03, y - 0.2), (x + 0.05, y - 0.07), (x + 0.06, y + 0.06), (x - 0.01, y + 0.18)])
    return [Shape(curve * (side, 1), mix(who.skin, (70, 28, 24), 0.7 * depth), 0.045)]


def _eye(who: Identity, units: NDArray[np.float64], side: int, muscles: Muscles) -> list[Shape]:
    wide, tight, cheek = units[COLUMN[5]], units[COLUMN[7]], units[COLUMN[6]]
    shut = 1 - min(1.0, max(muscles.blink, 0.9 * units[COLUMN[43]]))
    up = who.eye_height * (1 + 0.85 * wide - 0.35 * tight - 0.12 * cheek - 0.1 * units[COLUMN[15]]) * shut
    down = who.eye_height * (0.75 + 0.2 * wide - 0.5 * tight - 0.55 * cheek) * (0.4 + 0.6 * shut)
    x = np.linspace(-1, 1, 9) * who.eye_width
    tilt = -who.eye_tilt * x / who.eye_width + 0.05 * units[COLUMN[1]] * units[COLUMN[4]] * x / who.eye_width
    middle = np.array([side * who.eye_x, who.eye_y])
    upper = np.stack([x * side, tilt - up * _BOW**0.7], axis=1) + middle
    lower = np.stack([x * side, tilt + down * _BOW**0.8], axis=1) + middle
    socket = who.eye_height * 2.6
    above = np.stack([x * side * 1.12, tilt - socket * (0.35 + 0.65 * _BOW)], axis=1) + middle
    below = np.stack([x * side * 1.12, tilt + socket * (0.25 + 0.6 * _BOW)], axis=1) + middle
    lid = mix(who.skin, (90, 40, 36), 0.14)
    looking = middle + np.array([muscles.gaze[0], muscles.gaze[1] - 0.01])
    radius = who.iris_radius
    return [
        Shape(np.concatenate([upper, lower[::-1]]) if up + down > 0.01 else upper, (244, 242, 238)),
        Shape(_CIRCLE * radius + looking, who.iris),
        Shape(_CIRCLE * (radius * 0.48) + looking, (12, 10, 10)),
        Shape(_CIRCLE * (radius * 0.2) + looking + (-0.03, -0.035), (250, 250, 250)),
        Shape(np.concatenate([above, upper[::-1]]), lid),
        Shape(np.concatenate([lower, below[::-1]]), mix(who.skin, (120, 60, 56), 0.08)),
        Shape(upper, mix(who.hair, (20, 12, 12), 0.6), 0.04),
        Shape(lower, mix(who.skin, (60, 26, 24), 0.4 + 0.2 * cheek), 0.018),
        Shape(upper - (0, 0.055 + 0.02 * wide), mix(who.skin, (70, 30, 28), 0.35), 0.016),
    ]


def _brow(who: Identity, units: NDArray[np.float64], side: int) -> list[Shape]:
    inner, outer, lower = units[COLUMN[1]], units[COLUMN[2]], units[COLUMN[4]]
    along = np.linspace(0, 1, 6)  # from the nose outwards
    x = 0.15 - 0.06 * lower + along * 0.5
    lift = 0.19 * inner * (1 - along) ** 1.3 + 0.16 * outer * along**0.8
    press = (0.15 * lower * (1.0 - 0.55 * along) + 0.05 * units[COLUMN[9]] * (1 - along)) * (1 - 0.75 * inner)
    arch = who.brow_arch * (1 - (2 * along - 1.15) ** 2)
    y = who.brow_y - arch - lift + press - who.brow_tilt * (along - 0.5)
    half = who.brow_thickness * (1.05 - 0.75 * along)
    top, bottom = np.stack([x * side, y - half], axis=1), np.stack([x * side, y + half], axis=1)
    return [Shape(np.concatenate([top, bottom[::-1]]), mix(who.hair, (20, 14, 12), 0.35), depth=0.04)]


def _nose(who: Identity, units: NDArray[np.float64]) -> list[Shape]:
    up = 0.07 * units[COLUMN[9]]
    flare = 1 + 0.18 * units[COLUMN[9]] + 0.06 * units[COLUMN[12]]
    tip = who.nose_y - up
    wide = who.nose_width * flare
    shade, dark = mix(who.skin, (70, 34, 30), 0.25), mix(who.skin, (40, 14, 14), 0.7)
    ridge = np.array([(0.07, -0.1), (0.085, 0.12), (0.11, tip - 0.1), (wide, tip + 0.01), (wide * 0.75, tip + 0.07)])
    base = np.array(
        [(-wide, tip + 0.02), (-wide * 0.5, tip + 0.08), (0, tip + 0.1), (wide * 0.5, tip + 0.08), (wide, tip + 0.02)]
    )
    shapes = [Shape(ridge, shade, 0.03, depth=0.12), Shape(base, shade, 0.03, depth=0.2)]
    shapes += [Shape(_CIRCLE * (0.045, 0.028) + (s * wide * 0.52, tip + 0.05), dark, depth=0.2) for s in (-1, 1)]
    shapes.append(Shape(_CIRCLE * (0.05, 0.06) + (-0.02, tip - 0.05), mix(who.skin, (255, 250, 240), 0.3), depth=0.25))
    return shapes


def _mouth(
    who: Identity, left: NDArray[np.float64], right: NDArray[np.float64], jaw_drop: float, speech: float
) -> list[Shape]:
    both = (left + right) / 2
    tight, part, press = both[COLUMN[23]], both[COLUMN[25]], both[COLUMN[16]]
    corners = []
    for side, units in ((-1, left), (1, right)):
        out = 0.13 * units[COLUMN[12]] + 0.17 * units[COLUMN[20]] - 0.07 * tight - 0.12 * both[COLUMN[26]]
        out += 0.06 * units[COLUMN[14]]
        up = 0.2 * units[COLUMN[12]] - 0.15 * units[COLUMN[15]] - 0.04 * units[COLUMN[20]] + who.mouth_curve
        up += 0.05 * units[COLUMN[14]]
        corners.append((side * (who.mouth_width + out), who.mouth_y - up))
    raise_lip = 0.11 * both[COLUMN[9]] + 0.03 * both[COLUMN[12]]
    open_ = 0.85 * jaw_drop + 0.09 * part + 0.1 * press + 0.03 * speech
    x = corners[0][0] + _ARC * (corners[1][0] - corners[0][0])
    rest = corners[0][1] + _ARC * (corners[1][1] - corners[0][1])
    bow = _BOW**0.75
    middle = who.mouth_y - 0.5 * (corners[0][1] + corners[1][1]) + 0.03 * both[COLUMN[12]] - 0.05 * both[COLUMN[15]]
    top_in = rest + (middle - raise_lip - 0.12 * open_) * bow
    low_in = rest + (middle + open_) * bow
    thin = 1 - 0.62 * tight - 0.25 * both[COLUMN[20]] - 0.2 * both[COLUMN[12]]
    cupid = 1 - 0.22 * np.exp(-(((_ARC - 0.5) / 0.09) ** 2))
    top_out = top_in - who.upper_lip * thin * bow * cupid
    low_out = low_in + who.lower_lip * thin * (1 + 0.2 * press) * bow

    def between(a: Points, b: Points) -> Points:
        return np.concatenate([np.stack([x, a], axis=1), np.stack([x, b], axis=1)[::-1]])

    shapes = []
    if who.beard in ("full", "moustache"):
        moustache = np.concatenate(
            [np.stack([x * 1.12, top_out - 0.14 * _BOW**0.5], axis=1), np.stack([x, top_out], axis=1)[::-1]]
        )
        shapes.append(Shape(moustache, mix(who.skin, who.hair, 0.85), depth=0.1))
    if open_ + raise_lip > 0.015:
        shapes.append(Shape(between(top_in, low_in), _DARK, depth=0.05))
        teeth = np.minimum(0.075 * bow + 0.5 * raise_lip * bow, np.maximum(low_in - top_in, 0))
        shapes.append(Shape(between(top_in, top_in + teeth), _TEETH, depth=0.05))
        if press > 0.2:
            shown = np.minimum(0.06 * press * bow, np.maximum(low_in - top_in - teeth, 0))
            shapes.append(Shape(between(low_in - shown, low_in), _TEETH, depth=0.05))
    upper = mix(who.lips, (40, 10, 14), 0.12)
    shapes += [
        Shape(between(top_out, top_in), upper, depth=0.08),
        Shape(between(low_in, low_out), who.lips, depth=0.08),
        Shape(np.stack([x, top_in], axis=1), mix(who.lips, _DARK, 0.75), 0.022, depth=0.08),
        Shape(
            np.array([(-0.12, float(low_out[4]) + 0.06), (0.12, float(low_out[4]) + 0.06)]),
            mix(who.skin, (70, 34, 30), 0.25),
            0.03,
        ),
    ]
    return shapes


def _glasses(who: Identity) -> list[Shape]:
    if not who.glasses:
        return []
    rim = (30, 28, 30)
    ring = np.concatenate([_CIRCLE, _CIRCLE[:1]])
    shapes = [Shape(ring * (0.29, 0.23) + (side * who.eye_x, who.eye_y + 0.02), rim, 0.035, 0.15) for side in (-1, 1)]
    shapes.append(Shape(np.array([(-0.13, who.eye_y - 0.02), (0.13, who.eye_y - 0.02)]), rim, 0.035, 0.2))
    return shapes


def _smooth(points: Points) -> Points:
    """Round a closed outline by cutting its corners twice (Chaikin)."""
    for _ in range(2):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1).reshape(-1, 2)
    return points
