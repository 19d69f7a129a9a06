"""Plug-ins by stage."""

import pytest
from torch import nn

from dfer.backbones.plugins import place


def test_none_and_text_keys() -> None:
    assert len(place(None, [1, 2])) == 0
    assert list(place({"2": nn.ReLU()}, [1, 2])) == ["2"]  # type: ignore[dict-item]  # as a JSON file has them


def test_an_absent_stage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stage 5; this backbone has the stages 1, 2$"):
        place({5: nn.ReLU()}, [1, 2])
