"""Who: the proportions, colours and hair of one drawn face."""

from dataclasses import dataclass
from typing import Final

import numpy as np

Colour = tuple[int, int, int]

_SKIN: Final = np.array(
    [(252, 224, 204), (244, 205, 178), (231, 186, 150), (208, 158, 120), (172, 122, 88), (134, 91, 65), (100, 68, 51)]
)
_HAIR: Final = np.array(
    [(28, 22, 20), (52, 36, 28), (88, 58, 38), (128, 84, 48), (190, 150, 88), (150, 66, 34), (150, 148, 146)]
)
_IRIS: Final = np.array([(60, 38, 24), (92, 62, 36), (70, 96, 58), (74, 108, 140), (96, 104, 110)])

HAIRSTYLES: Final = ("short", "long", "fringe", "bald", "bun", "curly")
BEARDS: Final = ("none", "stubble", "full", "moustache")


@dataclass(frozen=True)
class Identity:
    """One face at rest; lengths in half face widths, y points down, the origin lies between nose and eyes."""

    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    iris_radius: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    mouth_curve: float
    chin_y: float
    jaw: float
    chin_width: float
    crown_y: float
    hairline: float
    wrinkles: float
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    hairstyle: str
    beard: str
    glasses: bool
    hair_seed: int


def _colour(value: np.ndarray) -> Colour:
    r, g, b = np.clip(np.rint(value), 0, 255).astype(int).tolist()
    return (r, g, b)


def make_identity(seed: int, number: int) -> Identity:
    """Draw the face of a number; the same for the same ``(seed, number)``.

    Example:
        >>> make_identity(0, 3) == make_identity(0, 3), make_identity(0, 3) == make_identity(0, 4)
        (True, False)
    """
    rng = np.random.default_rng([seed, 101, number])

    def about(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))

    tone = rng.uniform(0, len(_SKIN) - 1.001)
    low = int(tone)
    skin = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low]) + rng.normal(0, 3, 3)
    hair_row = int(rng.choice(len(_HAIR), p=[0.24, 0.24, 0.18, 0.1, 0.1, 0.06, 0.08]))
    if tone > 3:
        hair_row = min(hair_row, 1) if rng.random() < 0.9 else hair_row
    hair = _HAIR[hair_row] + rng.normal(0, 6, 3)
    iris_row = int(rng.integers(len(_IRIS))) if tone < 2.5 else int(rng.integers(2))
    masculine = rng.random() < 0.5
    lips = skin * np.array([0.84, 0.62, 0.60]) + (np.array([14, -6, -2]) if not masculine else 0)
    hairstyle = str(
        rng.choice(HAIRSTYLES, p=[0.58, 0.02, 0.1, 0.14, 0.0, 0.16] if masculine else [0.1, 0.42, 0.22, 0.0, 0.16, 0.1])
    )
    beard = str(rng.choice(BEARDS, p=[0.55, 0.2, 0.15, 0.1])) if masculine else "none"
    return Identity(
        eye_x=about(0.41, 0.02),
        eye_y=about(-0.12, 0.025),
        eye_width=about(0.205, 0.013),
        eye_height=about(0.088, 0.009),
        eye_tilt=about(0.02, 0.02),
        iris_radius=about(0.092, 0.005),
        brow_y=about(-0.41, 0.025),
        brow_thickness=about(0.052 if masculine else 0.038, 0.008),
        brow_arch=about(0.06, 0.018),
        brow_tilt=about(0.0, 0.02),
        nose_y=about(0.36, 0.035),
        nose_width=about(0.17, 0.02),
        mouth_y=about(0.76, 0.03),
        mouth_width=about(0.31, 0.025),
        upper_lip=about(0.062, 0.012),
        lower_lip=about(0.088, 0.015),
        mouth_curve=about(0.0, 0.012),
        chin_y=about(1.3, 0.05),
        jaw=about(0.83 if masculine else 0.76, 0.035),
        chin_width=about(0.44 if masculine else 0.38, 0.04),
        crown_y=about(-1.3, 0.05),
        hairline=about(-0.88, 0.06),
        wrinkles=float(rng.beta(1.2, 4)),
        skin=_colour(skin),
        hair=_colour(hair),
        iris=_colour(_IRIS[iris_row] + rng.normal(0, 6, 3)),
        lips=_colour(lips),
        clothes=_colour(rng.uniform(25, 220, 3)),
        hairstyle=hairstyle,
        beard=beard,
        glasses=bool(rng.random() < 0.12),
        hair_seed=int(rng.integers(2**31)),
    )
