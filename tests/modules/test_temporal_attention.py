import torch

from dfer.modules.temporal_attention import TemporalAttention


def test_gate_differs_between_frames_at_the_start() -> None:
    torch.manual_seed(0)
    gate = TemporalAttention(16)(torch.randn(4, 32, 16, 5, 5))
    assert gate.shape == (4, 1, 16, 1, 1)
    assert gate.std(2).min() > 1e-4
