"""The aggregation against plain loops in double precision, and what it refuses."""

import math
import re
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.modules import DynamicNormalisation, InstanceAggregation


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def shaken(layer: Any) -> Any:
    """No parameter at its start, so that each is seen."""
    for value in layer.parameters():
        nn.init.normal_(value, std=0.5)
    return layer.eval()


def share(pair: Tensor) -> float:
    """The first of two soft-maxed weights."""
    return 1 / (1 + math.exp(float(pair[1] - pair[0])))


def moments(numbers: list[float]) -> tuple[float, float]:
    mean = sum(numbers) / len(numbers)
    return mean, sum((number - mean) ** 2 for number in numbers) / len(numbers)


def slow_norm(layer: DynamicNormalisation, x: Tensor) -> Tensor:
    """Bag by bag, instance by instance, feature by feature."""
    a, b = share(layer.mean_logits), share(layer.var_logits)
    result = torch.empty_like(x, dtype=torch.float64)
    for i, bag in enumerate(x.tolist()):
        of_bag = moments([number for instance in bag for number in instance])
        for n, instance in enumerate(bag):
            own = moments(instance)
            mean = a * own[0] + (1 - a) * of_bag[0]
            var = b * own[1] + (1 - b) * of_bag[1]
            for d, number in enumerate(instance):
                scaled = (number - mean) / math.sqrt(var + layer.eps)
                result[i, n, d] = scaled * float(layer.weight[d]) + float(layer.bias[d])
    return result


def slow_lstm(lstm: nn.LSTM, tokens: Tensor) -> Tensor:
    """One bag, ``(N, I) -> (N, 2H)``: gate by gate, step by step, both ways, layer by layer."""
    H = lstm.hidden_size
    for layer in range(lstm.num_layers):
        directions = []
        for suffix, row in ((f"_l{layer}", list(tokens)), (f"_l{layer}_reverse", list(tokens.flip(0)))):
            h = c = torch.zeros(H, dtype=tokens.dtype)
            outputs = []
            for x in row:
                gates = getattr(lstm, "weight_ih" + suffix) @ x + getattr(lstm, "bias_ih" + suffix)
                gates = gates + getattr(lstm, "weight_hh" + suffix) @ h + getattr(lstm, "bias_hh" + suffix)
                i, f, g, o = gates.split(H)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                outputs.append(h)
            directions.append(outputs if not suffix.endswith("reverse") else outputs[::-1])
        tokens = torch.stack([torch.cat(pair) for pair in zip(*directions, strict=True)])
    return tokens


def slow(layer: InstanceAggregation, tokens: Tensor) -> Tensor:
    """The whole module, with attention head by head and pair by pair."""
    D, heads = layer.out_features, layer.heads
    width = D // heads
    result = []
    for bag in tokens:
        hidden = slow_lstm(layer.recurrent.lstm, bag)  # (N, D)
        q, k, v = (
            hidden @ layer.qkv.weight[r * D : (r + 1) * D].T + layer.qkv.bias[r * D : (r + 1) * D] for r in range(3)
        )
        seen = torch.empty_like(hidden)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for n in range(len(bag)):
                weights = [math.exp(float(q[n, part] @ k[m, part]) / math.sqrt(width)) for m in range(len(bag))]
                seen[n, part] = sum(weight * v[m, part] for m, weight in enumerate(weights)) / sum(weights)
        gate = 1 / (1 + torch.exp(-slow_norm(layer.norm, seen[None])[0]))
        result.append(hidden * gate)
    return torch.stack(result)


@pytest.mark.parametrize(("B", "N", "D"), [(3, 4, 6), (1, 4, 6), (2, 1, 5), (2, 3, 1), (1, 1, 1)])
def test_the_normalisation_equals_a_loop(B: int, N: int, D: int) -> None:
    layer = shaken(DynamicNormalisation(D).double())
    x = 3 * torch.randn(B, N, D, dtype=torch.float64) + torch.arange(N).view(1, N, 1)
    with torch.no_grad():
        assert_close(layer(x), slow_norm(layer, x), rtol=1e-9, atol=1e-9)


def test_at_the_start_both_statistics_count_the_same() -> None:
    layer, x = DynamicNormalisation(6).double(), torch.randn(2, 4, 6, dtype=torch.float64)
    mean = (x.mean(2, keepdim=True) + x.mean((1, 2), keepdim=True)) / 2
    var = (x.var(2, correction=0, keepdim=True) + x.var((1, 2), correction=0, keepdim=True)) / 2
    assert_close(layer(x), (x - mean) / (var + 1e-5).sqrt())


