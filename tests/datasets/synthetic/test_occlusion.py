"""Each occlusion covers part of the face."""

import numpy as np
import pytest

from dfer.datasets.synthetic.identity import make_identity
from dfer.datasets.synthetic.occlusion import occlude
from dfer.datasets.synthetic.truth import OCCLUSIONS


@pytest.mark.parametrize("kind", OCCLUSIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_something_is_in_front(kind: str, seed: int) -> None:
    shapes = occlude(kind, make_identity(0, 1), 0.5, seed)
    points = np.concatenate([shape.points for shape in shapes])
    assert (np.abs(points) < (0.9, 1.2)).all(axis=1).any()


def test_none_and_unknown() -> None:
    assert occlude("none", make_identity(0, 1), 0.5, 0) == []
    with pytest.raises(ValueError, match="'wall'"):
        occlude("wall", make_identity(0, 1), 0.5, 0)
