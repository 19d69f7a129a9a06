import math
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.modules import S2AM2, SelfAttention


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def random_layer(features: int) -> SelfAttention:
    layer = SelfAttention(features).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def naive(layer: SelfAttention, x: Tensor) -> Tensor:
    """Softmax of scaled products, token by token."""
    B, N, D = x.shape
    q, k, v = (
        x @ layer.qkv.weight[row * D : (row + 1) * D].T + layer.qkv.bias[row * D : (row + 1) * D] for row in range(3)
    )
    result = torch.empty_like(x)
    for b in range(B):
        for n in range(N):
            weights = [math.exp(float(q[b, n] @ k[b, m]) / math.sqrt(D)) for m in range(N)]
            seen = sum(weight * v[b, m] for m, weight in enumerate(weights)) / sum(weights)
            result[b, n] = x[b, n] + layer.out.weight @ seen + layer.out.bias
    return result


@pytest.mark.parametrize(("B", "N", "D"), [(3, 7, 6), (1, 5, 4), (2, 1, 6)])
def test_equals_a_softmax_loop(B: int, N: int, D: int) -> None:
    layer = random_layer(D)
    x = torch.randn(B, N, D, dtype=torch.float64)
    with torch.no_grad():
        assert_close(layer(x), naive(layer, x), rtol=1e-9, atol=1e-9)


def test_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 7, 6)
    assert torch.equal(SelfAttention(6)(x), x)


def test_order_of_the_tokens_does_not_matter() -> None:
    layer = random_layer(6)
    x, order = torch.randn(2, 7, 6, dtype=torch.float64), torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert_close(layer(x[:, order]), layer(x)[:, order])
    assert not torch.allclose(layer(x)[:, order], layer(x))


def test_every_weight_learns_after_one_step() -> None:
    layer = SelfAttention(6)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.randn(2, 7, 6)).square().sum().backward()
        optimizer.step()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0, name


def test_bfloat16_autocast_is_finite() -> None:
    layer = SelfAttention(6)
    nn.init.normal_(layer.out.weight)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(1e3 * torch.randn(2, 7, 6))
    assert found.isfinite().all()


@pytest.mark.slow  # the fast tests of dfer.export write and read a small SAFE, which has it
def test_exports_to_onnx_behind_the_recurrent_layer(tmp_path: Path) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.attention = S2AM2(6, 8), SelfAttention(16)
            nn.init.normal_(self.attention.out.weight)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.attention(self.recurrent(x)[0])
            return found

    head, path = Head().eval(), tmp_path / "head.onnx"
    torch.onnx.export(
        head,
        (torch.randn(2, 7, 6),),
        path,
        dynamo=True,
        verbose=False,
        input_names=["x"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    session = onnxruntime.InferenceSession(path)
    for B in (1, 2, 5):
        x = torch.randn(B, 7, 6)
        found = torch.from_numpy(session.run(None, {"x": x.numpy()})[0])
        assert_close(found, head(x).detach(), rtol=0, atol=1e-5)


def test_refuses_bad_sizes() -> None:
    with pytest.raises(ValueError, match=r"features 0 .*at least 1"):
        SelfAttention(0)
    for shape in ((7, 6), (2, 7, 5), (1, 2, 7, 6)):
        with pytest.raises(ValueError, match=rf"{list(shape)}".replace("[", r"\[").replace("]", r"\]")):
            SelfAttention(6)(torch.zeros(shape))
