import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.modules import dct_filters
from dfer.modules.frequency_attention import FrequencyAttention

MODES = pytest.mark.parametrize("training", [True, False])
ATTENTIONS = pytest.mark.parametrize("attention", ["self", "conv"])
# One row would not do for the whole gate: most of its frequencies are rounding errors, with any sign.
SIZES = pytest.mark.parametrize("size", [(2, 4, 3, 4, 5), (1, 3, 2, 2, 8), (2, 2, 1, 2, 2)])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def random_module(attention: str = "self", training: bool = True) -> FrequencyAttention:
    """In float64, its filters too, with no weight and no statistic at its start."""
    module = FrequencyAttention(attention).double().train(training)
    module.filters = exact_filters()[:, None]
    for value in (*module.parameters(), module.running_mean):
        value.data.copy_(torch.randn(value.shape, dtype=torch.float64) / (7 if value.ndim > 1 else 1))
    return module


def exact_filters() -> Tensor:
    """Equations 2 and 3 without rounding to float32, which leaves the images a sum of some 1e-8."""
    i, u = torch.arange(7, dtype=torch.float64), torch.arange(7, dtype=torch.float64)[:, None]
    scale = ((1 + (u > 0).double()) / 7).sqrt()
    waves = scale * torch.cos(torch.pi * (2 * i + 1) * u / 14)  # (u, i)
    return torch.einsum("ui,vj->uvij", waves, waves).flatten(0, 1)


def around(frame: Tensor, h: int, w: int) -> Tensor:
    """The 7 x 7 around a place, the border repeated."""
    H, W = frame.shape[-2:]
    rows = [min(max(h + i - 3, 0), H - 1) for i in range(7)]
    columns = [min(max(w + j - 3, 0), W - 1) for j in range(7)]
    return torch.stack([torch.stack([frame[..., i, j] for j in columns], -1) for i in rows], -2)


def naive_decompose(x: Tensor) -> Tensor:
    """Equation 2 around each place."""
    B, _, T, H, W = x.shape
    filters = exact_filters()
    f = x.new_zeros(B, T, 49, H, W)
    for b in range(B):
        for t in range(T):
            frame = sum(x[b, c, t] for c in range(x.shape[1])) / x.shape[1]
            for h in range(H):
                for w in range(W):
                    f[b, t, :, h, w] = (filters * around(frame, h, w)).sum((1, 2))
    return f


def naive_disturb(module: FrequencyAttention, f: Tensor) -> Tensor:
    """Equation 6, frame by frame and frequency by frequency."""
    B, T, K, H, W = f.shape
    out = torch.zeros_like(f)
    for k in range(K):
        if module.training:
            expected = sum(f[b, t, k].sum() for b in range(B) for t in range(T)) / (B * T * H * W)
        else:
            expected = module.running_mean[k]
        for b in range(B):
            eps = 0.1 * math.sqrt(sum(f[b, t, k].detach().pow(2).sum().item() for t in range(T)) / (T * H * W))
            for t in range(T):
                distance = ((f[b, t, k] - expected) ** 2).sum().sqrt() / math.sqrt(H * W)
                sign = f.new_tensor([[math.copysign(1, v) if v else 0 for v in row] for row in f[b, t, k].tolist()])
                out[b, t, k] = f[b, t, k] + module.a[k] * eps * sign + module.b[k] * sign * distance
    return out


def naive_fit(module: FrequencyAttention, f: Tensor) -> Tensor:
    """Equation 7, clip by clip and frequency by frequency."""
    out = torch.zeros_like(f)
    for b in range(len(f)):
        for k in range(49):
            values = f[b, :, k]
            variance = ((values - values.sum() / values.numel()) ** 2).sum() / values.numel()
            scaled = module.alpha / (variance + 1e-6).sqrt() * values
            out[b, :, k] = torch.tanh(scaled) * module.gamma[k] + module.beta[k]
    return out


def naive_attend(module: FrequencyAttention, f: Tensor) -> Tensor:
    """Attention or convolution, frame by frame and place by place."""
    B, T, _, H, W = f.shape
    out = f.new_zeros(B, T, 1, H, W)
    weights = dict(module.attend.named_parameters())
    for b in range(B):
        for t in range(T):
            places = [(h, w) for h in range(H) for w in range(W)]
            if "conv.weight" in weights:
                for h, w in places:
                    found = (weights["conv.weight"][0] * around(f[b, t], h, w)).sum() + weights["conv.bias"][0]
                    out[b, t, 0, h, w] = found
                continue
            of_qkv, bias = weights["attention.qkv.weight"], weights["attention.qkv.bias"]
            tokens = [of_qkv @ f[b, t, :, h, w] + bias for h, w in places]
            q, k, v = ([token[part * 49 : (part + 1) * 49] for token in tokens] for part in range(3))
            for i, (h, w) in enumerate(places):
                share = torch.softmax(torch.stack([q[i] @ k[j] / 7 for j in range(len(places))]), 0)
                seen = sum(share[j] * v[j] for j in range(len(places)))
                out[b, t, 0, h, w] = weights["out.weight"][0] @ seen + weights["out.bias"][0]
    return out


