import torch

from dfer.modules.frequency_attention import FrequencyAttention


def test_gate_differs_between_places_at_the_start() -> None:
    torch.manual_seed(0)
    gate = FrequencyAttention()(torch.randn(4, 32, 16, 5, 5))
    assert gate.shape == (4, 1, 16, 5, 5)
    assert gate.flatten(3).std(3).min() > 1e-4