@pytest.mark.parametrize(("logits", "shape"), [((50.0, -50.0), (6,)), ((-50.0, 50.0), (4, 6))])
def test_with_all_weight_on_one_side_it_is_layer_norm(logits: tuple[float, float], shape: tuple[int, ...]) -> None:
    layer, x = DynamicNormalisation(6), torch.randn(2, 4, 6)
    for pair in (layer.mean_logits, layer.var_logits):
        pair.data = torch.tensor(logits)
    assert_close(layer(x), torch.nn.functional.layer_norm(x, shape), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("x", [torch.zeros(2, 4, 6), torch.full((2, 4, 6), 7.5), 1e4 * torch.randn(2, 4, 6)])
def test_the_normalisation_is_finite_with_finite_gradients(x: Tensor) -> None:
    layer, x = shaken(DynamicNormalisation(6)), x.clone().requires_grad_()
    found = layer(x)
    found.square().sum().backward()
    assert found.isfinite().all()
    assert found.abs().max() < 1e2
    assert all(value.grad is not None and value.grad.isfinite().all() for value in (x, *layer.parameters()))


def test_statistics_are_in_float32_under_bfloat16() -> None:
    layer = shaken(DynamicNormalisation(64))
    x = (100 + torch.randn(2, 4, 64)).bfloat16()  # their mean square, in bfloat16, would swallow the variance
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        assert found.dtype == torch.float32
        assert_close(found.double(), slow_norm(layer, x.double()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("B", "N", "D", "H", "heads"), [(3, 4, 6, 4, 2), (1, 4, 5, 4, 8), (2, 1, 6, 3, 1), (2, 3, 1, 1, 2), (1, 1, 1, 1, 1)]
)
def test_the_module_equals_a_loop(B: int, N: int, D: int, H: int, heads: int) -> None:
    layer = shaken(InstanceAggregation(D, N, H, heads).double())
    tokens = torch.randn(B, N, D, dtype=torch.float64)
    with torch.no_grad():
        assert_close(layer(tokens), slow(layer, tokens), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_a_clips_output_does_not_depend_on_its_batch_mates(training: bool) -> None:
    layer = shaken(InstanceAggregation(6, 4, 4, 2).double()).train(training)
    tokens = torch.randn(3, 4, 6, dtype=torch.float64)
    together = layer(tokens)
    others = layer(torch.cat([tokens[:1], 1e3 * torch.randn(5, 4, 6, dtype=torch.float64)]))
    assert_close(layer(tokens[:1]), together[:1])
    assert_close(others[:1], together[:1])


def test_training_and_evaluation_are_the_same() -> None:
    layer, tokens = shaken(InstanceAggregation(6, 4, 4, 2)), torch.randn(2, 4, 6)
    assert torch.equal(layer.train()(tokens), layer.eval()(tokens))


def test_every_weight_learns_from_a_batch_of_one() -> None:
    layer = InstanceAggregation(6, 4, 4, 2).train()
    layer(torch.randn(1, 4, 6)).square().sum().backward()
    for name, value in layer.named_parameters():
        assert value.grad is not None
        assert value.grad.abs().max() > 0, name


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_bfloat16_autocast_is_finite_and_near(scale: float) -> None:
    layer, tokens = InstanceAggregation(16, 4, 8, 2), scale * torch.randn(2, 4, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(tokens)
        found.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in layer.parameters())
    assert_close(found.float(), layer(tokens), rtol=0.1, atol=0.1)


def test_parameters_as_the_paper_has_the_sizes() -> None:
    with torch.device("meta"):
        layer = InstanceAggregation(512, 4)
    assert (layer.out_features, layer.heads, layer.input_size) == (1024, 8, 512)
    of_lstm = 2 * (4 * 512 * (512 + 512) + 2 * 4 * 512) + 2 * (4 * 512 * (1024 + 512) + 2 * 4 * 512)
    assert sum(value.numel() for value in layer.recurrent.parameters()) == of_lstm
    assert sum(value.numel() for value in layer.parameters()) == of_lstm + (1024 + 1) * 3 * 1024 + 2 + 2 + 2 * 1024


@pytest.mark.slow  # the fast tests of dfer.export write and read a small M3DFEL, which has it
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")  # nn.LSTM's
def test_exports_to_onnx_with_any_batch(tmp_path: Path) -> None:
    layer, path = shaken(InstanceAggregation(6, 4, 4, 2)), tmp_path / "aggregation.onnx"
    torch.onnx.export(
        layer,
        (torch.randn(2, 4, 6),),
        path,
        dynamo=True,
        verbose=False,
        input_names=["tokens"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    session = onnxruntime.InferenceSession(path)
    for B in (1, 2, 5):
        tokens = torch.randn(B, 4, 6)
        found = torch.from_numpy(session.run(None, {"tokens": tokens.numpy()})[0])
        assert_close(found, layer(tokens).detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"features": 0}, "features 0 must be at least 1"),
        ({"instances": 0}, "instances 0 must be at least 1"),
        ({"hidden_size": 0}, "hidden_size 0 must be at least 1"),
        ({"heads": 0}, "heads 0 cannot share the 8"),
        ({"heads": 3}, "heads 3 cannot share the 8 .*hidden_size 4.*divides"),
        ({"heads": -2}, "heads -2"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(arguments: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InstanceAggregation(**{"features": 6, "instances": 4, "hidden_size": 4, "heads": 2, **arguments})


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (2, 4, 5), (1, 2, 4, 6)])
def test_other_tokens_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{list(shape)}; give (B, 4, 6)")):
        InstanceAggregation(6, 4, 4, 2)(torch.zeros(shape))


def test_the_normalisation_refuses_with_the_value() -> None:
    with pytest.raises(ValueError, match="features 0 must be at least 1"):
        DynamicNormalisation(0)
    for eps in (0.0, -1e-5, math.nan):
        with pytest.raises(ValueError, match=f"eps {eps} must be positive"):
            DynamicNormalisation(6, eps=eps)
    with pytest.raises(ValueError, match=re.escape("[2, 4, 5]; give (B, N, 6)")):
        DynamicNormalisation(6)(torch.zeros(2, 4, 5))