def naive(module: FrequencyAttention, x: Tensor) -> Tensor:
    f = naive_fit(module, naive_disturb(module, naive_decompose(x)))
    return torch.sigmoid(naive_attend(module, f)).transpose(1, 2)


@SIZES
def test_decomposition_equals_equation_2(size: tuple[int, ...]) -> None:
    x = torch.randn(size, dtype=torch.float64)
    assert_close(random_module().decompose(x), naive_decompose(x), rtol=1e-9, atol=1e-12)


@MODES
@SIZES
def test_disturbance_equals_equation_6(size: tuple[int, ...], training: bool) -> None:
    module = random_module(training=training)
    f = torch.randn(size[0], size[2], 49, *size[3:], dtype=torch.float64)
    f[0, 0, 5] = 0  # where there is no sign
    assert_close(module.disturb(f), naive_disturb(module, f), rtol=1e-9, atol=1e-12)
    f = f[..., :1, :1]
    assert_close(module.disturb(f), naive_disturb(module, f), rtol=1e-9, atol=1e-12)


@SIZES
def test_fitting_equals_equation_7(size: tuple[int, ...]) -> None:
    module = random_module()
    f = torch.randn(size[0], size[2], 49, *size[3:], dtype=torch.float64)
    f[0, :, 7] = 1e-3  # where the small number under the root counts
    assert_close(module.fit(f), naive_fit(module, f), rtol=1e-9, atol=1e-12)


@MODES
@ATTENTIONS
@SIZES
def test_gate_equals_the_equations(size: tuple[int, ...], attention: str, training: bool) -> None:
    module = random_module(attention, training)
    x = torch.randn(size, dtype=torch.float64)
    expected = naive(module, x)
    gate = module(x)
    assert gate.shape == (size[0], 1, *size[2:])
    assert_close(gate, expected, rtol=1e-9, atol=1e-12)


@MODES
@ATTENTIONS
def test_gradients_equal_those_of_the_equations(attention: str, training: bool) -> None:
    """Neither ``sign`` nor ``eps`` is there for the gradient: in the reference both are plain numbers."""
    module = random_module(attention, training)
    x = torch.randn(2, 3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 2, 3, 3, dtype=torch.float64)
    runs: list[Callable[[], Tensor]] = [lambda: naive(module, x), lambda: module(x)]
    expected, found = (torch.autograd.grad((run() * weight).sum(), [x, *module.parameters()]) for run in runs)
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 0
        assert_close(one, other, rtol=1e-7, atol=1e-12)


def test_sign_and_eps_carry_no_gradient() -> None:
    module = FrequencyAttention().double()
    f = torch.randn(2, 3, 49, 4, 4, dtype=torch.float64, requires_grad=True)
    disturbed = module.disturb(f)
    assert (disturbed - f).abs().min() > 0.01
    disturbed.sum().backward()
    assert torch.equal(f.grad, torch.ones_like(f))


