"""What stands in front of a face: a hand, dark glasses, a strand of hair."""

from typing import Final

import numpy as np

from dfer.datasets.synthetic.face import Shape, mix
from dfer.datasets.synthetic.identity import Identity

_CIRCLE: Final = np.stack([np.cos(np.linspace(0, 2 * np.pi, 14)), np.sin(np.linspace(0, 2 * np.pi, 14))], axis=1)


def occlude(kind: str, who: Identity, progress: float, seed: int) -> list[Shape]:
    """Lay out an occlusion in front of a face.

    Args:
        kind: ``none``, ``hand``, ``glasses`` (dark) or ``hair``.
        progress: 0 at the clip's start, 1 at its end; a hand moves.
        seed: of the clip: which side, which height.

    Raises:
        ValueError: another kind.
    """
    if kind == "none":
        return []
    side = 1 if seed % 2 else -1
    if kind == "hand":
        skin = mix(who.skin, (90, 40, 36), 0.1)
        reach = 0.25 * np.sin(np.pi * progress + seed % 5)
        base = np.array([side * (0.75 - 0.2 * reach), 0.95 + 0.25 * reach + 0.1 * (seed % 3)])
        fingers = []
        for finger in range(4):
            start = base + np.array([side * 0.12 * finger, 0.05 * abs(finger - 1.5)])
            end = start + np.array([-side * (0.45 + 0.05 * (1.5 - abs(finger - 1.5))), -0.42 + 0.13 * finger])
            fingers.append(Shape(np.stack([start, end]), mix(skin, (60, 24, 20), 0.06 * finger), 0.19, 0.4))
        return [Shape(_CIRCLE * (0.42, 0.42) + base + (side * 0.2, 0.28), skin, depth=0.4), *fingers]
    if kind == "glasses":
        dark = (18, 18, 22)
        lenses = [Shape(_CIRCLE * (0.31, 0.24) + (s * who.eye_x, who.eye_y + 0.03), dark, depth=0.15) for s in (-1, 1)]
        bridge = np.array([(-0.14, who.eye_y - 0.03), (0.14, who.eye_y - 0.03)])
        return [*lenses, Shape(bridge, dark, 0.05, 0.2)]
    if kind == "hair":
        strand = np.array([(0.0, -1.3), (0.3, -1.0), (0.52, -0.6), (0.62, -0.1), (0.56, 0.35), (0.42, 0.62)])
        width = np.array([0.16, 0.17, 0.15, 0.12, 0.08, 0.01])[:, None] * (1, 0.3)
        locks = []
        for lock in range(3):
            middle = strand - (0.13 * lock, 0.05 * lock)
            edge = np.concatenate([middle - width, (middle + width)[::-1]]) * (side, 1)
            locks.append(Shape(edge, mix(who.hair, (0, 0, 0), 0.12 * lock), depth=0.15))
        return locks
    raise ValueError(f"occlusion {kind!r}; there are none, hand, glasses, hair")
