"""Expressions as combinations of FACS action units (EMFACS), and how strongly a clip's face shows them."""

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNITS: Final = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 20, 23, 25, 26)
"""The action units this face has muscles for."""

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
    variation = rng.uniform(0.85, 1.0, len(UNITS))  # drawn for all, so that every class uses the same numbers
    part = rng.random()
    for unit in EMFACS[expression]:
        out[COLUMN[unit]] = variation[COLUMN[unit]]
    if expression in _LIPS_MAY_PART:
        out[COLUMN[25]] = part
    if expression == "fear":
        out[COLUMN[26]] *= 0.5  # a stretched mouth opens less far than a dropped jaw
    return out