def test_gradcheck_where_eps_does_not_count() -> None:
    module = random_module(training=True)
    module.a.data.zero_()
    x = torch.randn(2, 2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def test_start() -> None:
    module = FrequencyAttention()
    starts = {"a": 1, "b": 0, "alpha": 0.5, "gamma": 1, "beta": 0, "running_mean": 0}
    state = module.state_dict()
    for name, start in starts.items():
        value = state.pop(name)
        assert value.shape == (() if name == "alpha" else (49,))
        assert (value == start).all()
    assert set(state) == {
        f"attend.{part}" for part in ("attention.qkv.weight", "attention.qkv.bias", "out.weight", "out.bias")
    }
    assert all(value.any() for value in state.values())
    conv = FrequencyAttention("conv").state_dict()
    assert conv["attend.conv.weight"].shape == (1, 49, 7, 7)
    assert conv["attend.conv.weight"].all()


@ATTENTIONS
def test_gate_differs_between_places_at_the_start(attention: str) -> None:
    gate = FrequencyAttention(attention)(torch.randn(4, 32, 16, 5, 5))
    assert gate.flatten(3).std(3).min() > 2e-5
    assert gate.flatten(3).std(3).mean() > 1e-4


def test_filters_see_no_border_in_a_constant_map() -> None:
    f = FrequencyAttention().double().decompose(torch.full((1, 2, 1, 5, 5), 3.0, dtype=torch.float64))
    assert_close(f[0, 0, 0], torch.full((5, 5), 21.0, dtype=torch.float64), rtol=1e-6, atol=0)
    assert f[0, 0, 1:].abs().max() < 1e-6


@ATTENTIONS
def test_gate_of_a_constant_map_is_the_same_everywhere(attention: str) -> None:
    gate = random_module(attention, training=False)(torch.ones(1, 2, 3, 5, 4, dtype=torch.float64))
    assert gate.std() < 1e-4


def test_running_mean_follows_the_batches() -> None:
    module = FrequencyAttention()
    expected = torch.zeros(49)
    for _ in range(3):
        x = torch.randn(4, 3, 2, 5, 5) + 1
        module(x)
        expected = 0.9 * expected + 0.1 * naive_decompose(x.double()).mean((0, 1, 3, 4)).float()
        assert_close(module.running_mean, expected, rtol=1e-4, atol=1e-6)
    assert expected[0] > 1
    module.eval()(torch.randn(4, 3, 2, 5, 5))
    assert_close(module.running_mean, expected, rtol=1e-4, atol=1e-6)
    assert not module.running_mean.requires_grad


def test_running_mean_stands_still_when_frozen() -> None:
    """As in torch's batch norm: training still uses the batch's mean, evaluation the running one."""
    module = random_module()
    x = torch.randn(4, 3, 2, 3, 3, dtype=torch.float64)
    before = module.running_mean.clone()
    module.track_running_stats = False
    frozen = module(x)
    assert torch.equal(module.running_mean, before)
    in_evaluation = module.eval()(x)
    module.track_running_stats = True
    assert torch.equal(module(x), in_evaluation)
    assert torch.equal(module.train()(x), frozen)
    assert not torch.equal(module.running_mean, before)
    assert not torch.allclose(frozen, in_evaluation)


def test_says_that_it_has_statistics() -> None:
    assert FrequencyAttention().track_running_stats is True
    assert "running_mean" in FrequencyAttention().state_dict()


@MODES
def test_clips_of_a_batch_meet_in_training_only(training: bool) -> None:
    module = random_module(training=training)
    x = torch.randn(3, 2, 2, 4, 4, dtype=torch.float64)
    among = module(x)[:1]
    alone = module(x[:1])
    assert torch.allclose(alone, among, rtol=1e-10, atol=1e-14) != training


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_statistics_and_filters_stay_in_float32(dtype: torch.dtype) -> None:
    module = FrequencyAttention()
    module.running_mean.fill_(1 + 2**-20)
    module.to(dtype)
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}
    assert (module.running_mean == 1 + 2**-20).all()
    assert torch.equal(module.filters[:, 0], dct_filters(7))
    assert set(module.state_dict()) == set(FrequencyAttention().state_dict())
    assert module(torch.randn(2, 3, 2, 5, 5)).dtype == torch.float32
    assert module.running_mean.dtype == torch.float32
    assert module.double().running_mean.dtype == torch.float64


INPUTS = {
    "zeros": torch.zeros(2, 3, 4, 5, 5),
    "constant": torch.full((2, 3, 4, 5, 5), 2.0),
    "equal frames": torch.arange(25.0).view(1, 1, 1, 5, 5).expand(2, 3, 4, 5, 5),
    "one of all": torch.ones(1, 1, 1, 1, 1),
    "large": 1e4 * torch.arange(600.0).sin().view(2, 3, 4, 5, 5),
    "tiny": 1e-30 * torch.arange(600.0).sin().view(2, 3, 4, 5, 5),
}


@MODES
@ATTENTIONS
@pytest.mark.parametrize("name", INPUTS)
def test_gradients_are_finite_in_the_corners(name: str, attention: str, training: bool) -> None:
    module = FrequencyAttention(attention).train(training)
    nn.init.normal_(module.b)
    x = INPUTS[name].clone().requires_grad_()
    gate = module(x)
    gate.square().sum().backward()
    assert ((gate > 0) & (gate < 1)).all()
    for value in (x, *module.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_refuses_an_unknown_attention() -> None:
    with pytest.raises(ValueError, match=r"attention 'linear' is not known; give \"self\" or \"conv\""):
        FrequencyAttention("linear")


def test_rounding_makes_no_frequencies_of_a_constant_map() -> None:
    """One place of one value, as after the last stage of a small clip: every image but the first sums to 0."""
    x = torch.full((1, 24, 2, 1, 1), 137.3)
    f = FrequencyAttention().decompose(x)
    assert torch.equal(f[:, :, 1:], torch.zeros_like(f[:, :, 1:]))
    assert_close(f[:, :, 0], torch.full_like(f[:, :, 0], 7 * 137.3))
