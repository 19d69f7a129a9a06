import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from dfer.modules.temporal_attention import TemporalAttention

SIZES = pytest.mark.parametrize(
    "size", [(2, 8, 4, 3, 2), (1, 5, 5, 2, 2), (3, 7, 3, 1, 4), (2, 11, 8, 2, 1), (2, 3, 1, 2, 2)]
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def random_module(channels: int, frames: int) -> TemporalAttention:
    """In float64, with no weight at its start."""
    module = TemporalAttention(channels, frames).double()
    for value in module.parameters():
        value.data.copy_(torch.randn(value.shape, dtype=torch.float64))
    return module


def naive_compare(module: TemporalAttention, average: Tensor, largest: Tensor) -> Tensor:
    """Equation 9 for one clip, entry by entry."""
    T = len(average)
    mean = sum(average[t] for t in range(T)) / T
    out = torch.zeros_like(average)
    for t in range(T):
        far = math.sqrt(sum((average[t, k] - mean[k]).item() ** 2 for k in range(T)))
        step = math.sqrt(sum((average[t, k] - average[t - 1, k]).item() ** 2 for k in range(T))) if t else 0.0
        for k in range(T):
            pooled = module.gamma[t, k] * (module.alpha * average[t, k] + module.beta * largest[t, k])
            out[t, k] = torch.sigmoid(pooled + module.delta[t, k] * far - step)
    return out


def naive(module: TemporalAttention, x: Tensor) -> Tensor:
    """The gate of each frame, clip by clip."""
    B, C, T, _, _ = x.shape
    gates = x.new_zeros(B, 1, T, 1, 1)
    weight, bias = module.attention.qkv.weight, module.attention.qkv.bias
    for b in range(B):
        average, largest = x.new_zeros(T, T), x.new_zeros(T, T)
        for t in range(T):
            for k in range(T):
                inside = x[b, math.floor(k * C / T) : math.ceil((k + 1) * C / T), t]
                average[t, k], largest[t, k] = inside.mean(), inside.max()
        rows = naive_compare(module, average, largest)
        q, k, v = ([weight[p * T : (p + 1) * T] @ row + bias[p * T : (p + 1) * T] for row in rows] for p in range(3))
        for t in range(T):
            share = torch.softmax(torch.stack([q[t] @ k[u] / math.sqrt(T) for u in range(T)]), 0)
            row = rows[t] + sum(share[u] * v[u] for u in range(T))
            gates[b, 0, t] = torch.sigmoid(row.sum() / T)
    return gates


@SIZES
def test_gate_equals_the_equations(size: tuple[int, ...]) -> None:
    module = random_module(size[1], size[2])
    x = torch.randn(size, dtype=torch.float64)
    gate = module(x)
    assert gate.shape == (size[0], 1, size[2], 1, 1)
    assert_close(gate, naive(module, x), rtol=1e-9, atol=1e-12)


@SIZES
def test_comparison_equals_equation_9(size: tuple[int, ...]) -> None:
    T = size[2]
    module = random_module(size[1], T)
    average, largest = torch.randn(2, 3, T, T, dtype=torch.float64)
    expected = torch.stack([naive_compare(module, *clip) for clip in zip(average, largest)])
    assert_close(module.compare(average, largest), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("channels", "frames"), [(192, 16), (24, 16), (16, 16), (17, 16), (31, 16), (40, 7), (5, 1)])
def test_pooling_is_adaptive_pooling_in_three_dimensions(channels: int, frames: int) -> None:
    x = torch.randn(2, channels, frames, 3, 4, dtype=torch.float64)
    average, largest = TemporalAttention(channels, frames).pool(x)
    volumes = x.transpose(1, 2)  # (B, T, C, H, W), each frame a channel of torch's
    assert_close(average, F.adaptive_avg_pool3d(volumes, (frames, 1, 1))[..., 0, 0], rtol=1e-12, atol=1e-14)
    assert torch.equal(largest, F.adaptive_max_pool3d(volumes, (frames, 1, 1))[..., 0, 0])


@SIZES
def test_gradcheck(size: tuple[int, ...]) -> None:
    module = random_module(size[1], size[2])
    x = torch.randn(size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *module.parameters()), fast_mode=True)


def test_start() -> None:
    state = TemporalAttention(40, 16).state_dict()
    for name, start, shape in (("alpha", 0.5, ()), ("beta", 0.5, ()), ("gamma", 1, (16, 16)), ("delta", 0, (16, 16))):
        value = state.pop(name)
        assert value.shape == shape
        assert (value == start).all()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "attention.qkv.weight": (48, 16),
        "attention.qkv.bias": (48,),
    }


@pytest.mark.parametrize("channels", [16, 24, 192])
def test_gate_differs_between_frames_at_the_start(channels: int) -> None:
    gate = TemporalAttention(channels, 16)(torch.randn(4, channels, 16, 5, 5))
    assert gate.std(2).min() > 1e-4


def test_a_jump_lowers_the_frame_after_it() -> None:
    """With the other terms off, all frames are alike but the one that follows the jump."""
    module = TemporalAttention(8, 4).double()
    module.gamma.data.zero_()
    module.attention.qkv.weight.data.zero_()
    x = torch.ones(1, 8, 4, 2, 2, dtype=torch.float64)
    x[:, :, 2:] = 3
    gate = module(x).flatten()
    assert gate[2] < gate[0]
    assert gate[0] == gate[1] == gate[3]


def test_a_far_frame_is_told_by_delta() -> None:
    """With all else off, the frame far from the mean stands out."""
    module = TemporalAttention(8, 4).double()
    module.gamma.data.zero_()
    x = torch.ones(1, 8, 4, 2, 2, dtype=torch.float64)
    x[:, :, 0] = 3  # the first: no step before it
    without = module(x).flatten()
    module.delta.data.fill_(1)
    assert (module(x).flatten() - without).argmax() == 0


INPUTS = {
    "zeros": torch.zeros(2, 9, 4, 5, 5),
    "constant": torch.full((2, 9, 4, 5, 5), 2.0),
    "equal frames": torch.arange(9.0).view(1, 9, 1, 1, 1).expand(2, 9, 4, 5, 5),
    "one place": torch.arange(72.0).sin().view(2, 9, 4, 1, 1),
    "one of all": torch.ones(1, 1, 1, 1, 1),
    "large": 1e4 * torch.arange(1800.0).sin().view(2, 9, 4, 5, 5),
    "tiny": 1e-30 * torch.arange(1800.0).sin().view(2, 9, 4, 5, 5),
}


@pytest.mark.parametrize("name", INPUTS)
def test_gradients_are_finite_in_the_corners(name: str) -> None:
    x = INPUTS[name].clone().requires_grad_()
    module = TemporalAttention(*x.shape[1:3])
    module.delta.data.normal_()
    gate = module(x)
    gate.square().sum().backward()
    assert ((gate > 0) & (gate < 1)).all()
    for value in (x, *module.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_refuses_fewer_channels_than_frames() -> None:
    with pytest.raises(ValueError, match=r"channels 8 for 16 frames: .* at least one for each frame"):
        TemporalAttention(8, 16)
