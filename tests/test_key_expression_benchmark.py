"""What the re-sampling of a run is told in the place of what its detector finds."""

import runpy
from pathlib import Path

import torch

from dfer.modules.key_expression import KeyExpression

ROOT = Path(__file__).parents[1]


def test_the_true_centre_and_the_middle_are_told_at_each_stride() -> None:
    ways = runpy.run_path(str(ROOT / "benchmarks" / "key_expression.py"))["WAYS"]
    found = KeyExpression(torch.tensor([0.1, 0.2]), torch.tensor([3.0, 3.5]), torch.ones(2, 4))
    truth = torch.tensor([0.3, 0.7])
    assert ways["as detected"](found, truth) is found
    said = ways["true centre, stride 2"](found, truth)
    assert (said.centre.tolist(), said.stride.tolist()) == (truth.tolist(), [2.0, 2.0])
    said = ways["middle, stride 1"](found, truth)
    assert (said.centre.tolist(), said.stride.tolist()) == ([0.5, 0.5], [1.0, 1.0])
    assert said.summary is found.summary
