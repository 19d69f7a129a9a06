"""The shared vocabulary."""

import dataclasses

import pytest
import torch

from dfer.types import InputSpec, Output


def test_output_needs_no_clip_logits() -> None:
    assert Output(torch.zeros(1, 7), torch.zeros(1, 3)).clip_logits is None


def test_input_spec_cannot_be_changed() -> None:
    spec = InputSpec(16, 112, ("a", "b"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.size = 3  # type: ignore[misc]
    assert dataclasses.replace(spec, size=3) == InputSpec(16, 3, ("a", "b"))
