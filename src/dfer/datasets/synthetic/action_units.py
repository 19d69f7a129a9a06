"""Expressions as combinations of FACS action units, and how strongly a clip's face shows them."""

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfer.labels import EXTENDED

UNITS: Final = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 20, 23, 25, 26, 14, 43)
"""The action units this face has muscles for; the last two serve the blends alone."""

COLUMN: Final = MappingProxyType({unit: i for i, unit in enumerate(UNITS)})

EMFACS: Final = MappingProxyType(
    {
        "happy": (6, 12),
        "sad": (1, 4, 15),
        "neutral": (),
        "angry": (4, 5, 7, 23),
        "surprise": (1, 2, 5, 26),
        "disgust": (9, 15, 16),
        "fear": (1, 2, 4, 5, 20, 26),
    }
)
"""Expression -> its action units."""

BLENDS: Final = MappingProxyType(
    {
        "contempt": MappingProxyType({12: 1.0, 14: 1.0}),
        "anxiety": MappingProxyType({1: 0.9, 4: 0.8, 5: 0.4, 20: 0.9, 23: 0.5}),
        "helplessness": MappingProxyType({1: 1.0, 2: 0.8, 15: 0.9}),
        "disappointment": MappingProxyType({4: 0.4, 14: 0.9, 15: 0.7, 43: 0.5}),
        "calm": MappingProxyType({43: 0.6}),
    }
)
"""Expression -> its action units and how strong each is.

Contempt, on one side of the face alone, is EMFACS's. The others are our own choice, for the literature has no fixed
units for them: anxiety is a fear that keeps its mouth shut, helplessness the raised brows and drawn down lips of a
shrug, disappointment lowered lids over tucked and falling lips, calm a rest with lowered lids.
"""

EXPRESSIONS: Final = (*EXTENDED, "calm")
"""All that this face can show; the first seven are ``labels.BASIC``."""

_DRAWN: Final = 14  # units whose strength is drawn: another number would change every other draw after it
_ONE_SIDED: Final = (12, 14)
_LIPS_MAY_PART: Final = frozenset({"happy", "disgust", "fear"})


def strengths(expression: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how much each unit takes part at the peak: near 1 for the expression's own, 0 elsewhere.

    Lips may part (unit 25) in happy, disgusted and frightened faces, as EMFACS allows.

    Shape:
        -> ``(A,)`` for the units of ``UNITS``.

    Example:
        >>> strengths("neutral", np.random.default_rng(0)).sum()
        np.float64(0.0)
    """
    out = np.zeros(len(UNITS))
    variation = np.ones(len(UNITS))
    variation[:_DRAWN] = rng.uniform(0.85, 1.0, _DRAWN)  # for all, so that every class uses the same numbers
    part = rng.random()
    weights = BLENDS[expression] if expression in BLENDS else dict.fromkeys(EMFACS[expression], 1.0)
    for unit, weight in weights.items():
        out[COLUMN[unit]] = weight * variation[COLUMN[unit]]
    if expression in _LIPS_MAY_PART:
        out[COLUMN[25]] = part
    if expression == "fear":
        out[COLUMN[26]] *= 0.5  # a stretched mouth opens less far than a dropped jaw
    return out


def halves(
    expression: str, strength: NDArray[np.float64], side: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the units of the left and the right half of a face: the same, but for contempt, which one half shows.

    Args:
        side: contempt shows on the right where it is positive.

    Shape:
        strength ``(A,)`` -> ``(A,)`` each.
    """
    if expression != "contempt":
        return strength, strength
    resting = strength.copy()
    resting[[COLUMN[unit] for unit in _ONE_SIDED]] = 0
    return (resting, strength) if side > 0 else (strength, resting)
