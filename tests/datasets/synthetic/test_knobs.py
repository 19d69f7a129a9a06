"""Knobs out of range are refused with their value."""

from dataclasses import replace
from typing import Any

import pytest

from dfer.datasets.synthetic.knobs import EASY, PRESETS, WILD


def test_presets() -> None:
    assert set(PRESETS) == {"easy", "wild"}
    assert len(set(EASY.proportions)) == 1
    assert EASY.label_noise == EASY.occlusion == EASY.distractors == EASY.test_styles == 0
    assert WILD.label_noise == 0.1
    assert min(WILD.occlusion, WILD.distractors, WILD.test_styles) > 0


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"label_noise": 1.5}, "1.5"),
        ({"intensity": (0.9, 0.2)}, "0.9"),
        ({"key_width": (0.0, 0.2)}, "0.0"),
        ({"frames": (0, 3)}, "0, 3"),
        ({"proportions": (1.0, 2.0)}, "1.0, 2.0"),
        ({"head_pose": -1.0}, "-1.0"),
        ({"clips": (0, 1)}, "0, 1"),
        ({"noise": "loud"}, "loud"),
    ],
)
def test_refused(change: dict[str, Any], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        replace(EASY, **change)
